"""Short texts about relays that several pages and sentences share."""

from __future__ import annotations

from collections.abc import Sequence

DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


def list_days(weekdays: Sequence[int]) -> str:
    """Name weekdays, 0 for Monday: ``Mon to Fri``, or ``Mon, Wed, Sun``."""
    days = sorted(set(weekdays))
    if len(days) > 2 and days[-1] - days[0] == len(days) - 1:
        return f"{DAYS[days[0]]} to {DAYS[days[-1]]}"
    return ", ".join(DAYS[day] for day in days)
