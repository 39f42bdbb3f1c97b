"""The sentences about waiting and finishing."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.conf import LazySettings

from batches.waiting import say_ahead, say_finish, say_limit, say_period, say_scheduled, say_time, say_waiting

NOW = datetime(2026, 11, 26, 15, 0, 20, tzinfo=UTC)  # a Thursday


def after(**units: float) -> datetime:
    return NOW + timedelta(**units)


def test_used_up_quota_is_said_as_a_person_would() -> None:
    sentence = say_limit("m365", 10_000, 86_400)
    assert sentence == "The daily limit of relay m365 is used up (10,000 in 24 hours)."
    assert say_waiting(
        sentence, next_try_at=datetime(2026, 11, 26, 16, 20, tzinfo=UTC), waiting_count=3400, now=NOW
    ) == ("The daily limit of relay m365 is used up (10,000 in 24 hours). Next try at 16:20. 3,400 are waiting.")


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (1, "1 second"),
        (45, "45 seconds"),
        (60, "1 minute"),
        (90, "90 seconds"),
        (900, "15 minutes"),
        (3600, "1 hour"),
        (5400, "90 minutes"),
        (86_400, "24 hours"),
        (172_800, "48 hours"),
        (604_800, "7 days"),
    ],
)
def test_period_is_said_in_the_largest_unit_that_fits(seconds: int, words: str) -> None:
    assert say_period(seconds) == words


@pytest.mark.parametrize(
    ("period", "kind"),
    [(60, "limit per minute"), (3600, "hourly limit"), (86_400, "daily limit"), (7200, "limit")],
)
def test_limit_is_called_by_its_usual_name(period: int, kind: str) -> None:
    assert say_limit("a", 30, period).startswith(f"The {kind} of relay a is used up (30 in ")


@pytest.mark.parametrize(
    ("at", "words"),
    [
        (after(seconds=45), "at 15:01:05"),
        (after(minutes=80), "at 16:21"),
        (datetime(2026, 11, 27, 9, 12, tzinfo=UTC), "tomorrow at 09:12"),
        (datetime(2026, 12, 3, 9, 12, tzinfo=UTC), "on Thursday 3 December at 09:12"),
        (datetime(2027, 1, 4, 9, 0, tzinfo=UTC), "on Monday 4 January 2027 at 09:00"),
    ],
)
def test_time_is_said_with_its_day_unless_it_is_today(at: datetime, words: str) -> None:
    assert say_time(at, now=NOW) == words


@pytest.mark.parametrize(
    ("at", "words"),
    [
        (after(seconds=30), "Done in less than a minute."),
        (after(minutes=20), "Done at about 15:21."),
        (after(hours=2, minutes=38), "Done at about 17:40."),
        (after(hours=18), "Done tomorrow at about 09:05."),
        (after(days=7), "Done on Thursday 3 December."),
        (after(days=400), "Done on Friday 31 December 2027."),
    ],
)
def test_finish_is_said_no_more_exactly_than_it_can_be_known(at: datetime, words: str) -> None:
    assert say_finish(at, now=NOW) == words


def test_times_are_said_in_the_time_zone_of_the_site(settings: LazySettings) -> None:
    settings.TIME_ZONE = "Europe/Berlin"
    assert say_time(after(minutes=80), now=NOW) == "at 17:21"
    assert say_finish(after(hours=8), now=NOW) == "Done tomorrow at about 00:05."


def test_reader_of_a_page_knows_the_relay_as_the_mail_server() -> None:
    assert say_waiting("The relay default is slow.", next_try_at=None, waiting_count=0, now=NOW) == (
        "The mail server is slow."
    )
    words = say_waiting("The relay mail:25 does not answer", next_try_at=after(hours=-1), waiting_count=1, now=NOW)
    assert words == "The mail server mail:25 does not answer. 1 is waiting."


def test_nothing_is_said_when_nothing_is_waited_for() -> None:
    assert say_waiting("", next_try_at=after(hours=1), waiting_count=5, now=NOW) == ""


def test_scheduled_batch_says_when_it_begins() -> None:
    at = datetime(2026, 11, 27, 9, 0, tzinfo=UTC)
    assert say_scheduled(at, now=NOW) == "The emails go out tomorrow at 09:00."


def test_batch_says_which_other_one_is_being_sent() -> None:
    assert say_ahead("newsletter-november.csv") == (
        "It waits for its turn: “newsletter-november.csv” is being sent now."
    )
    assert say_ahead("") == "It waits for its turn: another batch is being sent now."
