"""A real browser finds nothing on any page that the Content-Security-Policy forbids, in the admin and the API's
documentation neither, and a preview asks no other server for a picture until a person wants it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, Route

from tests.acceptance.stack import RunningStack, stack_in_new_folder

PATHS = [
    *("", "batches/", "templates/", "templates/new/", "templates/welcome_email/edit/", "inbox/", "accounts/password/"),
    *("admin/", "admin/auth/user/", "admin/auth/user/add/", "admin/batches/relay/", "admin/batches/sender/add/"),
    *("admin/batches/emailtemplate/add/", "admin/reply-meaning/", "api/docs"),
]
"""Without the pages of django-rq: they have an inline style, which the policy forbids, and look a little different."""

REMOTE = "https://pictures.example/spy.png"


@pytest.fixture(scope="module")
def stack() -> Iterator[RunningStack]:
    with stack_in_new_folder("policies", workers=0) as running:
        yield running


def test_browser_finds_nothing_that_the_policy_forbids(page: Page, stack: RunningStack) -> None:
    forbidden: list[str] = []
    page.on(
        "console", lambda message: forbidden.append(f"{page.url}: {message.text}") if is_about(message.text) else None
    )
    for path in PATHS:
        answer = page.goto(f"{stack.url}{path}", wait_until="load")
        assert answer is not None and answer.status == 200, path
    page.get_by_text("/api/upload", exact=True).first.wait_for()  # the documentation has drawn itself
    assert forbidden == []


def is_about(text: str) -> bool:
    return "Content Security Policy" in text or "Permissions policy" in text


def test_preview_asks_no_other_server_until_a_person_wants_the_pictures(page: Page, stack: RunningStack) -> None:
    asked: list[str] = []

    def refuse(route: Route) -> None:
        asked.append(route.request.url)
        route.abort()

    page.route(REMOTE, refuse)  # a request that the policy forbids does not come here
    page.goto(f"{stack.url}templates/new/?kind=html")
    page.fill("#id_subject", "Hello")
    page.fill("#id_html", f'<p>Hello</p><img src="{REMOTE}">')
    page.click("#show-preview")
    message = page.frame_locator(".frames iframe:not(.later)").frame_locator("iframe").locator("p")
    message.wait_for()
    assert asked == []
    with page.expect_event("requestfailed", lambda failed: failed.url == REMOTE and bool(asked)):
        page.click("text=Preview with pictures")
