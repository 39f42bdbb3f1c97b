"""Take pictures of every page in every state: ``make screenshots DIR=folder``.

A folder, widths and a pattern of names enter. PNG files leave: ``batch-running-1440-light.png``. The site and its data
are made for it, and deleted afterwards.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

import django

from tests import services

if TYPE_CHECKING:  # these need the settings, which need the services
    from playwright.sync_api import FloatRect, Page

    from tests.catalogue.acts import Shown
    from tests.catalogue.tour import Tour

WIDTHS = (1440, 768, 360)
SCHEMES = ("light", "dark")


def main() -> None:
    arguments = _read_arguments()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    os.environ["DJANGO_SETTINGS_MODULE"] = "emailbatch.settings"
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "1"  # Playwright keeps an event loop in this thread
    services.running.start()
    try:
        services.running.wait()
        django.setup()
        count = _take_all(arguments)
    finally:
        services.running.stop()
    print(f"{count} pictures are in {arguments.folder}, after {time.monotonic() - STARTED_AT:.0f} s.")  # noqa: T201


def _read_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.catalogue", description=__doc__)
    parser.add_argument("folder", type=Path, help="Where the pictures go.")
    parser.add_argument("--only", default="*", help="A name, its beginning, or a pattern: batch-, template*.")
    parser.add_argument("--widths", type=int, nargs="+", default=list(WIDTHS))
    parser.add_argument("--schemes", nargs="+", choices=SCHEMES, default=list(SCHEMES))
    parser.add_argument("--long", action="store_true", help="Show the longest data that can come.")
    parser.add_argument("--crop", type=int, metavar="PIXELS", help="Only so much from the top of each page.")
    return parser.parse_args()


def _take_all(arguments: argparse.Namespace) -> int:
    from django.conf import settings
    from django.db import connections
    from django.test.utils import setup_databases, setup_test_environment

    from tests.acceptance.browser import running_browser, running_site
    from tests.catalogue import pages, showpiece, texts, world
    from tests.catalogue.admin_pages import ADMIN_PAGES
    from tests.catalogue.tour import Tour, choose

    setup_test_environment()
    settings.PASSWORD_HASHERS = ["tests.hashing.OneRoundHasher"]
    with contextlib.redirect_stdout(io.StringIO()):
        setup_databases(verbosity=0, interactive=False)
    count = 0
    stages = [
        (pages.FIRST_DAY, world.build_empty),
        ([*pages.PAGES, *ADMIN_PAGES], lambda: world.build_world(texts.LONG if arguments.long else texts.PLAIN)),
        (pages.SHOWPIECES, lambda: showpiece.add_to(world.build_world(texts.PLAIN))),
    ]
    with running_browser() as browser:
        for shown_pages, make in stages:
            chosen = choose(shown_pages, arguments.only)
            if not chosen:
                continue
            made = world.build(make)
            with running_site() as site:
                tour = Tour(browser, site, made)
                for shown in chosen:
                    count += _take(tour, shown, arguments)
                tour.close()
            world.clear()
    connections.close_all()
    return count


def _take(tour: Tour, shown: Shown, arguments: argparse.Namespace) -> int:
    from tests.catalogue.tour import unfold, view

    taken = 0
    with tour.show(shown, width=arguments.widths[0], scheme=arguments.schemes[0]) as page:
        for scheme in arguments.schemes:
            for width in arguments.widths:
                view(page, width=width, scheme=scheme)
                unfold(page)
                name = f"{shown.name}-{width}-{scheme}.png"
                _take_picture(page, arguments.folder / name, crop=arguments.crop)
                taken += 1
    return taken


def _take_picture(page: Page, path: Path, *, crop: int | None) -> None:
    size = page.viewport_size
    assert size is not None
    clip: FloatRect | None = (
        {"x": 0, "y": 0, "width": size["width"], "height": min(crop, size["height"])} if crop else None
    )
    page.screenshot(path=path, full_page=not crop, clip=clip, animations="disabled")


STARTED_AT = time.monotonic()
if __name__ == "__main__":
    main()
