"""A school secretary's letters, from the spreadsheet to the inbox, in a real browser on a real stack."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.acceptance.browser import take_picture
from tests.acceptance.client import Client
from tests.acceptance.lists.judge import post_file
from tests.acceptance.secretary import Secretary
from tests.acceptance.stack import PROJECT_DIR, RunningStack, stack_in_new_folder

LISTS = PROJECT_DIR / "tests" / "data" / "lists"
ROW_COUNT, ADDRESS_COUNT = 1_000, 700
CHILDREN = """Dear {{ parent }},
{% for row in rows %}[{{ row.child }}]
{% endfor %}"""


@pytest.fixture(scope="module")
def stack() -> Iterator[RunningStack]:
    with stack_in_new_folder("walks", workers=2) as running:
        yield running


def write_letter(page: Page, name: str, *, subject: str, text: str) -> None:
    """Save a new template, as a person types it."""
    page.goto("/templates/new/?kind=html")
    page.fill('[name="name"]', name)
    page.fill('[name="subject"]', subject)
    page.fill('[name="text"]', text)
    page.get_by_role("button", name="Save", exact=True).click()
    page.wait_for_url("**/templates/")


def upload_sheet(page: Page, filename: str, *, letter: str) -> None:
    """Upload a spreadsheet, and choose the letter in the review."""
    page.goto("/")
    page.set_input_files("#id_file", LISTS / filename)
    page.check('input[name="then"][value="review"]')
    page.get_by_role("button", name="Upload").click()
    page.wait_for_url(re.compile(r"/review/"))
    page.select_option('select[name="template"]', label=letter)
    page.get_by_role("button", name="Show", exact=True).click()


def send(page: Page, *, count: int) -> None:
    """Press the button that names this number of recipients, and wait for the end of the batch."""
    page.get_by_role("button", name=f"Send to {count} recipients").click()
    page.wait_for_url(re.compile(r"/batches/\d+/$"))
    expect(page.locator("#status")).to_contain_text("Completed", timeout=60_000)


def mails_since(stack: RunningStack, earlier: int) -> list[tuple[str, str]]:
    """Return the address and the text of each mail that came after the first ``earlier`` ones."""
    return [
        (recipient, mail.get_content().replace("\r\n", "\n").strip())
        for recipient, mail in list(stack.mails())[earlier:]
    ]


def test_members_get_their_names_when_fields_are_written_like_the_headings(stack: RunningStack, page: Page) -> None:
    earlier = stack.mail_count()
    write_letter(page, "Mitgliederbrief", subject="Für {{ Vorname }}", text="Liebe/r {{ Vorname }} {{ Nachname }},")
    upload_sheet(page, "mitglieder-2026.xlsx", letter="Mitgliederbrief")
    expect(page.locator("#message")).to_contain_text("Liebe/r Jana Müller,")
    take_picture(page, "walk-members-review")
    send(page, count=55)
    expected = {
        "jana.mueller@example.org": "Liebe/r Jana Müller,",
        "soeren@example.org": "Liebe/r Søren Østergaard,",
        "lucja@example.org": "Liebe/r Łucja Wiśniewska,",
        "thomas@example.org": "Liebe/r Thomas ,",
    }
    expected |= {f"mitglied{n}@example.org": f"Liebe/r Vorname{n} Nachname{n}," for n in range(9, 60)}
    mails = mails_since(stack, earlier)
    assert len(mails) == 55 and dict(mails) == expected


def test_both_members_get_mail_when_the_cell_with_two_addresses_is_split(stack: RunningStack, page: Page) -> None:
    earlier = stack.mail_count()
    write_letter(page, "Ehepaarbrief", subject="Hallo", text="{{ Anrede }} {{ Vorname }} {{ Nachname }}")
    upload_sheet(page, "mitglieder-2026.xlsx", letter="Ehepaarbrief")
    page.get_by_role("button", name="Make each address a recipient").click()
    send(page, count=57)
    mails = dict(mails_since(stack, earlier))
    assert mails["karl.berg@example.org"] == mails["eva.berg@example.org"] == "Eheleute Karl & Eva Berg"


def test_both_parents_get_mail_when_the_review_is_told_so(stack: RunningStack, page: Page) -> None:
    earlier = stack.mail_count()
    write_letter(page, "Elternbrief", subject="Klasse {{ Klasse }}", text="Liebe Eltern von {{ Kind }}!")
    upload_sheet(page, "eltern.xlsx", letter="Elternbrief")
    expect(page.locator("#list")).to_contain_text("E-Mail Mutter")
    expect(page.locator("#list")).to_contain_text("E-Mail Vater")
    take_picture(page, "walk-parents-before")
    page.get_by_role("button", name=re.compile("Both, one mail each")).click()
    take_picture(page, "walk-parents-both")
    send(page, count=13)
    expected = {f"vater{n}@example.org": f"Liebe Eltern von Kind {n}!" for n in range(1, 8)}
    expected |= {f"mutter{n}@example.org": f"Liebe Eltern von Kind {n}!" for n in (1, 2, 4, 5, 6, 7)}
    mails = mails_since(stack, earlier)
    assert len(mails) == 13 and dict(mails) == expected


def test_title_is_no_header_when_it_is_above_the_headings(stack: RunningStack, page: Page) -> None:
    earlier = stack.mail_count()
    write_letter(page, "Probenbrief", subject="Probe", text="Hallo {{ Name }} mit der {{ Instrument }}")
    upload_sheet(page, "mitgliederliste-mit-titel.xlsx", letter="Probenbrief")
    take_picture(page, "walk-title")
    send(page, count=11)
    assert dict(mails_since(stack, earlier)) == {
        f"person{n}@example.org": f"Hallo Person {n} mit der Flöte" for n in range(1, 12)
    }


def test_each_row_is_in_exactly_one_mail_when_rows_share_addresses(stack: RunningStack, client: Client) -> None:
    secretary = Secretary(stack)
    is_saved, said = secretary.save_template("children", subject="Your children", text=CHILDREN)
    assert is_saved, said
    parents = [n % ADDRESS_COUNT for n in range(ROW_COUNT)]
    lines = [f"Parent {n},p{n}@family.example.org,child-{row}" for row, n in enumerate(parents)]
    content = "\n".join(["parent,email,child", *lines]).encode()
    earlier = stack.mail_count()
    status, answer = post_file(
        client,
        "/api/upload",
        content=content,
        filename="children.csv",
        templateId="children",
        sharedAddresses="together",
    )
    assert status == 202, answer
    assert client.wait_for_end(answer["batchId"])["sentCount"] == ADDRESS_COUNT
    mails = mails_since(stack, earlier)
    assert len(mails) == len(dict(mails)) == ADDRESS_COUNT
    children = {address: re.findall(r"\[(child-\d+)\]", text) for address, text in mails}
    assert Counter(name for names in children.values() for name in names) == Counter(
        f"child-{row}" for row in range(ROW_COUNT)
    )
    assert all(f"child-{row}" in children[f"p{n}@family.example.org"] for row, n in enumerate(parents))
    assert all(text.startswith(f"Dear Parent {address[1:].partition('@')[0]},") for address, text in mails)


def test_near_column_is_taken_by_one_button_when_the_letter_has_another_name(stack: RunningStack, page: Page) -> None:
    earlier = stack.mail_count()
    write_letter(page, "Namensbrief", subject="Hallo", text="Hallo {{ Vornamen }}!")
    upload_sheet(page, "mitglieder-2026.xlsx", letter="Namensbrief")
    expect(page.get_by_role("button", name="Send to 55 recipients")).to_be_disabled()
    take_picture(page, "walk-near")
    page.get_by_role("button", name="Use vorname").click()
    send(page, count=55)
    assert dict(mails_since(stack, earlier))["lucja@example.org"] == "Hallo Łucja!"
