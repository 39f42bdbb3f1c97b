"""When a session ends."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.conf import LazySettings

from batches import session_limits

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


class Session(dict[str, object]):
    """A session without a table."""

    end: datetime

    def set_expiry(self, end: datetime) -> None:
        self.end = end


@pytest.fixture(autouse=True)
def limits(settings: LazySettings) -> None:
    settings.SESSION_IDLE_SECONDS, settings.SESSION_MAX_SECONDS = 600, 3600


def begun() -> Session:
    session = Session()
    session_limits.begin(session, now=NOW)
    return session


def test_session_ends_after_the_idle_time_when_it_has_just_begun() -> None:
    assert begun().end == NOW + timedelta(seconds=600)


def test_end_moves_once_a_minute_when_the_session_is_used() -> None:
    session = begun()
    assert not session_limits.refresh(session, now=NOW + timedelta(seconds=59))
    assert session_limits.refresh(session, now=NOW + timedelta(seconds=60))
    assert session.end == NOW + timedelta(seconds=660)


def test_end_is_never_later_than_the_maximum() -> None:
    session = begun()
    assert session_limits.refresh(session, now=NOW + timedelta(seconds=3500))
    assert session.end == NOW + timedelta(seconds=3600)


@pytest.mark.parametrize(("seconds", "is_over"), [(3599, False), (3600, True)])
def test_session_is_over_at_the_maximum(seconds: int, is_over: bool) -> None:
    assert session_limits.is_over(begun(), now=NOW + timedelta(seconds=seconds)) is is_over


@pytest.mark.parametrize("session", [{}, {session_limits.SIGNED_IN_AT: "soon"}])
def test_session_without_a_beginning_is_over(session: dict[str, object]) -> None:
    assert session_limits.is_over(session, now=NOW)
