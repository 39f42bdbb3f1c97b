"""The message of a sender check is told from everything else that comes to the return mailbox."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.conf import LazySettings
from django.db.models.functions import Now

from batches.models import Batch, BatchSource, RoundTrip, Sender
from batches.returns import round_trips

pytestmark = pytest.mark.django_db


@pytest.fixture
def expected(settings: LazySettings) -> RoundTrip:
    settings.BOUNCE_ADDRESS = "bounce@news.school.example"
    sender, _ = Sender.objects.get_or_create(key="default", defaults={"address": "news@school.example"})
    batch = Batch.objects.create(filename="check", source=BatchSource.LIST)
    return RoundTrip.objects.create(sender=sender, batch=batch, token=round_trips.make_token())


def message(to: str, *, kind: str = "text/plain") -> bytes:
    return f"Received: from x\r\nTo: {to}\r\nContent-Type: {kind}\r\n\r\nBody: not a field\r\n".encode()


def test_header_is_kept_when_a_round_trip_arrives(expected: RoundTrip) -> None:
    assert round_trips.record(message(round_trips.make_address(expected.token)))
    expected.refresh_from_db()
    assert expected.arrived_at is not None
    assert expected.header.splitlines()[0] == "Received: from x"
    assert "not a field" not in expected.header


def test_first_header_stays_when_the_message_arrives_twice(expected: RoundTrip) -> None:
    address = round_trips.make_address(expected.token)
    assert round_trips.record(message(f"Check <{address.upper()}>"))
    assert round_trips.record(b"X-Second: yes\n" + message(address))
    expected.refresh_from_db()
    assert "X-Second" not in expected.header


def test_door_that_knows_the_envelope_finds_it_when_the_field_was_rewritten(expected: RoundTrip) -> None:
    address = round_trips.make_address(expected.token)
    assert round_trips.record(b"X-A: b+check-\r\n\r\nHi\r\n", rcpt=address)


@pytest.mark.parametrize(
    "to",
    [
        "bounce@news.school.example",
        "bounce+check-aaaaaaaaaaaaaaaaaaaaaaaaaa@news.school.example",  # nobody's token
        "bounce+check-@news.school.example",
        "other+check-{token}@news.school.example",
        "bounce+check-{token}@elsewhere.example",
        "xbounce+check-{token}@news.school.example",
    ],
)
def test_message_is_none_when_its_address_is_no_round_trips(expected: RoundTrip, to: str) -> None:
    assert not round_trips.record(message(to.replace("{token}", expected.token)))
    expected.refresh_from_db()
    assert expected.arrived_at is None


def test_report_about_a_round_trip_is_none_when_it_names_its_address(expected: RoundTrip) -> None:
    raw = message(round_trips.make_address(expected.token), kind='multipart/report; boundary="b"')
    assert not round_trips.record(raw)


def test_message_is_none_when_it_comes_after_a_week_or_without_a_return_address(
    expected: RoundTrip, settings: LazySettings
) -> None:
    raw = message(round_trips.make_address(expected.token))
    RoundTrip.objects.update(created_at=Now() - timedelta(days=8))
    assert not round_trips.record(raw)
    settings.BOUNCE_ADDRESS = ""
    assert not round_trips.record(raw)


def test_header_is_stored_when_it_has_octets_that_are_no_text(expected: RoundTrip) -> None:
    assert round_trips.record(b"X-Odd: \x00\xff\r\n" + message(round_trips.make_address(expected.token)))
    expected.refresh_from_db()
    assert expected.header.startswith("X-Odd: \ufffd\ufffd")
