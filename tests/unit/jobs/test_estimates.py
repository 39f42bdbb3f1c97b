"""When a number of messages is sent, from the rates, quotas and windows of the relays."""

from __future__ import annotations

import time as clock
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batches.jobs.estimates import NEVER, QuotaNow, RelayNow, simulate
from batches.relays.windows import Window

NOW = datetime(2026, 11, 26, 16, 0, tzinfo=UTC)  # a Thursday
HOUR, DAY = 3600.0, 86400.0


def run(count: int, *relays: RelayNow, now: datetime = NOW, capacity: float = 500, start: float = 0) -> float:
    seconds = simulate(count, relays, now=now, capacity=capacity, start_seconds=start)
    assert seconds is not None
    return seconds


def daily(amount: int, **fields: object) -> RelayNow:
    return RelayNow(quotas=(QuotaNow(amount=amount, period_seconds=DAY),), **fields)  # type: ignore[arg-type]


def test_messages_go_as_fast_as_the_workers_are_when_nothing_limits_them() -> None:
    assert run(5000, RelayNow()) == pytest.approx(10)


def test_the_rate_of_the_relay_counts_when_it_is_lower() -> None:
    assert run(5000, RelayNow(rate=10)) == pytest.approx(500)


def test_the_third_part_goes_after_two_days_when_a_quota_allows_ten_thousand_a_day() -> None:
    assert run(25_000, daily(10_000)) == pytest.approx(2 * DAY, rel=0.01)
    assert run(10_000, daily(10_000)) == pytest.approx(20)


def test_what_was_used_before_counts_when_it_is_younger_than_the_period() -> None:
    used = QuotaNow(amount=10_000, period_seconds=DAY, uses=((-23 * HOUR, 4000), (-HOUR, 5000)))
    relay = RelayNow(quotas=(used,))
    assert run(1000, relay) == pytest.approx(2)
    assert run(2000, relay) == pytest.approx(HOUR, rel=0.01)
    assert run(6000, relay) == pytest.approx(23 * HOUR, rel=0.01)


def test_a_use_older_than_the_period_counts_no_more() -> None:
    old = QuotaNow(amount=100, period_seconds=DAY, uses=((-DAY - 1, 100),))
    assert run(100, RelayNow(quotas=(old,))) == pytest.approx(0.2)


def test_slow_relay_never_meets_its_quota_when_the_rate_is_lower() -> None:
    microsoft = RelayNow(rate=0.5, quotas=(QuotaNow(amount=10_000, period_seconds=DAY),))
    assert run(9000, microsoft) == pytest.approx(18_000)
    assert run(12_000, microsoft) == pytest.approx(DAY + 2000 / 0.5, rel=0.02)


def test_a_window_of_working_days_spans_the_weekend() -> None:
    office = RelayNow(rate=1, window=Window(opens_at=time(9), closes_at=time(17), weekdays=(0, 1, 2, 3, 4)))
    assert run(3600, office) == pytest.approx(HOUR)  # Thursday, 16:00 to 17:00
    assert run(3601, office) == pytest.approx(17 * HOUR + 1)  # one on Friday at 9:00
    assert run(3600 * 9 + 1, office) == pytest.approx((1 + 16 + 8 + 64) * HOUR + 1)  # and one on Monday at 9:00


def test_a_window_past_midnight_is_waited_for() -> None:
    night = RelayNow(rate=1, window=Window(opens_at=time(22), closes_at=time(6), weekdays=(3,)))
    assert run(60, night) == pytest.approx(6 * HOUR + 60)
    assert run(60, night, now=NOW.replace(day=27, hour=5)) == pytest.approx(60)
    assert run(60, night, now=NOW.replace(day=27, hour=6)) == pytest.approx((6 * 24 + 16) * HOUR + 60)


def test_many_weeks_of_windows_are_followed() -> None:
    mondays = RelayNow(rate=1, window=Window(opens_at=time(9), closes_at=time(10), weekdays=(0,)))
    first = (3 * 24 + 17) * HOUR  # from Thursday, 16:00 to Monday, 9:00
    assert run(3600 * 30, mondays) == pytest.approx(first + 29 * 7 * DAY + HOUR)


def test_the_window_follows_the_clock_on_the_wall_when_summer_time_ends() -> None:
    evening = datetime(2026, 10, 24, 20, 0, tzinfo=ZoneInfo("Europe/Berlin"))  # clocks go back in this night
    relay = RelayNow(rate=1, window=Window(opens_at=time(9), closes_at=time(17)))
    assert run(1, relay, now=evening) == pytest.approx(14 * HOUR + 1)


def test_no_window_is_left_out_when_the_clocks_change_on_the_way() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    began_at = datetime(2026, 10, 18, 0, 1, tzinfo=berlin)
    window = Window(closes_at=time(0, 1))
    seconds = simulate(211, [RelayNow(rate=0.5, window=window)], now=began_at, capacity=1000)
    assert seconds is not None
    # Seven windows of 30 messages each, and one message in the eighth.
    done_at = began_at.astimezone(UTC) + timedelta(seconds=seconds)
    assert done_at == datetime(2026, 10, 26, 0, 0, 2, tzinfo=berlin)


def test_relays_share_the_capacity_by_weight_and_leave_the_rest_to_the_faster() -> None:
    assert run(1000, RelayNow(weight=3), RelayNow(weight=1), capacity=100) == pytest.approx(10)
    assert run(1000, RelayNow(rate=10), RelayNow(), capacity=100) == pytest.approx(10)
    assert run(1000, RelayNow(rate=10), RelayNow(rate=20), capacity=100) == pytest.approx(1000 / 30)


def test_a_relay_of_a_higher_order_carries_mail_only_while_none_of_a_lower_one_can() -> None:
    first = daily(1000, rate=10)
    assert run(2000, first, RelayNow(order=1, rate=1)) == pytest.approx(100 + 1000)
    assert run(1000, first, RelayNow(order=1, rate=1)) == pytest.approx(100)


def test_a_pause_is_waited_out_and_a_start_time_too() -> None:
    assert run(10, RelayNow(paused_seconds=300, rate=1)) == pytest.approx(310)
    assert run(10, RelayNow(rate=1), start=7200) == pytest.approx(7210)


def test_nothing_is_promised_when_no_relay_has_a_known_end_of_its_pause() -> None:
    stopped = RelayNow(paused_seconds=NEVER)
    assert simulate(10, [stopped], now=NOW, capacity=500) is None
    assert simulate(10, [], now=NOW, capacity=500) is None
    assert run(10, stopped, RelayNow(rate=1)) == pytest.approx(10)


def test_nothing_takes_no_time() -> None:
    assert run(0, RelayNow()) == 0


def test_a_list_for_a_hundred_days_is_estimated_fast_and_about_right() -> None:
    relay = RelayNow(rate=0.5, quotas=(QuotaNow(amount=10_000, period_seconds=DAY),))
    began = clock.perf_counter()
    seconds = run(1_000_000, relay)
    assert clock.perf_counter() - began < 0.2
    assert seconds == pytest.approx(99.2 * DAY, rel=0.02)


@given(
    count=st.integers(1, 50_000),
    amount=st.integers(1, 5000),
    period=st.sampled_from([60.0, HOUR, DAY]),
    rate=st.sampled_from([0.0, 0.5, 30.0]),
    used=st.integers(0, 5000),
)
def test_more_messages_never_take_less_time_and_never_beat_the_limits(
    count: int, amount: int, period: float, rate: float, used: int
) -> None:
    uses = ((-period / 2, min(used, amount)),)
    relay = RelayNow(rate=rate, quotas=(QuotaNow(amount=amount, period_seconds=period, uses=uses),))
    seconds = run(count, relay)
    assert seconds >= count / (rate or 500) * 0.999
    periods = (count - 1) // amount
    assert seconds >= (periods - 0.01) * period * 0.98
    assert run(count + 1, relay) >= seconds * 0.999
