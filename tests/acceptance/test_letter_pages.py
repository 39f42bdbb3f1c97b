"""The check of every letter and the notes of a template, in a real browser on a real stack with a worker."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import FrameLocator, Page, expect

from tests.acceptance.stack import RunningStack, stack_in_new_folder

ROWS = 400
PEOPLE = "Vorname;Anrede 2;Punkte;E-Mail\n" + "".join(
    f"Zoë;Frau;{'krank' if row in (7, 19) else row};p{row}@example.org\n" for row in range(2, ROWS + 2)
)
POINTS = "Liebe {{ Vorname }}, {% if Punkte > 100 %}viele Punkte{% else %}weiter so{% endif %}."


@pytest.fixture(scope="module")
def stack() -> Iterator[RunningStack]:
    with stack_in_new_folder("letters", workers=1) as running:
        yield running


def open_review(page: Page, *, key: str, text: str) -> None:
    """Write a template, upload the list, and choose the template in the review."""
    page.goto("/templates/new/?kind=html")
    for name, value in {"name": key, "subject": "Hallo", "text": text}.items():
        page.fill(f'[name="{name}"]', value)
    page.get_by_role("button", name="Save", exact=True).click()
    page.wait_for_url("**/templates/")
    page.goto("/")
    page.set_input_files("#id_file", {"name": "people.csv", "mimeType": "text/csv", "buffer": PEOPLE.encode()})
    page.get_by_role("button", name="Upload").click()
    page.wait_for_url("**/review/**")
    page.goto(f"{page.url.partition('?')[0]}?template={key}")


def shown(page: Page) -> FrameLocator:
    """Return the frame of the preview that is in sight."""
    return page.frame_locator(".frames iframe:not(.later)")


def test_faulty_rows_are_found_without_a_click_and_one_leads_to_its_message(page: Page) -> None:
    open_review(page, key="points", text=POINTS)
    letters = page.locator("#letters")
    expect(letters).to_contain_text(f"2 of {ROWS} letters have a fault. They would not be sent.", timeout=30_000)
    expect(letters).to_contain_text("Punkte is “krank”, which is not a number.")
    letters.get_by_role("link", name="19").click()
    expect(page).to_have_url(re.compile("row=19"))
    expect(page.get_by_label("Preview as")).to_have_value("19")
    expect(page.locator("#message .notice.error").first).to_contain_text("krank")


def test_near_column_is_used_by_one_click_and_the_letters_are_checked_again(page: Page) -> None:
    open_review(page, key="greeting", text="Liebe {{ Anrede }} {{ Vorname }}")
    expect(page.locator("#message")).to_contain_text("The letter uses a field for which the list has no column: Anrede")
    expect(page.locator("#letters")).to_have_count(0)
    page.get_by_role("button", name="Use anrede_2").click()
    expect(page.locator(".mail")).to_contain_text("Liebe Frau Zoë")
    done = f"All {ROWS} letters were checked. None has a fault."
    expect(page.locator("#letters")).to_contain_text(done, timeout=30_000)


@pytest.mark.parametrize("width", [1440, 360])
def test_notes_on_a_template_are_beside_the_part_that_they_are_about(width: int, page: Page) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    page.goto("/templates/new/?kind=html")
    page.fill('[name="subject"]', "Hallo")
    page.fill('[name="text"]', "Dear [name],\n{{ first name")
    notes = page.locator("#notes-text")
    expect(notes.locator(".error")).to_contain_text("Line 2: The tag that begins with “{{ first name” has no end.")
    expect(notes.locator(".warning")).to_contain_text("The text body has [name] in line 1.")
    page.fill('[name="text"]', "Dear {{ Vorname }}")
    expect(notes.locator("p")).to_have_count(0)
    expect(shown(page).locator("pre")).to_have_text("Dear Ada")


@pytest.mark.parametrize(("name", "key"), [("Parents' evening (4b)", "parents-evening-4b"), ("Größe", "grosse")])
def test_key_is_shown_while_the_name_is_typed_and_is_the_one_that_is_saved(page: Page, name: str, key: str) -> None:
    page.goto("/templates/new/?kind=html")
    page.get_by_label("Name", exact=True).fill(name)
    page.get_by_text("For programs", exact=True).click()
    expect(page.get_by_label("Key")).to_have_attribute("placeholder", key)
    expect(page.get_by_label("Key")).to_have_value("")
    page.get_by_label("Subject").fill("S")
    page.get_by_label("Text body").fill("T")
    page.get_by_role("button", name="Save and go on").click()
    page.wait_for_url(f"**/templates/{key}/edit/")
    expect(page.locator('[name="key"]')).to_have_value(key)
