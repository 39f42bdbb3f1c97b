"""Short texts about relays that several pages and sentences share."""

from __future__ import annotations

from collections.abc import Sequence

DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
UNITS = ((86_400, "day"), (3600, "hour"), (60, "minute"), (1, "second"))


def list_days(weekdays: Sequence[int]) -> str:
    """Name weekdays, 0 for Monday: ``Mon to Fri``, or ``Mon, Wed, Sun``."""
    days = sorted(set(weekdays))
    if len(days) > 2 and days[-1] - days[0] == len(days) - 1:
        return f"{DAYS[days[0]]} to {DAYS[days[-1]]}"
    return ", ".join(DAYS[day] for day in days)


def name_period(seconds: int) -> str:
    """Name the length of a quota's period: ``24 hours``, ``minute``, ``90 seconds``."""
    for unit_seconds, unit in UNITS[1:]:
        if seconds % unit_seconds == 0:
            count = seconds // unit_seconds
            return unit if count == 1 else f"{count:,} {unit}s"
    return f"{seconds:,} seconds"


def name_quota(amount: int, period_seconds: int) -> str:
    """Name a quota: ``10,000 in 24 hours``, ``30 in a minute``."""
    period = name_period(period_seconds)
    return (
        f"{amount:,} in {'an' if period == 'hour' else 'a'} {period}" if period.isalpha() else f"{amount:,} in {period}"
    )
