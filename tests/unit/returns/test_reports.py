"""What a stranger sends never stops a door, and what is named in a report is found wherever servers put it."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batches.models import ReturnKind
from batches.return_paths import ReturnPathMaker, is_genuine, is_return_path_like, read_return_path
from batches.returns.classes import classify
from batches.returns.reports import WORDS_MAX_BYTES, read_report
from tests.project_files import PROJECT_DIR

BOUNCE_ADDRESS = "bounce@news.example.org"
KEY = b"k" * 32
MAKER = ReturnPathMaker(BOUNCE_ADDRESS, key=KEY)
PATH = MAKER.make(42, "ann@example.org")
HEAD = b"From: MAILER-DAEMON@x.org\r\nTo: a@b.org\r\nMIME-Version: 1.0\r\n"
MULTIPART = HEAD + b'Content-Type: multipart/report; boundary="b"\r\n\r\n'
SAMPLE = (PROJECT_DIR / "tests/data/flufl_bounce/dsn_16.txt").read_bytes()


def nest(depth: int) -> bytes:
    parts = (b'Content-Type: multipart/mixed; boundary="b%d"\r\n\r\n--b%d\r\n' % (each, each) for each in range(depth))
    return HEAD + b"".join(parts)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\r\n",
        b"\0" * 1000,
        b"From: \xff\xfe\r\nSubject: \xe4\r\n\r\n\xff",
        HEAD + b"Content-Type: text/html\r\n\r\n" + b"<style " * 300_000,
        HEAD + b"\r\n" + b"a@" * 1_000_000,
        HEAD + b"\r\n" + b"x\r\n" * 500_000,
        b"To: " + b"=?utf-8?q?a?= " * 200_000 + b"\r\n\r\nx",
        b"To: a@b.org\r\n" * 100_000 + HEAD + b"\r\nx",
        nest(3000),
        HEAD + b"Content-Type: message/rfc822\r\n\r\n" * 10_000,
        MULTIPART + b"--b\r\nContent-Type: text/plain\r\n\r\nx\r\n" * 20_000,
        MULTIPART + b"--b\r\nContent-Type: message/delivery-status\r\n\r\n",
        MULTIPART + b"--b\r\nContent-Type: message/delivery-status\r\nContent-Transfer-Encoding: base64\r\n\r\n!!!!",
        MULTIPART + b"--b\r\nContent-Type: message/feedback-report\r\n\r\nFeedback-Type: not-spam\r\n",
    ],
    ids=str,
)  # fmt: skip
def test_hostile_message_gives_no_event(raw: bytes, caplog: pytest.LogCaptureFixture) -> None:
    assert read_report(raw, door="lmtp").events == []
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


@given(st.lists(st.tuples(st.integers(0, len(SAMPLE) - 1), st.integers(0, 255)), max_size=40))
def test_damaged_report_is_read_or_left(changes: list[tuple[int, int]]) -> None:
    raw = bytearray(SAMPLE)
    for place, octet in changes:
        raw[place] = octet
    for event in read_report(bytes(raw), door="imap").events:
        assert event.clean() == event
        assert "\n" not in event.text


def test_groups_of_a_report_are_bounded() -> None:
    group = b"Final-Recipient: rfc822; a@b.org\r\nAction: failed\r\nStatus: 5.1.1\r\n\r\n"
    raw = MULTIPART + b"--b\r\nContent-Type: message/delivery-status\r\n\r\n" + group * 1000
    assert len(read_report(raw, door="lmtp").events) == 100


def test_long_words_are_read_at_their_beginning() -> None:
    raw = HEAD + b"\r\n<ann@example.org>:\r\n550 5.1.1 User unknown\r\n" + b"x" * (3 * WORDS_MAX_BYTES)
    [event] = read_report(raw, door="lmtp").events
    assert (event.recipient, event.return_class.value) == ("ann@example.org", "gone")


# --- where the return path is -----------------------------------------------------------------------


def bounce(head: str = "", returned: str = "") -> bytes:
    return (
        f"From: MAILER-DAEMON@mx.example.com\n{head}"
        'Content-Type: multipart/report; boundary="b"\n\n--b\nContent-Type: message/delivery-status\n\n'
        "Reporting-MTA: dns; mx\n\nFinal-Recipient: rfc822;ann@example.org\nAction: failed\nStatus: 5.1.1\n\n"
        f"--b\nContent-Type: message/rfc822\n\n{returned}Message-ID: <a@b>\n\nx\n--b--\n"
    ).encode()


@pytest.mark.parametrize(
    ("head", "returned", "rcpt"),
    [
        ("", "", PATH),
        (f"To: {PATH}\n", "", ""),
        (f"To: <{PATH.upper()}>\n", "", "bounce@news.example.org"),
        (f"Delivered-To: {PATH}\nTo: undisclosed-recipients:;\n", "", ""),
        (f"X-Original-To: {PATH}\n", "", ""),
        (f"Delivered-To: mailbox@example.org\nEnvelope-To: {PATH}\n", "", ""),
        ("", f"Return-Path: <{PATH}>\n", ""),
    ],
)
def test_return_path_is_found_wherever_it_is(head: str, returned: str, rcpt: str, settings: Any) -> None:
    settings.BOUNCE_ADDRESS = BOUNCE_ADDRESS
    [event] = read_report(bounce(head, returned), door="imap", rcpt=rcpt).events
    path = read_return_path(event.return_path, bounce_address=BOUNCE_ADDRESS)
    assert path is not None
    assert path.email_id == 42


def test_feedback_report_has_the_return_path_of_the_message(settings: Any) -> None:
    settings.BOUNCE_ADDRESS = BOUNCE_ADDRESS
    raw = MULTIPART + (
        b"--b\r\nContent-Type: message/feedback-report\r\n\r\nFeedback-Type: abuse\r\nUser-Agent: x\r\nVersion: 1\r\n"
        b"Original-Mail-From: <%s>\r\n\r\n--b--\r\n" % PATH.encode()
    )
    [event] = read_report(raw, door="imap", rcpt="fbl@example.org").events
    assert (event.kind, event.return_path) == (ReturnKind.COMPLAINED, PATH)


@pytest.mark.parametrize("where", ["rcpt", "To", "Delivered-To"])
def test_token_is_found_when_somebody_unsubscribes_by_mail(where: str) -> None:
    token = "AbC-_9" * 7 + "xy"
    address = f"unsubscribe+{token}@news.example.org"
    head = "" if where == "rcpt" else f"{where}: {address}\n"
    raw = f"From: ann@example.org\n{head}Subject: unsubscribe\n\n".encode()
    report = read_report(raw, door="lmtp", rcpt=address if where == "rcpt" else "")
    assert (report.unsubscribe_token, report.is_understood, report.events) == (token, True, [])
    automatic = b"Auto-Submitted: auto-replied\n" + raw
    assert read_report(automatic, door="lmtp", rcpt=address if where == "rcpt" else "").unsubscribe_token is None


# --- return paths -----------------------------------------------------------------------------------


@given(st.integers(1, 2**59), st.emails())
def test_return_path_is_read_back_and_proves_its_address(email_id: int, address: str) -> None:
    made = MAKER.make(email_id, address)
    path = read_return_path(made, bounce_address=BOUNCE_ADDRESS)
    assert path is not None and path.email_id == email_id
    assert len(made.partition("@")[0]) <= 64
    assert is_genuine(path, address=address.upper(), key=KEY) or not address.isascii()
    assert not is_genuine(path, address="x" + address, key=KEY)
    assert not is_genuine(path._replace(email_id=email_id + 1), address=address, key=KEY)
    assert not is_genuine(path, address=address, key=b"another" * 4)


@pytest.mark.parametrize(
    ("text", "is_like"),
    [
        ("bounce+x@news.example.org", True),
        ("BOUNCE+1f.00@NEWS.example.org", True),
        ("prvs=ab=bounce+1f.00@news.example.org", True),
        ("bounce@news.example.org", False),
        ("abounce+1@news.example.org", False),
        ("bounce+1@example.org", False),
        ("", False),
    ],
)
def test_what_looks_like_a_return_path_is_known(text: str, is_like: bool) -> None:
    assert is_return_path_like(text, bounce_address=BOUNCE_ADDRESS) == is_like


# --- classes ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "text", "expected"),
    [
        ("5.1.1", "", "gone"),
        ("", "550 5.1.1 <quota-full-spam@example.org>: User unknown", "gone"),
        ("5.2.2", "user unknown", "full"),
        ("4.2.2", "", "full"),
        ("5.7.1", "", "blocked"),
        ("5.7.13", "", "gone"),
        ("4.7.1", "Greylisted", "passing"),
        ("5.3.4", "", "content"),
        ("5.9.9", "", "other"),
        ("nonsense", "words", "other"),
        ("", "", "other"),
    ],
)
def test_class_follows_from_status_and_words(status: str, text: str, expected: str) -> None:
    assert classify(status, text).value == expected
