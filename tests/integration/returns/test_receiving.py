"""A message that can't be recorded is kept, and keeps no other waiting."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from django.db import DatabaseError, DataError, IntegrityError, InterfaceError, InternalError, OperationalError

from batches.models import UnknownReport
from batches.returns import round_trips
from batches.returns.doors import receiving
from batches.returns.doors.receiving import LMTP, Arrived, receive
from batches.returns.events import ReturnEvent

pytestmark = pytest.mark.django_db


def report(address: str) -> Arrived:
    text = (
        "From: postmaster@example.com\nTo: bounce@news.example.org\nSubject: Undelivered\nMIME-Version: 1.0\n"
        'Content-Type: multipart/report; report-type=delivery-status; boundary="b"\n\n'
        "--b\nContent-Type: message/delivery-status\n\nReporting-MTA: dns; mx.example.com\n\n"
        f"Final-Recipient: rfc822; {address}\nAction: failed\nStatus: 5.1.1\n\n--b--\n"
    )
    return Arrived(content=text.encode(), door=LMTP)


@pytest.mark.parametrize("fault", [ValueError("a fault of ours"), IntegrityError("a row that cannot be")])
def test_others_are_recorded_when_one_can_not_be(monkeypatch: pytest.MonkeyPatch, fault: Exception) -> None:
    recorded: list[str] = []

    def record(events: Sequence[ReturnEvent]) -> None:
        if any(event.recipient == "odd@example.com" for event in events):
            raise fault
        recorded.extend(event.recipient for event in events)

    monkeypatch.setattr(receiving, "record_events", record)
    names = ("ann@example.com", "odd@example.com", "bob@example.com")
    assert receive([report(name) for name in names]) == [True, False, True]
    assert recorded == ["ann@example.com", "bob@example.com"]
    assert "odd@example.com" in UnknownReport.objects.get().content


@pytest.mark.parametrize("kind", [OperationalError, InterfaceError, InternalError, DatabaseError])
def test_outage_is_raised_so_that_the_door_repeats(monkeypatch: pytest.MonkeyPatch, kind: type[Exception]) -> None:
    def record(events: Sequence[ReturnEvent]) -> None:
        raise kind("the server is away")

    monkeypatch.setattr(receiving, "record_events", record)
    with pytest.raises(kind):
        receive([report("ann@example.com")])
    assert not UnknownReport.objects.exists()


@pytest.mark.parametrize("fault", [ValueError("a fault of ours"), DataError("no text")])
def test_message_is_kept_when_it_can_not_be_compared_with_sender_checks(
    monkeypatch: pytest.MonkeyPatch, fault: Exception
) -> None:
    def record(content: bytes, *, rcpt: str) -> bool:
        raise fault

    monkeypatch.setattr(round_trips, "record", record)
    assert receive([Arrived(content=b"Subject: odd\n\nletter\n", door=LMTP)]) == [False]
    assert "letter" in UnknownReport.objects.get().content
