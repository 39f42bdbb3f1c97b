"""The daily work with less than usual: by the keyboard alone, and in a browser that runs no script."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.acceptance.stack import RunningStack, stack_in_new_folder, wait_until

# Beside another test process, Chromium now and then gives Playwright a page without a document for half a minute. Until
# the cause is found, that would fail a run in which nothing is wrong.
pytestmark = pytest.mark.skipif(
    "LONG_TESTS" not in os.environ, reason="It is not steady on a busy machine: set LONG_TESTS=1."
)

MEMBERS = "Name;E-Mail;Town\nAda Lovelace;ada@example.org;London\nBob Frost;bob@example.org;Oslo\nNed;ned@@x;Rome\n"
BATCH_PAGE = re.compile(r"/batches/\d+/$")
TABS_MAX = 120
LOOK = """wanted => {
  const element = document.querySelector(":focus");
  if (!element) return ["", false];
  const box = element.getBoundingClientRect(), style = getComputedStyle(element);
  const isSeen = element.tagName === "IFRAME" || (style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2);
  const isInSight = box.width > 0 && box.height > 0 && box.bottom > 0 && box.top < innerHeight;
  return [isInSight && isSeen ? "" : element.outerHTML, element === wanted];
}"""
"""Return the element with the focus if it can't be seen, and whether it is the wanted one.

Nothing has the focus if a button of the browser has.

A browser draws its own border around what is in a frame.
"""


class Keyboard:
    """A person who uses the keyboard alone."""

    def __init__(self, page: Page) -> None:
        self.page = page

    def reach(self, thing: Locator, key: str = "Tab") -> None:
        """Press Tab until something has the focus, which must be in sight at each step."""
        wanted = thing.element_handle()
        for _ in range(TABS_MAX):
            self.page.keyboard.press(key)
            unseen, is_reached = self.page.evaluate(LOOK, wanted)
            assert not unseen, f"The focus can't be seen: {unseen}"
            if is_reached:
                return
        raise AssertionError(f"{thing} can't be reached with {TABS_MAX} times {key}")

    def press(self, thing: Locator, key: str = "Enter") -> None:
        self.reach(thing)
        self.page.keyboard.press(key)

    def write(self, thing: Locator, text: str) -> None:
        self.reach(thing)
        self.page.keyboard.type(text)


@pytest.fixture(scope="module")
def stack() -> Iterator[RunningStack]:
    with stack_in_new_folder("plain-walks", workers=1) as running:
        yield running


@pytest.fixture
def tab(chromium: Browser, stack: RunningStack) -> Iterator[Page]:
    """A tab of a person who has not signed in."""
    context = chromium.new_context(base_url=stack.url, viewport={"width": 1280, "height": 900})
    yield context.new_page()
    context.close()


@pytest.fixture
def plain_tab(chromium: Browser, stack: RunningStack) -> Iterator[Page]:
    """The same in a browser that runs no script."""
    context = chromium.new_context(base_url=stack.url, java_script_enabled=False)
    yield context.new_page()
    context.close()


def button(page: Page, name: str | re.Pattern[str]) -> Locator:
    return page.get_by_role("button", name=name, exact=isinstance(name, str))


def link(page: Page, name: str) -> Locator:
    return page.get_by_role("link", name=name, exact=True)


def test_letter_is_written_and_sent_when_there_is_a_keyboard_alone(tab: Page, stack: RunningStack) -> None:
    keyboard = Keyboard(tab)
    _sign_in_by_keyboard(keyboard, stack)
    _write_by_keyboard(keyboard)
    _send_by_keyboard(keyboard)
    _use_questions_and_menu_by_keyboard(keyboard)
    _find_by_keyboard(keyboard)
    keyboard.press(button(tab, "Sign out"))
    tab.wait_for_url("**/accounts/login/**")


def _sign_in_by_keyboard(keyboard: Keyboard, stack: RunningStack) -> None:
    page = keyboard.page
    page.goto("/")
    keyboard.write(page.locator('[name="username"]'), stack.username)
    keyboard.write(page.locator('[name="password"]'), stack.password)
    keyboard.press(button(page, "Sign in"))
    page.wait_for_url(stack.url)
    keyboard.press(link(page, "Skip to the content"))
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.closest('main') !== null"), "the link skips the menu"


def _write_by_keyboard(keyboard: Keyboard) -> None:
    page = keyboard.page
    keyboard.press(link(page, "Templates"))
    page.wait_for_url("**/templates/")
    keyboard.press(link(page, "New template"))
    page.wait_for_url("**/templates/new/")
    keyboard.write(page.locator("#id_name"), "Keys")
    keyboard.write(page.locator("#id_subject"), "For {{ name }}")
    source = page.locator("#id_source")
    keyboard.write(source, "Dear {{ name }}, come to ")
    keyboard.reach(page.locator(".toolbar button[tabindex='0']"), "Shift+Tab")
    page.keyboard.press("ArrowRight")
    expect(button(page, "Italic")).to_be_focused()
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Enter")
    expect(source).to_be_focused()
    page.keyboard.type("town")
    expect(source).to_have_value("Dear {{ name }}, come to **town**")
    keyboard.press(button(page, "Save"))
    page.wait_for_url("**/templates/")


def _send_by_keyboard(keyboard: Keyboard) -> None:
    page = keyboard.page
    keyboard.press(link(page, "Send"))
    page.wait_for_url(re.compile(r"/$"))
    keyboard.reach(page.locator("#id_file"))
    with page.expect_file_chooser() as chooser:
        page.keyboard.press("Space")
    chooser.value.set_files({"name": "by keyboard.csv", "mimeType": "text/csv", "buffer": MEMBERS.encode()})
    keyboard.write(page.locator("#id_template"), "Keys")
    keyboard.reach(page.locator('[name="then"][value="review"]'))
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowUp")
    keyboard.press(button(page, "Upload"))
    page.wait_for_url("**/review/**")
    expect(page.locator(".mail")).to_contain_text("For Ada Lovelace")
    keyboard.press(button(page, "Send to 2 recipients"))
    expect(page.locator('dd[data-count="sent"]')).to_have_text("2", timeout=30_000)


def _use_questions_and_menu_by_keyboard(keyboard: Keyboard) -> None:
    """A question and the menu open, take the focus, close with Escape, and give the focus back."""
    page = keyboard.page
    for opener, first in (
        (page.locator("details.rename > summary"), "#batch-name"),
        (page.locator(".drawer > summary"), ".leaf a"),
    ):
        keyboard.press(opener)
        page.keyboard.press("Tab")
        expect(page.locator(first).locator("visible=true").first).to_be_focused()
        page.keyboard.press("Escape")
        expect(page.locator(first).first).to_be_hidden()
        expect(opener).to_be_focused()


def _find_by_keyboard(keyboard: Keyboard) -> None:
    page = keyboard.page
    keyboard.write(page.locator("#find-person"), "lovelace")
    page.keyboard.press("Enter")
    page.wait_for_url("**/people/**")
    _reload_until(page, page.locator("#found a.title"))
    keyboard.press(page.locator("#found a.title"))
    keyboard.press(page.locator(".mails .title").first)
    expect(page.locator("#message")).to_contain_text("For Ada Lovelace")


def _reload_until(page: Page, thing: Locator) -> None:
    """Load a page again until it shows something: without a script it does not move by itself."""

    def is_shown() -> bool:
        page.reload()
        return thing.count() > 0

    wait_until(is_shown, within_seconds=60, what=f"{thing}")


def test_daily_work_is_done_when_no_script_runs(plain_tab: Page, stack: RunningStack) -> None:
    page = plain_tab
    page.goto("/")
    page.fill('[name="username"]', stack.username)
    page.fill('[name="password"]', stack.password)
    button(page, "Sign in").click()
    _send_without_script(page)
    _follow_without_script(page)
    _find_without_script(page)
    _manage_without_script(page)


def _send_without_script(page: Page) -> None:
    link(page, "Send").click()
    page.set_input_files("#id_file", {"name": "plain.csv", "mimeType": "text/csv", "buffer": MEMBERS.encode()})
    page.fill("#id_name", "Without a script")
    button(page, "Upload").click()
    expect(page.locator("h1")).to_have_text("Without a script")
    page.fill("#row", "Bob")
    button(page, "Show").click()
    expect(page.locator(".mail")).to_contain_text("bob@example.org")
    page.fill("#id_to", "me@example.org")
    button(page, "Send a test").click()
    expect(page.locator(".notice.success")).to_contain_text("A test is on its way to me@example.org")
    button(page, "Send to 2 recipients").click()
    page.wait_for_url(BATCH_PAGE)


def _follow_without_script(page: Page) -> None:
    _reload_until(page, page.locator("#status[data-status='completed']"))
    expect(page.locator('dd[data-count="sent"]')).to_have_text("2")
    page.locator(".tabs a", has_text="Rejected").click()
    expect(page.locator("td.reason")).to_contain_text("@")
    page.locator(".tabs a", has_text="All").click()
    page.fill("#recipient-q", "frost")
    button(page, "Find").click()
    expect(page.locator("#rows tbody tr")).to_have_count(1)
    for name in ("CSV", "Excel"):
        with page.expect_download() as download:
            page.locator(".downloads").get_by_role("link", name=name).first.click()
        assert download.value.path().stat().st_size > 0
    page.locator("details.rename > summary").click()
    page.fill("#batch-name", "Renamed")
    button(page, "Save the name").click()
    expect(page.locator("h1")).to_have_text("Renamed")


def _find_without_script(page: Page) -> None:
    link(page, "Batches").click()
    page.fill("#id_q", "renamed")
    page.select_option("#id_status", "completed")
    button(page, "Search").click()
    expect(page.locator("#cards tr")).to_have_count(1)
    page.fill("#find-person", "ada@")
    page.press("#find-person", "Enter")
    page.wait_for_url("**/people/**")
    _reload_until(page, page.locator("#found a.title"))
    page.locator("#found a.title").first.click()
    page.locator(".mails .title").first.click()
    expect(page.frame_locator("#message iframe").locator("body")).to_contain_text("Ada")


def _manage_without_script(page: Page) -> None:
    page.locator(".drawer > summary").click()
    link(page, "Users").click()
    page.fill("#id_email", "eve@example.org")
    button(page, "Send the invitation").click()
    expect(page.locator("h1")).to_have_text("eve@example.org")
    page.locator(".drawer > summary").click()
    link(page, "Inbox").click()
    page.fill("#recipient", "bob")
    button(page, "Search").click()
    page.locator("td a.title").first.click()
    page.get_by_text("As wide as a phone").click()
    button(page, "Delete").click()
    button(page, "Deutsch").click()
    expect(page.locator("html")).to_have_attribute("lang", "de")
