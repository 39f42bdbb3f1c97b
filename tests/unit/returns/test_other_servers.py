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


@pytest.mark.parametrize("name", ["To", "Delivered-To"])
def test_return_path_that_is_made_up_stays_with_the_event(name: str) -> None:
    """So that it counts never, although the report quotes a Message-ID that is right."""
    made_up = "bounce+2a.nonsense@news.example.org"
    raw = (SERVERS / "gmail.eml").read_bytes().replace(f"To: {PATH}".encode(), f"{name}: {made_up}".encode())
    raw = raw.replace(f"Return-Path: <{PATH}>\n".encode(), b"")
    [event] = read_report(raw, door="imap").events
    assert event.return_path == made_up


@pytest.mark.parametrize(
    "change",
    [
        lambda raw: raw.replace(b"Subject: Undelivered", b"Subject: =?utf-8?B?VW5kZWxpdmVyZWQgTWFpb?="),
        lambda raw: raw.replace(b"Action: failed\n", b"X-Note: a\rrus: 5.0.0\nAction: failed\n"),
        lambda raw: raw.replace(b"Reporting-MTA: dns;", b"Reporting-MTA: dns; \xe4\xff"),
    ],
)  # fmt: skip
def test_report_is_read_when_a_field_is_broken(change: Any, caplog: pytest.LogCaptureFixture) -> None:
    raw = change((SERVERS / "gmail.eml").read_bytes())
    assert describe(read_report(raw, door="imap")) == EXPECTED["gmail.eml"]
    assert not caplog.records


@pytest.mark.parametrize("date", ["Fri, 31 Dec 9999 23:59:59 -1200", "Mon, 1 Jan 1000 00:00:00 +1200", "nonsense"])
def test_time_that_cannot_be_is_left_out(date: str) -> None:
    raw = b"From: MAILER-DAEMON@mx.example.com\nDate: %s\n\n<ann@example.com>: 550 5.1.1 User unknown\n"
    [event] = read_report(raw % date.encode(), door="imap").events
    assert event.happened_at is None
