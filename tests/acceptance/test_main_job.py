"""The main job as a person does it: upload 10,000 lines in Chromium, and each valid recipient gets one email."""

from __future__ import annotations

import contextlib
import csv
import email
import html
import io
import os
import re
import signal
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from email.header import decode_header, make_header
from email.message import Message

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.acceptance.browser import running_browser, signed_in_page, take_picture, upload_and_send
from tests.acceptance.client import Client
from tests.acceptance.recipients import RecipientFile, make_recipient_file
from tests.acceptance.stack import RunningStack, stack_in_new_folder

GOOD, BAD, DUPLICATES = 9975, 22, 3
RUN_SECONDS = 120
"""Generous, because the machine may be busy: an idle one takes 3 s."""


@dataclass(frozen=True, kw_only=True)
class Sent:
    """A large file that was sent, and the page that showed its progress."""

    stack: RunningStack
    file: RecipientFile
    page: Page
    batch_id: int
    percents: list[int]
    """The percentages that the page showed, in order."""


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with running_browser() as browser:
        yield browser


@pytest.fixture(scope="module")
def stack() -> Iterator[RunningStack]:
    with stack_in_new_folder("main", workers=2) as running:
        yield running


@contextlib.contextmanager
def sleeping(pids: list[int]) -> Iterator[None]:
    """Stop processes, and let them continue at the end."""
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


@pytest.fixture(scope="module")
def sent(chromium: Browser, stack: RunningStack) -> Iterator[Sent]:
    file = make_recipient_file()
    with signed_in_page(chromium, stack) as page:
        # The workers sleep until the page is open, so that it shows the whole way even on a slow machine.
        with sleeping(stack.worker_pids()):
            batch_id = upload_and_send(page, filename="members.csv", content=file.content)
            page.evaluate(
                """() => {
                     const shown = document.querySelector('[data-count="percent"]');
                     window.percents = [Number(shown.textContent)];
                     new MutationObserver(() => window.percents.push(Number(shown.textContent)))
                       .observe(shown, {childList: true});
                   }"""
            )
        some = re.compile("[2-9].|100")
        expect(page.locator('[data-count="percent"]')).to_have_text(some, timeout=RUN_SECONDS * 1000)
        take_picture(page, "main-job-running")
        expect(page.locator('[data-count="percent"]')).to_have_text("100", timeout=RUN_SECONDS * 1000)
        expect(page.locator("#status")).to_contain_text("Completed")
        assert page.evaluate("window.isSamePage")
        take_picture(page, "main-job-completed")
        percents = page.evaluate("window.percents")
        yield Sent(stack=stack, file=file, page=page, batch_id=batch_id, percents=percents)


def test_page_counts_up_to_the_end_without_a_reload(sent: Sent) -> None:
    assert sent.percents == sorted(sent.percents)
    assert sent.percents[-1] == 100
    assert len(sent.percents) >= 3


def test_page_table_api_and_inbox_agree_when_all_emails_are_sent(sent: Sent) -> None:
    page, stack = sent.page, sent.stack
    for name, text in {"sent": "9,975", "failed": "0"}.items():
        expect(page.locator(f'[data-count="{name}"]')).to_have_text(text)
    expect(page.locator('[data-number="sent"]')).to_have_text("9,975")
    expect(page.locator('[data-words="outcome"]')).to_be_hidden()  # nothing went wrong
    expect(page.locator('[data-count="pending"]')).to_be_hidden()
    by_status = "SELECT status, count(*) FROM batches_email WHERE batch_id = %s GROUP BY status"
    assert stack.query(by_status, sent.batch_id) == [("sent", GOOD)]
    by_outcome = "SELECT outcome, a.code, count(*) FROM batches_attempt a JOIN batches_email e ON e.id = email_id"
    by_outcome += " WHERE batch_id = %s GROUP BY 1, 2"
    assert stack.query(by_outcome, sent.batch_id) == [("sent", 250, GOOD)]
    batch = Client(stack).batch(sent.batch_id)
    assert (batch["status"], batch["totalEmails"], batch["processedCount"]) == ("completed", GOOD, GOOD)
    assert (batch["sentCount"], batch["failedCount"], batch["pendingCount"]) == (GOOD, 0, 0)
    assert (batch["rejectedRows"], batch["duplicateRows"]) == (BAD, DUPLICATES)
    copies = Counter(recipients for recipients, _ in stack.raw_mails() if recipients in sent.file.names)
    assert set(copies) == set(sent.file.names)
    assert set(copies.values()) == {1}


def test_each_email_has_the_name_of_its_recipient_in_subject_text_and_html(sent: Sent) -> None:
    checked = 0
    for recipients, raw in sent.stack.raw_mails():
        name = sent.file.names.get(recipients)
        if name is None:
            continue  # an email of another test
        mail = email.message_from_bytes(raw)
        bodies = {part.get_content_type(): body_of(part) for part in mail.walk() if not part.is_multipart()}
        assert str(make_header(decode_header(mail["Subject"]))) == f"Welcome, {name}!"
        assert mail["To"] == recipients
        assert f"Hello {name},\n" in bodies["text/plain"].replace("\r\n", "\n")
        assert f">Welcome, {name}!<" in html.unescape(bodies["text/html"])
        assert "<b>Bo" not in bodies["text/html"]
        assert max(map(len, raw.split(b"\r\n"))) <= 998
        checked += 1
    assert checked == GOOD


def body_of(part: Message) -> str:
    content = part.get_payload(decode=True)
    assert isinstance(content, bytes)
    return content.decode(part.get_content_charset("ascii"))


def test_rejected_rows_are_listed_with_line_and_reason_on_the_page(sent: Sent) -> None:
    page = sent.page
    page.click("text=Rejected rows 25")
    rows = page.locator("#rows tbody tr")
    expect(rows).to_have_count(BAD + DUPLICATES)
    take_picture(page, "main-job-rejected")
    shown = {int(row.locator("td").nth(0).inner_text()): row.locator("td").nth(2).inner_text() for row in rows.all()}
    assert_reasons(shown, sent.file)


def test_rejected_rows_are_in_a_file_with_line_and_reason(sent: Sent) -> None:
    with sent.page.expect_download() as download:
        sent.page.click('a[href*="/rejected.csv"]')
    text = download.value.path().read_text(encoding="utf-8-sig")
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    assert list(rows[0]) == ["Name", "E-Mail", "line", "reason"]
    assert_reasons({int(row["line"]): row["reason"] for row in rows}, sent.file)
    assert {row["E-Mail"] for row in rows} >= {"nobody", "PERSON.1@EXAMPLE.ORG", "literal@[127.0.0.1]"}


def assert_reasons(shown: dict[int, str], file: RecipientFile) -> None:
    assert shown.keys() == file.reasons.keys()
    wrong = {line: shown[line] for line, reason in file.reasons.items() if reason not in shown[line]}
    assert wrong == {}


def test_results_file_has_the_outcome_of_each_recipient(sent: Sent) -> None:
    with sent.page.expect_download() as download:
        sent.page.click('a[href*="/results.csv"]')
    text = download.value.path().read_text(encoding="utf-8-sig")
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    assert {row["E-Mail"]: row["Name"] for row in rows} == sent.file.names
    assert {(row["status"], row["code"]) for row in rows} == {("sent", "250")}


def test_inbox_shows_the_message_as_its_recipient_reads_it(sent: Sent) -> None:
    page = sent.page.context.new_page()
    page.goto("/inbox/?recipient=person.9974@")
    page.click("text=person.9974@example.org")
    expect(page.locator("body")).to_contain_text(f"Welcome, {sent.file.names['person.9974@example.org']}!")
    take_picture(page, "main-job-inbox")
    page.close()
