"""The window of the day of a relay: past midnight, on weekdays, and when the clocks change."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batches.relays.windows import ALWAYS_OPEN, Window, find_opening, find_spans

BERLIN = ZoneInfo("Europe/Berlin")
HOUR = 3600.0
NIGHT = Window(opens_at=time(18), closes_at=time(6), weekdays=(0, 4))
"""From Monday 18:00 and Friday 18:00, each until six on the next morning."""


def at(text: str, zone: ZoneInfo = BERLIN) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=zone)


@pytest.mark.parametrize("window", [Window(), Window(weekdays=tuple(range(7))), Window(weekdays=(6, 5, 4, 3, 2, 1, 0))])
def test_relay_is_always_open_when_nothing_is_set(window: Window) -> None:
    assert find_opening(window, now=at("2026-12-01T12:00"), zone=BERLIN) is ALWAYS_OPEN
    assert str(window) == "at any time"


@pytest.mark.parametrize(
    ("now", "opens_in_hours", "closes_in_hours"),
    [
        ("2026-11-30T12:00", 6, 18),  # Monday noon
        ("2026-11-30T18:00", 0, 12),
        ("2026-11-30T23:30", 0, 6.5),
        ("2026-12-01T05:59", 0, 1 / 60),  # Tuesday morning: Monday's window
        ("2026-12-01T06:00", 84, 96),  # until Friday evening
        ("2026-12-05T05:00", 0, 1),  # Saturday morning: Friday's window
        ("2026-12-05T19:00", 47, 59),  # Saturday evening is closed
    ],
)
def test_window_past_midnight_belongs_to_the_day_of_its_beginning(
    now: str, opens_in_hours: float, closes_in_hours: float
) -> None:
    opening = find_opening(NIGHT, now=at(now), zone=BERLIN)
    assert opening.opens_in_seconds == pytest.approx(opens_in_hours * HOUR)
    assert opening.closes_in_seconds == pytest.approx(closes_in_hours * HOUR)


@pytest.mark.parametrize(
    ("window", "now", "opens_in_hours", "closes_in_hours"),
    [
        (Window(opens_at=time(8)), "2026-12-01T07:00", 1, 17),  # until midnight
        (Window(closes_at=time(8)), "2026-12-01T09:00", 15, 23),  # from midnight
        (Window(weekdays=(5, 6)), "2026-12-04T23:00", 1, 49),  # the days of a weekend are one span
        (Window(opens_at=time(9), closes_at=time(9), weekdays=(1,)), "2026-12-01T10:00", 0, 23),
    ],
)
def test_missing_time_is_midnight(window: Window, now: str, opens_in_hours: float, closes_in_hours: float) -> None:
    opening = find_opening(window, now=at(now), zone=BERLIN)
    assert opening.opens_in_seconds == pytest.approx(opens_in_hours * HOUR)
    assert opening.closes_in_seconds == pytest.approx(closes_in_hours * HOUR)


def test_window_follows_the_clocks_when_they_change() -> None:
    window = Window(opens_at=time(1), closes_at=time(4))
    spring = find_spans(window, now=at("2027-03-27T12:00"), zone=BERLIN)[0]  # 02:00 becomes 03:00
    autumn = find_spans(window, now=at("2026-10-24T12:00"), zone=BERLIN)[0]  # 03:00 becomes 02:00
    assert (spring.end - spring.begin, autumn.end - autumn.begin) == (timedelta(hours=2), timedelta(hours=4))


def test_window_in_the_hour_that_is_left_out_opens_a_week_later_when_it_would_end_before_it_begins() -> None:
    window = Window(opens_at=time(2, 30), closes_at=time(3), weekdays=(6,))
    opening = find_opening(window, now=at("2027-03-22T12:00"), zone=BERLIN)
    assert opening.opens_in_seconds == (at("2027-04-04T02:30").astimezone(UTC) - at("2027-03-22T12:00")).total_seconds()


@pytest.mark.parametrize(
    ("window", "local", "is_open"),
    [
        (Window(opens_at=time(22), closes_at=time(2, 30)), "2027-03-28T01:59", True),
        (Window(opens_at=time(22), closes_at=time(2, 30)), "2027-03-28T03:00", False),
        (Window(opens_at=time(2, 30), closes_at=time(5)), "2027-03-28T03:00", True),
        (Window(opens_at=time(2, 30), closes_at=time(5)), "2027-03-28T01:59", False),
    ],
)
def test_time_that_is_left_out_is_the_moment_of_the_change(window: Window, local: str, is_open: bool) -> None:
    opening = find_opening(window, now=at(local), zone=BERLIN)
    assert (opening.opens_in_seconds == 0) is is_open


TIMES = st.one_of(st.none(), st.times(max_value=time(23, 59)).map(lambda each: each.replace(second=0, microsecond=0)))
MOMENTS = st.datetimes(datetime(2026, 1, 1), datetime(2030, 1, 1), timezones=st.just(UTC))


@given(opens_at=TIMES, closes_at=TIMES, weekdays=st.lists(st.integers(0, 6), max_size=7, unique=True), now=MOMENTS)
def test_spans_are_in_order_apart_and_the_opening_is_the_first(
    opens_at: time | None, closes_at: time | None, weekdays: list[int], now: datetime
) -> None:
    window = Window(opens_at=opens_at, closes_at=closes_at, weekdays=weekdays)
    spans = find_spans(window, now=now, zone=BERLIN)
    assert spans
    assert all(now < span.end and span.begin < span.end for span in spans)
    assert all(first.end < second.begin for first, second in pairwise(spans))
    opening = find_opening(window, now=now, zone=BERLIN)
    if opening is ALWAYS_OPEN:
        return
    assert opening.closes_in_seconds is not None and opening.closes_in_seconds > opening.opens_in_seconds >= 0
    assert (opening.opens_in_seconds == 0) == (spans[0].begin <= now)
    local = spans[0].begin.astimezone(BERLIN)
    assert not weekdays or local.weekday() in weekdays


def shows_open(window: Window, local: datetime) -> bool:
    """Whether a person with a clock would say that the window is open."""
    opens_at, closes_at, days = window.opens_at or time(), window.closes_at or time(), set(window.weekdays or range(7))
    today, yesterday = local.weekday() in days, (local.weekday() - 1) % 7 in days
    if closes_at > opens_at:
        return today and opens_at <= local.time() < closes_at
    return (today and local.time() >= opens_at) or (yesterday and local.time() < closes_at)


NIGHTS = st.sampled_from([datetime(2027, 3, 27, tzinfo=UTC), datetime(2026, 10, 24, tzinfo=UTC)])


@given(
    opens_at=TIMES,
    closes_at=TIMES,
    weekdays=st.lists(st.integers(0, 6), max_size=7, unique=True),
    now=st.one_of(
        MOMENTS, st.builds(lambda day, minutes: day + timedelta(minutes=minutes), NIGHTS, st.integers(0, 3000))
    ),
)
def test_window_is_open_when_the_clock_says_so(
    opens_at: time | None, closes_at: time | None, weekdays: list[int], now: datetime
) -> None:
    window, local = Window(opens_at=opens_at, closes_at=closes_at, weekdays=weekdays), now.astimezone(BERLIN)
    if local.utcoffset() != local.replace(fold=1 - local.fold).utcoffset():
        return  # The clock shows this hour twice, and a span does not end and begin again in it.
    assert (find_opening(window, now=now, zone=BERLIN).opens_in_seconds == 0) is shows_open(window, local)


@pytest.mark.parametrize(
    ("window", "words"),
    [
        (NIGHT, "from 18:00 to 06:00 on Mon, Fri"),
        (
            Window(opens_at=time(8), closes_at=time(18, 30), weekdays=(4, 3, 2, 1, 0)),
            "from 08:00 to 18:30 on Mon to Fri",
        ),
        (Window(weekdays=(5, 6)), "on Sat, Sun"),
        (Window(opens_at=time(8)), "from 08:00"),
        (Window(closes_at=time(8)), "to 08:00"),
    ],
)
def test_window_is_said_in_words(window: Window, words: str) -> None:
    assert str(window) == words
