"""What is read in reports of many servers, in eight languages: the class, the recipient, and that it is our message."""

from __future__ import annotations

import tomllib
from email.header import Header
from typing import Any

import pytest

from batches.models import ReturnKind
from batches.returns.reports import Report, read_report
from tests.project_files import PROJECT_DIR

SAMPLES: list[dict[str, str]] = tomllib.loads(
    (PROJECT_DIR / "tests" / "data" / "returns" / "own_samples.toml").read_text(encoding="utf-8")
)["sample"]

TO = "ann.berg@example.com"
MESSAGE_ID = "<00000000002a0123456789abcdef01234567@news.example.org>"
ORIGINAL = (
    f"From: News <news@example.org>\nTo: {TO}\nSubject: Newsletter\nMessage-ID: {MESSAGE_ID}\n\nUser unknown? Never!\n"
)
SYSTEM = {"From": "Mail Delivery System <MAILER-DAEMON@mx.example.com>", "Auto-Submitted": "auto-replied"}
PERSON = {"From": f"Ann Berg <{TO}>", "In-Reply-To": MESSAGE_ID}


def fill(sample: dict[str, str], name: str) -> str:
    return sample.get(name, "").replace("{to}", TO).replace("{message_id}", MESSAGE_ID)


def make_status(sample: dict[str, str], action: str) -> str:
    return (
        f"Reporting-MTA: dns; mx.example.com\n\nFinal-Recipient: rfc822; {TO}\nAction: {action}\n"
        f"Status: {sample['status']}\nDiagnostic-Code: {fill(sample, 'diagnostic')}\n"
    )


def make_feedback(sample: dict[str, str]) -> str:
    named = "" if "hidden" in sample["form"] else f"Original-Rcpt-To: {TO}\n"
    return f"Feedback-Type: {sample['feedback']}\nUser-Agent: Test/1.0\nVersion: 1\n{named}"


def make_report(sample: dict[str, str]) -> tuple[str, str] | None:
    """Return the type of a report and what a program reads in it. None: the sample is none."""
    form = sample["form"]
    if form in ("dsn", "delayed"):
        return "delivery-status", make_status(sample, "failed" if form == "dsn" else "delayed")
    if form.startswith("arf"):
        return "feedback-report", make_feedback(sample)
    if form == "mdn":
        return "disposition-notification", f"Final-Recipient: rfc822; {TO}\nDisposition: manual-action; displayed\n"
    return None


def make_body(sample: dict[str, str]) -> str:
    """Return the fields of the body and the body, in octets beyond ASCII as servers write them."""
    text, report = fill(sample, "text"), make_report(sample)
    if report is None:
        return f"Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n\n{text}\n"
    kind, status = report
    return (
        f'Content-Type: multipart/report; report-type={kind}; boundary="=b"\n\n'
        f"--=b\nContent-Type: text/plain; charset=utf-8\n\n{text}\n\n"
        f"--=b\nContent-Type: message/{kind}\n\n{status}\n"
        f"--=b\nContent-Type: message/rfc822\n\n{ORIGINAL}\n--=b--\n"
    )


def make_raw(sample: dict[str, str]) -> bytes:
    form = sample["form"]
    fields = {"To": "news@example.org", "Date": "Thu, 26 Nov 2026 10:00:00 +0100", "MIME-Version": "1.0"}
    fields["Subject"] = Header(sample.get("subject", "Undelivered Mail Returned to Sender"), "utf-8").encode()
    if form in ("dsn", "delayed", "words", "exim"):
        fields |= SYSTEM
    else:
        fields |= {"From": "feedback@example.com"} if form.startswith("arf") else PERSON
    if form == "exim":
        fields["X-Failed-Recipients"] = TO
    if form == "reply":
        fields["Auto-Submitted"] = "auto-replied"
    head = "".join(f"{name}: {value}\n" for name, value in fields.items())
    return (head + make_body(sample)).encode()


def judge(report: Report) -> str:
    """Say what was read, in the words of the samples."""
    if not report.is_understood:
        return "not understood"
    if not report.events:
        return "nothing"
    [event] = report.events
    names = {ReturnKind.COMPLAINED: "complaint", ReturnKind.AUTO_REPLY: "reply"}
    return names.get(event.kind, event.return_class.value)


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: f"{sample['language']} {sample['name']}")
def test_sample_is_read_as_it_is_meant(sample: dict[str, Any]) -> None:
    report = read_report(make_raw(sample), door="imap")
    assert judge(report) == sample["expected"]
    for event in report.events:
        assert event.recipient.lower() in (TO, "" if "hidden" in sample["form"] else TO)
        if sample["form"] in ("dsn", "arf", "arf hidden", "reply"):
            assert event.message_id == MESSAGE_ID


def test_samples_are_of_eight_languages() -> None:
    assert len(SAMPLES) >= 60
    assert {sample["language"] for sample in SAMPLES} == {"en", "de", "fr", "es", "it", "nl", "pl", "pt"}


@pytest.mark.parametrize("sample", SAMPLES[:40:3], ids=lambda sample: sample["name"])
def test_key_is_the_same_when_another_door_has_added_its_lines(sample: dict[str, str]) -> None:
    raw = make_raw(sample)
    added = b"Return-Path: <>\r\nDelivered-To: bounce@news.example.org\r\nReceived: from a by b; Thu, 26 Nov 2026\r\n"
    one = read_report(raw, door="imap")
    other = read_report(added + raw.replace(b"\n", b"\r\n") + b"\r\n", door="lmtp", rcpt="bounce@news.example.org")
    assert [event.key for event in one.events] == [event.key for event in other.events]
