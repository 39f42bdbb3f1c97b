"""Reports of servers in the forms that they have on the wire, and the words of refusals, each with what it means."""

from __future__ import annotations

from typing import Any

import pytest

from batches.return_paths import ReturnPathMaker
from batches.returns.classes import classify
from batches.returns.events import ReturnEvent
from batches.returns.reports import Report, read_report
from tests.project_files import PROJECT_DIR

FOLDER = PROJECT_DIR / "tests" / "data" / "returns"
SERVERS = FOLDER / "servers"
BOUNCE_ADDRESS = "bounce@news.example.org"
PATH = ReturnPathMaker(BOUNCE_ADDRESS, key=b"k" * 32).make(42, "ann@example.com")
MESSAGE_IDS = {
    "<00000000002a0123456789abcdef01234567@news.example.org>": "id",
    "<0000000000990123456789abcdef01234567@news.example.org>": "other-id",
}
EXPECTED = dict(line.split("\t") for line in (SERVERS / "expected.tsv").read_text(encoding="utf-8").splitlines())
CLASSES = [line.split("\t") for line in (FOLDER / "classes.tsv").read_text(encoding="utf-8").splitlines()]


@pytest.fixture(autouse=True)
def own_return_paths(settings: Any) -> None:
    settings.BOUNCE_ADDRESS = BOUNCE_ADDRESS


def describe(report: Report) -> str:
    """Return what was read, as expected.tsv has it: kind, class, recipient, and what says which email it is about."""
    if not report.is_understood:
        return "not understood"
    return "; ".join(map(describe_event, report.events)) or "nothing"


def describe_event(event: ReturnEvent) -> str:
    path = "path" if event.return_path == PATH else event.return_path or "-"
    named = MESSAGE_IDS.get(event.message_id, "-")
    return f"{event.kind} {event.return_class} {event.recipient or '-'} {path} {named}"


@pytest.mark.parametrize("name", EXPECTED)
def test_report_is_read_as_expected(name: str) -> None:
    assert describe(read_report((SERVERS / name).read_bytes(), door="imap")) == EXPECTED[name]


def test_every_report_is_expected() -> None:
    assert {path.name for path in SERVERS.glob("*.eml")} == set(EXPECTED)


@pytest.mark.parametrize(("expected", "status", "text"), CLASSES, ids=lambda value: value[:60])
def test_refusal_has_its_class(expected: str, status: str, text: str) -> None:
    assert classify(status, text).value == expected


def test_reports_of_two_emails_are_two_events_when_their_words_are_the_same() -> None:
    other = ReturnPathMaker(BOUNCE_ADDRESS, key=b"k" * 32).make(43, "bob@example.com")
    raw = b"From: MAILER-DAEMON@mx.example.com\nSubject: failure\nTo: bounce@example.org\n\n550 5.1.1 User unknown\n"
    one, two, again = (read_report(raw, door="lmtp", rcpt=rcpt).events[0] for rcpt in (PATH, other, PATH.upper()))
    assert one.key != two.key
    assert one.key == again.key


def test_long_report_has_one_key_when_a_door_has_cut_it() -> None:
    raw = (SERVERS / "gmail.eml").read_bytes() + b"y" * 2_000_000
    one, two = (read_report(content, door="imap").events[0] for content in (raw, raw[:1_000_000]))
    assert one.key == two.key


def test_words_begin_with_a_whole_word() -> None:
    [event] = read_report((SERVERS / "exim_classic.eml").read_bytes(), door="imap").events
    assert event.text.startswith("to one or more")
