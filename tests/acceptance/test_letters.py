"""Every example of docs/letters.md, from the page where a letter is saved to the inbox."""

from __future__ import annotations

import time
from collections.abc import Iterator
from email.message import EmailMessage
from typing import Any

import pytest

from tests.acceptance.client import Client, Json
from tests.acceptance.letter_page import (
    Example,
    Mail,
    find_changes,
    find_conditions,
    find_examples,
    find_foreign_tags,
    find_refused,
)
from tests.acceptance.lists.judge import post_file
from tests.acceptance.secretary import Secretary
from tests.acceptance.stack import RunningStack, stack_in_new_folder, wait_until

EXAMPLES = find_examples()
CHANGES_LIST, CHANGES = find_changes()
PEOPLE = (
    "Anrede,Instrument,E-Mail\nFrau,Flute,a@example.org\nFrau,,b@example.org\n"
    "Herr,Horn,c@example.org\n,,d@example.org\n"
)
TRUE_FOR = {
    "{% if Instrument %}": "ac",
    "{% if not Instrument %}": "bd",
    '{% if Anrede == "Frau" %}': "ab",
    '{% if Anrede != "Frau" %}': "cd",
    '{% if Anrede == "Frau" and Instrument %}': "a",
    '{% if Anrede in ["Frau", "Herr"] %}': "abc",
}
"""For whom of PEOPLE each condition of the page's table is true."""


@pytest.fixture(scope="module")
def stack() -> Iterator[RunningStack]:
    with stack_in_new_folder("letters", workers=1) as running:
        yield running


@pytest.fixture(scope="module")
def secretary(stack: RunningStack) -> Secretary:
    return Secretary(stack)


@pytest.fixture
def key() -> str:
    """The key of a template that only this test has."""
    return f"letter-{time.monotonic_ns()}"


def save(secretary: Secretary, key: str, *, text: str, subject: str = "Letter") -> str:
    is_saved, page = secretary.save_letter(key, subject=subject, text=text)
    assert is_saved, page
    return page


def upload(client: Client, content: str, **form: str) -> Json:
    status, answer = post_file(client, "/api/upload", content=content.encode(), filename="list.csv", **form)
    assert status == 202, answer
    return answer


def read_text(mail: EmailMessage) -> str:
    """Return the text part of a mail, without the blank lines at its end."""
    part = mail.get_body(preferencelist=("plain",))
    assert part
    return str(part.get_content()).replace("\r\n", "\n").rstrip("\n")


def send_mails(stack: RunningStack, client: Client, example: Example, key: str) -> list[Mail]:
    """Send the letter to its list, and return the mails that arrive, by address and subject."""
    earlier = stack.mail_count()
    batch_id = upload(client, example.content, templateId=key, sharedAddresses=example.shared)["batchId"]
    client.wait_for_end(batch_id)
    arrived = list(stack.mails())[earlier:]
    mails = [Mail(to=recipient, subject=str(mail["Subject"]), text=read_text(mail)) for recipient, mail in arrived]
    return sorted(mails, key=lambda mail: (mail.to, mail.subject))


@pytest.mark.parametrize(
    "example", [pytest.param(each, id=f"{each.section}-{n}") for n, each in enumerate(EXAMPLES) if each.mails]
)
def test_mail_is_as_the_page_prints_it(
    stack: RunningStack, client: Client, secretary: Secretary, example: Example, key: str
) -> None:
    save(secretary, key, subject=example.subject, text=example.text)
    expected = sorted(example.mails, key=lambda mail: (mail.to, mail.subject))
    assert send_mails(stack, client, example, key) == expected


@pytest.mark.parametrize("example", [each for each in EXAMPLES if each.fault_row], ids=lambda each: each.section)
def test_row_with_a_fault_is_named_as_the_page_says(
    client: Client, secretary: Secretary, example: Example, key: str
) -> None:
    save(secretary, key, subject=example.subject, text=example.text)
    batch_id = upload(client, example.content, draft="true")["batchId"]
    check = check_letters(client, batch_id, key)
    assert [fault["rows"] for fault in check["faults"]] == [[example.fault_row]]
    reason = check["faults"][0]["reason"]
    assert [word for word in example.fault_words if word not in reason] == [], reason


def check_letters(client: Client, batch_id: int, key: str) -> Json:
    """Check the letter of every row, and wait for the end of it."""
    path = f"/api/batches/{batch_id}/letters?templateId={key}"
    status, answer = client.request("POST", path)
    assert status in (200, 202), answer
    found: dict[str, Any] = {}

    def has_ended() -> bool:
        found.update(client.get(path))
        return bool(found["state"] == "done")

    wait_until(has_ended, within_seconds=30, what="The end of the letter check")
    return found


@pytest.mark.parametrize(("field", "shown"), CHANGES, ids=[field for field, _ in CHANGES])
def test_changed_field_shows_what_the_page_says(client: Client, field: str, shown: str) -> None:
    batch_id = upload(client, CHANGES_LIST, draft="true")["batchId"]
    assert preview(client, batch_id, row=2, text=f"<{field}>") == f"<{shown}>"


def preview(client: Client, batch_id: int, *, row: int, text: str) -> str:
    options = {"batchId": batch_id, "row": row, "subject": "Letter", "html": "", "text": text}
    status, answer = client.request("POST", "/api/templates/welcome_email/preview", options)
    assert status == 200, answer
    return str(answer["text"])


@pytest.mark.parametrize("condition", [condition for condition, _ in find_conditions()])
def test_condition_is_true_for_whom_the_page_says(client: Client, condition: str) -> None:
    batch_id = upload(client, PEOPLE, draft="true")["batchId"]
    letter = f"{condition}yes{{% endif %}}"
    rows = {name: preview(client, batch_id, row=row, text=letter) for row, name in enumerate("abcd", start=2)}
    assert "".join(name for name, text in rows.items() if text == "yes") == TRUE_FOR[condition]


@pytest.mark.parametrize(("letter", "word"), find_refused(), ids=[letter for letter, _ in find_refused()])
def test_letter_that_cannot_work_is_refused(secretary: Secretary, key: str, letter: str, word: str) -> None:
    is_saved, page = secretary.save_letter(key, subject="Letter", text=letter)
    assert not is_saved
    assert word in page


@pytest.mark.parametrize("tag", find_foreign_tags())
def test_field_of_another_program_is_pointed_out(secretary: Secretary, key: str, tag: str) -> None:
    is_saved, page = secretary.save_letter(key, subject="Letter", text=f"Dear {tag}, welcome.")
    assert is_saved
    assert f"has {tag} in line 1" in page


HEADINGS = (
    *("Anrede/Titel", "Vor- und Nachname", "Preis in €", "Nr.", "Tel.-Nr.", "3. Kind", "Größe (cm)", "Date of birth"),
    *("Name & Ort", "Ja/Nein", "名前", "Имя и отчество", "المدينة", "Ημ/νία"),
)


@pytest.mark.parametrize("heading", HEADINGS)
def test_heading_as_it_is_written_is_its_field(client: Client, heading: str) -> None:
    batch_id = upload(client, f"E-Mail;{heading}\nann@example.org;Mia\n", draft="true")["batchId"]
    assert preview(client, batch_id, row=2, text=f"<{{{{ {heading} }}}}>") == "<Mia>"


def test_heading_of_the_address_column_is_the_address(
    stack: RunningStack, client: Client, secretary: Secretary, key: str
) -> None:
    save(secretary, key, text="{{ Kind }}: {{ E-Mail Mutter }}")
    content = (
        "Kind,E-Mail Mutter,E-Mail Vater\nMia,eva@example.org,bo@example.org\nTom,ann@example.org,cy@example.org\n"
    )
    draft = upload(client, content, draft="true")["batchId"]
    assert preview(client, draft, row=2, text="{{ E-Mail Mutter }}") == "eva@example.org"
    assert client.get(f"/api/batches/{draft}/review?templateId={key}")["missingFields"] == []
    earlier = stack.mail_count()
    client.wait_for_end(upload(client, content, templateId=key)["batchId"])
    texts = sorted((to, read_text(mail)) for to, mail in list(stack.mails())[earlier:])
    assert texts == [("ann@example.org", "Tom: ann@example.org"), ("eva@example.org", "Mia: eva@example.org")]


def test_page_has_examples_of_each_kind() -> None:
    assert len(EXAMPLES) >= 8 and len(CHANGES) >= 8 and len(find_conditions()) == len(TRUE_FOR)
    assert len(find_refused()) >= 5 and len(find_foreign_tags()) == 5
    assert all(each.mails or each.fault_row for each in EXAMPLES)
