"""Which times a batch may be sent at, on the page and in the API."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from batches.send_times import say_bad_send_time

NOW = datetime(2026, 11, 26, 17, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("at", "fault"),
    [
        (NOW + timedelta(seconds=1), ""),
        (NOW + timedelta(days=36525), ""),
        (NOW - timedelta(hours=23), ""),
        (NOW - timedelta(days=1), "has passed"),
        (datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=12))), "has passed"),
        (NOW + timedelta(days=36526), "a hundred years"),
        (datetime(9999, 12, 31, 23, 59, tzinfo=timezone(timedelta(hours=-12))), "a hundred years"),
    ],
)
def test_time_is_refused_when_it_is_far_from_now(at: datetime, fault: str) -> None:
    sentence = say_bad_send_time(at, now=NOW)
    assert (fault in sentence) if fault else not sentence


def test_page_refuses_every_time_that_has_passed() -> None:
    assert "has passed" in say_bad_send_time(NOW, now=NOW, passed_max=timedelta())
    assert not say_bad_send_time(NOW + timedelta(minutes=1), now=NOW, passed_max=timedelta())
