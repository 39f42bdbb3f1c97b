"""A secretary writes a letter in the editor, in a real browser on a real stack: nothing that she types is lost."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Dialog, FrameLocator, Page, expect

from tests.acceptance.stack import RunningStack, stack_in_new_folder, wait_until

PARENTS = "Vorname;Klasse;E-Mail\nEva;3b;eva@example.org\nBo;5a;bo@example.org\n"
PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c489"
    "0000000b49444154789c6360000200000500017a5eab3f0000000049454e44ae426082"
)


@pytest.fixture(scope="module")
def stack() -> Iterator[RunningStack]:
    with stack_in_new_folder("editor", workers=1) as running:
        yield running


def shown(page: Page) -> FrameLocator:
    """Return the frame of the preview that is in sight."""
    return page.frame_locator(".frames iframe:not(.later)")


def message(page: Page) -> FrameLocator:
    """Return the HTML of the message in the preview."""
    return shown(page).frame_locator("iframe")


def upload_parents(page: Page) -> None:
    page.goto("/")
    page.set_input_files("#id_file", {"name": "parents.csv", "mimeType": "text/csv", "buffer": PARENTS.encode()})
    page.get_by_role("button", name="Upload").click()
    page.wait_for_url("**/review/**")


def write_with_toolbar(page: Page) -> None:
    """Write the beginning of a letter with the toolbar and the button of a field, and see it in the preview."""
    letter = page.get_by_label("Letter", exact=True)
    letter.fill("Dear ")
    letter.press("End")
    page.get_by_role("button", name="{{ vorname }}").click()
    letter.press_sequentially(", you are ")
    page.get_by_role("button", name="Bold").click()
    letter.press_sequentially("invited")
    expect(letter).to_have_value("Dear {{ vorname }}, you are **invited**")
    expect(message(page).locator("p").first).to_have_text("Dear Eva, you are invited")
    expect(message(page).locator("strong")).to_have_text("invited")


def fix_by_one_click(page: Page) -> None:
    """Write a field of another program, and let its button correct it."""
    letter = page.get_by_label("Letter", exact=True)
    letter.press("End")
    letter.press_sequentially(" with *|KLASSE|*.")
    note = page.locator("#notes-source .warning")
    expect(note).to_contain_text("*|KLASSE|*")
    note.get_by_role("button", name="Write {{ klasse }}").click()
    expect(letter).to_have_value("Dear {{ vorname }}, you are **invited** with {{ klasse }}.")
    expect(note).to_have_count(0)
    expect(message(page).locator("p").first).to_have_text("Dear Eva, you are invited with 3b.")
    expect(page.locator("#checks")).to_contain_text("There is a text for people who read no HTML.")


def find_in_inbox(page: Page, subject: str, *, address: str) -> None:
    """Wait for a message. The page of the inbox does not move by itself."""

    def has_arrived() -> bool:
        page.goto(f"/inbox/?recipient={address}")
        return page.get_by_text(subject).count() > 0

    wait_until(has_arrived, within_seconds=60, what=f"The test to {address}")


def test_letter_is_written_with_toolbar_and_fields_and_its_test_arrives_at_both_addresses(page: Page) -> None:
    upload_parents(page)
    page.goto("/templates/new/")
    page.get_by_label("Name", exact=True).fill("Autumn party")
    page.get_by_label("Subject").fill("Our party")
    page.get_by_label("List whose fields and values are used").select_option(label="parents")
    write_with_toolbar(page)
    fix_by_one_click(page)
    page.get_by_label("Recipient in line").fill("3")
    page.get_by_label("Recipient in line").press("Tab")
    expect(message(page).locator("p").first).to_have_text("Dear Bo, you are invited with 5a.")
    page.get_by_label("Recipient in line").fill("2")
    page.get_by_label("Recipient in line").press("Tab")
    expect(shown(page).locator("body")).to_contain_text("To eva@example.org, line 2")
    page.get_by_text("Phone", exact=True).click()
    expect(shown(page).locator("iframe.phone")).to_be_visible()
    page.get_by_text("Text", exact=True).click()
    expect(shown(page).locator("pre")).to_contain_text("Dear Eva, you are invited with 3b.")

    page.get_by_role("button", name="Save and go on").click()
    page.wait_for_url(re.compile("/templates/autumn-party/edit/"))
    page.get_by_label("Send a test to").fill("one@example.org, two@example.org")
    page.get_by_role("button", name="Send a test").click()
    expect(page.locator(".notice.success")).to_contain_text("A test is on its way to one@example.org, two@example.org.")
    for address in ("one@example.org", "two@example.org"):
        find_in_inbox(page, "[Test] Our party", address=address)


def test_letter_is_offered_again_when_she_leaves_without_saving(page: Page) -> None:
    page.goto("/templates/new/")
    page.get_by_label("Name", exact=True).fill("Lost")
    page.get_by_label("Letter", exact=True).fill("Words that took an hour")
    expect(page.locator("#said")).to_contain_text("Not saved yet")
    asked: list[str] = []

    def leave(dialog: Dialog) -> None:
        asked.append(dialog.type)
        dialog.accept()

    page.on("dialog", leave)
    page.get_by_role("link", name="Batches", exact=True).click()
    page.wait_for_url("**/batches/")
    assert asked == ["beforeunload"]
    page.goto("/templates/new/")
    expect(page.locator("#draft")).to_contain_text("You wrote more here on")
    page.get_by_role("button", name="Bring it back").click()
    expect(page.get_by_label("Letter", exact=True)).to_have_value("Words that took an hour")
    expect(page.get_by_label("Name", exact=True)).to_have_value("Lost")
    page.get_by_label("Subject").fill("S")
    page.get_by_role("button", name="Save and go on").click()
    page.wait_for_url("**/templates/lost/edit/**")
    page.goto("/templates/new/")
    expect(page.locator("#draft")).to_be_hidden()


def save_letter(page: Page, name: str, words: str) -> str:
    """Save a new letter, and return its address."""
    page.goto("/templates/new/")
    page.get_by_label("Name", exact=True).fill(name)
    page.get_by_label("Subject").fill("S")
    page.get_by_label("Letter", exact=True).fill(words)
    page.get_by_role("button", name="Save and go on").click()
    page.wait_for_url("**/edit/**")
    return page.url


def type_and_leave(page: Page, words: str) -> None:
    """Type a letter, and go away without saving it."""
    page.get_by_label("Letter", exact=True).fill(words)
    expect(page.locator("#said")).to_contain_text("Not saved yet")
    page.goto("/batches/")


def test_draft_replaces_no_later_version_unseen(page: Page) -> None:
    page.on("dialog", lambda dialog: dialog.accept())
    address = save_letter(page, "Two people", "First")
    type_and_leave(page, "Mine")
    page.goto(address)
    page.get_by_role("button", name="Drop it").click()
    page.get_by_label("Letter", exact=True).fill("Mine")
    expect(page.locator("#said")).to_contain_text("Not saved yet")
    other = page.context.new_page()
    other.goto(address)
    other.get_by_label("Letter", exact=True).fill("Theirs")
    other.get_by_role("button", name="Save and go on").click()
    expect(other.locator(".notice.success")).to_be_visible()
    other.close()
    type_and_leave(page, "Mine, longer")
    page.goto(address)
    expect(page.locator("#draft")).to_contain_text("Another version was saved since.")
    page.get_by_role("button", name="Bring it back").click()
    page.get_by_role("button", name="Save and go on").click()
    expect(page.locator(".notice.error")).to_contain_text("saved version 2 of this template while you were writing")
    with page.context.expect_page() as opened:
        page.get_by_role("link", name="What was changed").click()
    expect(opened.value.locator("ins")).to_contain_text(["Theirs"])
    opened.value.close()
    expect(page.get_by_label("Letter", exact=True)).to_have_value("Mine, longer")
    page.get_by_role("button", name="Save and go on").click()
    expect(page.locator(".notice.success")).to_be_visible()
    page.goto(address)
    expect(page.get_by_label("Letter", exact=True)).to_have_value("Mine, longer")


def test_draft_is_still_offered_when_another_letter_was_written_meanwhile(page: Page) -> None:
    page.on("dialog", lambda dialog: dialog.accept())
    page.goto("/templates/new/")
    type_and_leave(page, "The first letter")
    page.goto("/templates/new/")
    expect(page.locator("#draft")).to_be_visible()
    type_and_leave(page, "The second letter")
    page.goto("/templates/new/")
    page.get_by_role("button", name="Bring it back").click()
    expect(page.get_by_label("Letter", exact=True)).to_have_value("The second letter")
    page.get_by_label("Name", exact=True).fill("Second")
    page.get_by_label("Subject").fill("S")
    page.get_by_role("button", name="Save and go on").click()
    page.wait_for_url("**/templates/second/edit/**")
    page.goto("/templates/new/")
    page.get_by_role("button", name="Bring it back").click()
    expect(page.get_by_label("Letter", exact=True)).to_have_value("The first letter")
    page.goto("/batches/")


def test_draft_in_html_comes_back_in_the_editor_of_html(page: Page) -> None:
    page.on("dialog", lambda dialog: dialog.accept())
    address = save_letter(page, "Goes on", "Dear {{ name }}")
    page.get_by_text("For programs", exact=True).click()
    page.get_by_role("button", name="Go on in HTML").click()
    page.get_by_label("HTML body").fill("<p>By hand {{ name }}")
    expect(page.locator("#said")).to_contain_text("Not saved yet")
    page.goto(address)
    page.get_by_role("button", name="Bring it back").click()
    expect(page.get_by_label("HTML body")).to_have_value("<p>By hand {{ name }}")
    page.get_by_role("button", name="Save and go on").click()
    expect(page.locator(".notice.success")).to_be_visible()
    page.goto(address)
    expect(page.get_by_label("HTML body")).to_have_value("<p>By hand {{ name }}")
    expect(page.locator("#draft")).to_be_hidden()


def test_nothing_is_asked_when_only_a_test_was_sent(page: Page) -> None:
    save_letter(page, "Tested", "Dear {{ name }}")
    page.get_by_label("Send a test to").fill("one@example.org")
    page.get_by_role("button", name="Send a test").click()
    expect(page.locator(".notice.success")).to_contain_text("A test is on its way")
    asked: list[str] = []

    def leave(dialog: Dialog) -> None:
        asked.append(dialog.type)
        dialog.accept()

    page.on("dialog", leave)
    page.get_by_role("link", name="Batches", exact=True).click()
    page.wait_for_url("**/batches/")
    assert asked == []


def test_picture_is_inserted_and_seen_in_the_preview_when_it_was_chosen(page: Page) -> None:
    page.goto("/templates/new/")
    page.set_input_files("#id_picture", {"name": "hall.png", "mimeType": "image/png", "buffer": PNG})
    letter = page.get_by_label("Letter", exact=True)
    expect(letter).to_have_value(re.compile(r"^!\[hall\]\(http.*/pictures/[0-9a-f]{64}\.png\)$"))
    page.get_by_label("Subject").fill("S")
    picture = message(page).locator("img")
    expect(picture).to_have_attribute("alt", "hall")
    expect(picture).to_have_js_property("naturalWidth", 1)
    page.evaluate("window.onbeforeunload = null; document.getElementById('id_source').value = ''")


def test_what_was_typed_is_forgotten_when_she_signs_out(page: Page) -> None:
    page.goto("/templates/new/")
    page.get_by_label("Name", exact=True).fill("Secret")
    expect(page.locator("#said")).to_contain_text("Not saved yet")
    assert page.evaluate("Object.keys(localStorage).filter((key) => key.startsWith('draft:')).length") == 1
    page.on("dialog", lambda dialog: dialog.accept())
    page.goto("/templates/")
    page.get_by_role("button", name="Sign out").click()
    page.wait_for_url("**/accounts/login/**")
    assert page.evaluate("Object.keys(localStorage).filter((key) => key.startsWith('draft:')).length") == 0


@pytest.fixture
def plain_page(chromium: Browser, stack: RunningStack) -> Iterator[Page]:
    """A tab that runs no script."""
    context = chromium.new_context(base_url=stack.url, java_script_enabled=False)
    yield context.new_page()
    context.close()


def test_letter_is_written_fixed_and_saved_without_a_script(plain_page: Page, stack: RunningStack) -> None:
    page = plain_page
    page.goto("/accounts/login/")
    page.fill('[name="username"]', stack.username)
    page.fill('[name="password"]', stack.password)
    page.keyboard.press("Enter")
    page.wait_for_url(stack.url)
    page.goto("/templates/new/")
    page.fill('[name="name"]', "Plain")
    page.fill('[name="subject"]', "S")
    page.fill('[name="source"]', "Dear [Vorname],\nhello.")
    page.get_by_role("button", name="Preview", exact=True).click()
    expect(page.frame_locator('iframe[name="preview"]').frame_locator("iframe").locator("p").first).to_contain_text(
        "Dear [Vorname],"
    )
    page.locator('[name="fields"]').click()
    page.get_by_role("button", name="Write {{ Vorname }}").click()
    expect(page.locator('[name="source"]')).to_have_value("Dear {{ Vorname }},\nhello.")
    page.get_by_role("button", name="Save and go on").click()
    expect(page).to_have_url(re.compile("/templates/plain/edit/"))
