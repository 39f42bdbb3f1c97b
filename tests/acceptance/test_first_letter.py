"""The secretary's walk: from the sign-in to a letter of her own, sent to her own Excel list, and its clicks counted."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.acceptance.browser import running_browser
from tests.acceptance.lists.files import Sheet, make_xlsx
from tests.acceptance.stack import RunningStack, stack_in_new_folder

CLICKS_MAX = 9

MEMBERS = make_xlsx(
    Sheet(
        rows=[
            ["Musikverein Harmonie, Mitglieder", "", "", ""],
            ["Vorname", "Nachname", "E-Mail", "Instrument"],
            ["Zoë", "Meyer", "zoe@example.org", "Horn"],
            ["Jürgen", "Groß", "juergen@example.org", "Tuba"],
            ["Ana", "Núñez", "ana@example.org", "Flöte"],
        ]
    )
)
LETTER = "Liebe/r {{ Vorname }} {{ Nachname }},\n\nam **Freitag** ist Probe. Bring bitte {{ Instrument }} mit."


class Hand:
    """The hand of a person: it presses and types, and counts what it presses."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.clicks = 0

    def press(self, thing: Locator) -> None:
        self.clicks += 1
        thing.click()

    def choose_file(self, thing: Locator, name: str, content: bytes) -> None:
        """Choose a file: a click that opens the dialogue, and one on the file in it."""
        self.clicks += 2
        kind = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
        thing.set_input_files({"name": name, "mimeType": kind, "buffer": content})


@pytest.fixture(scope="module")
def stack() -> Iterator[RunningStack]:
    with stack_in_new_folder("first-letter", workers=1) as running:
        yield running


@pytest.fixture
def page(stack: RunningStack) -> Iterator[Page]:
    """A tab of somebody who has not signed in."""
    with running_browser() as browser:
        context = browser.new_context(base_url=stack.url, viewport={"width": 1280, "height": 900})
        yield context.new_page()
        context.close()


def test_own_letter_goes_to_an_own_list_in_nine_clicks(page: Page, stack: RunningStack) -> None:
    hand = Hand(page)
    page.goto("/")
    page.fill('[name="username"]', stack.username)
    page.fill('[name="password"]', stack.password)
    hand.press(page.get_by_role("button", name="Sign in", exact=True))
    hand.press(page.get_by_role("link", name="Write your own"))
    page.fill('[name="name"]', "Probe am Freitag")
    page.fill('[name="subject"]', "Probe: {{ Vorname }}")
    page.fill('[name="source"]', LETTER)
    hand.press(page.get_by_role("button", name="Save", exact=True))
    page.wait_for_url("**/templates/")
    hand.press(page.get_by_role("link", name="Send", exact=True))
    hand.choose_file(page.locator("#id_file"), "Mitglieder 2026.xlsx", MEMBERS)
    hand.clicks += 1  # the select of the letter: the keyboard chooses in it
    page.select_option("#id_template", label="Probe am Freitag")
    hand.press(page.get_by_role("button", name="Upload"))
    expect(page.locator(".mail")).to_contain_text("Probe: Zoë")
    expect(page.frame_locator(".mail iframe").locator("body")).to_contain_text("Liebe/r Zoë Meyer")
    hand.press(page.get_by_role("button", name="Send to 3 recipients"))
    expect(page.locator("h1")).to_have_text("Mitglieder 2026")
    expect(page.locator('dd[data-count="sent"]')).to_have_text("3", timeout=30_000)
    assert hand.clicks <= CLICKS_MAX
