"""A sender from the admin to the header of a mail, in a real browser on a real stack with a worker."""

from __future__ import annotations

import re
from collections.abc import Iterator
from email import message_from_bytes
from email.header import decode_header, make_header
from email.utils import getaddresses

import pytest
from playwright.sync_api import Page, expect

from tests.acceptance.stack import RunningStack, stack_in_new_folder, wait_until

LIST = b"name,email\nAnn,ann@example.org\nBo,bo@example.org\n"
PARENTS = "Association of Parents, Teachers and Friends of the Northtown Primary School"
CJK = "北町小学校" * 12
SENDERS = [
    ("parents", PARENTS, "parents@example.org", "Desk, 2nd floor <desk@example.org>"),
    ("cjk", CJK, "news@bücher.example", ""),
]


@pytest.fixture(scope="module")
def stack() -> Iterator[RunningStack]:
    with stack_in_new_folder("senders", workers=1) as running:
        yield running


def add_sender(page: Page, *, key: str, name: str, address: str, reply_to: str) -> None:
    page.goto("/admin/batches/sender/add/")
    for field, value in {"display_name": name, "address": address, "reply_to": reply_to}.items():
        page.fill(f"#id_{field}", value)
    page.press("#id_reply_to", "Tab")  # the admin's script now makes a key of the name
    page.fill("#id_key", key)
    page.click('[name="_save"]')
    expect(page.locator(".messagelist .success")).to_contain_text("was added successfully")
    expect(page.locator("#result_list .field-key")).to_contain_text([key])


def test_mail_has_the_sender_that_was_chosen_on_the_page(page: Page, stack: RunningStack) -> None:
    for key, name, address, reply_to in SENDERS:
        add_sender(page, key=key, name=name, address=address, reply_to=reply_to)
    page.goto("/")
    page.select_option("#id_sender", "parents")
    page.set_input_files("#id_file", {"name": "list.csv", "mimeType": "text/csv", "buffer": LIST})
    page.get_by_role("button", name="Upload").click()
    page.wait_for_url(re.compile(r"/review/\?.*sender=parents"))
    expect(page.locator(".mail dl")).to_contain_text(f"{PARENTS} <parents@example.org>")
    page.select_option("#id_sender", "cjk")  # the script shows the message again
    page.wait_for_url(re.compile("sender=cjk"))
    expect(page.locator(".mail dl")).to_contain_text(f"{CJK} <news@xn--bcher-kva.example>")
    page.select_option("#id_sender", "parents")
    page.wait_for_url(re.compile("sender=parents"))
    page.click("#send")
    expect(page.locator("#sender")).to_contain_text(f"{PARENTS} <parents@example.org>")
    expect(page.locator("#message")).to_contain_text("Desk")
    wait_until(lambda: stack.mail_count() == 2, within_seconds=30, what="The mail of the first batch")
    for _, message in stack.mails():
        (sender,) = message["From"].addresses
        assert (sender.display_name, sender.addr_spec) == (PARENTS, "parents@example.org")
        (answers,) = message["Reply-To"].addresses
        assert (answers.display_name, answers.addr_spec) == ("Desk, 2nd floor", "desk@example.org")
        assert message["Message-ID"].endswith("@example.org>")

    page.goto("/")
    page.select_option("#id_sender", "cjk")
    batch_id = send_at_once(page)
    wait_until(lambda: stack.mail_count() == 4, within_seconds=30, what="The mail of the second batch")
    _, raw = list(stack.raw_mails())[-1]
    second = message_from_bytes(raw)  # the newer parser of the library puts spaces between encoded words
    ((name, address),) = getaddresses([second["From"]])
    assert (str(make_header(decode_header(name))), address) == (CJK, "news@xn--bcher-kva.example")
    assert "Reply-To" not in second
    assert stack.query(
        "SELECT s.key FROM batches_emailjob j JOIN batches_sender s ON s.id = j.sender_id WHERE j.batch_id = %s",
        batch_id,
    ) == [("cjk",)]


def send_at_once(page: Page) -> int:
    page.set_input_files("#id_file", {"name": "list.csv", "mimeType": "text/csv", "buffer": LIST})
    page.check('input[name="then"][value="send"]')
    page.get_by_role("button", name="Upload").click()
    page.locator("#send").click()  # the question
    page.wait_for_url(re.compile(r"/batches/\d+/$"))
    return int(page.url.rstrip("/").rpartition("/")[2])
