"""axe-core finds nothing on any page of the catalogue, in light and in dark colours.

LONG_TESTS=1 walks every page in every state, which takes minutes. Without it, one page of each kind is looked at.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import axe_playwright_python
import pytest
from playwright.sync_api import Browser, Page

from tests.acceptance.browser import running_site
from tests.catalogue import world
from tests.catalogue.acts import Shown
from tests.catalogue.admin_pages import ADMIN_PAGES
from tests.catalogue.pages import FIRST_DAY, PAGES
from tests.catalogue.texts import PLAIN
from tests.catalogue.tour import Tour, view

every_page = pytest.mark.skipif("LONG_TESTS" not in os.environ, reason="It takes minutes: set LONG_TESTS=1.")
SAMPLE = {
    "sign-in",
    "home",
    "checklist",
    "batches",
    "batch-mixed",
    "recipient-failed",
    "review-odd",
    "template-faults",
    "templates",
    "people-found",
    "person-mails",
    "users",
    "do-not-send",
    "inbox-message",
    "two-factor-on",
    "unsubscribe",
}
"""One page of each kind, by its name."""

WIDTH = 1280
NOT_OURS = ["iframe", ".opblock-tag-section", ".swagger-ui .models"]
"""What is inside a frame is a letter of somebody else. Swagger's lists have buttons in buttons."""
AXE_SECONDS = 60
build_plain = functools.partial(world.build_world, PLAIN)
OF_COLOURS = ("color-contrast", "link-in-text-block")
"""The rules whose result depends on the scheme. The others are looked at in light alone."""
VIEWS: tuple[tuple[int, str, Sequence[str]], ...] = (
    (WIDTH, "light", ()),
    (WIDTH, "dark", OF_COLOURS),
    (360, "light", ()),
)
"""Width, scheme and rules. A phone hides words that a wide screen shows."""
RUN = """({exclude, milliseconds, rules}) => Promise.race([
  axe.run({exclude}, {resultTypes: ["violations"], iframes: false, preload: false, ...(rules ? {runOnly: rules} : {})}),
  new Promise((_, reject) => setTimeout(() => reject(new Error("axe took too long")), milliseconds)),
])"""


@pytest.mark.parametrize(
    ("pages", "make"),
    [
        pytest.param([shown for shown in PAGES if shown.name in SAMPLE], build_plain, id="sample"),
        pytest.param(FIRST_DAY, world.build_empty, id="first-day", marks=every_page),
        pytest.param(PAGES, build_plain, id="pages", marks=every_page),
        pytest.param(ADMIN_PAGES, build_plain, id="admin", marks=every_page),
    ],
)
def test_axe_finds_nothing(pages: list[Shown], make: Any, transactional_db: None, chromium: Browser) -> None:
    world.clear()
    site_world = world.build(make)
    faults: list[str] = []
    with running_site() as site:
        tour = Tour(chromium, site, site_world)
        for shown in pages:
            with tour.show(shown, width=WIDTH) as page:
                for width, scheme, rules in VIEWS:
                    view(page, width=width, scheme=scheme)
                    faults += [f"{shown.name}, {width}, {scheme}: {fault}" for fault in find_faults(page, rules=rules)]
        tour.close()
    assert faults == []


def find_faults(page: Page, *, rules: Sequence[str] = ()) -> list[str]:
    """Return what axe finds: the rule, and the beginning of each element's HTML."""
    page.evaluate(axe_source())
    exclude = [[selector] for selector in NOT_OURS]
    found = page.evaluate(RUN, {"exclude": exclude, "milliseconds": AXE_SECONDS * 1000, "rules": list(rules) or None})
    return [
        f"{violation['id']}: {node['html'][:120]} ({_say_contrast(node)})"
        for violation in found["violations"]
        for node in violation["nodes"]
    ]


@functools.cache
def axe_source() -> str:
    return (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text()


def _say_contrast(node: dict[str, Any]) -> str:
    return "; ".join(check["message"] for check in [*node["any"], *node["all"], *node["none"]])[:200]
