"""The window of the day in which a relay carries mail.

Times of day and weekdays enter. Spans of time leave, in UTC. Nothing here knows a table.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import NamedTuple

from batches.relays.wording import list_days

DAYS_AHEAD = 15
"""How many days ahead spans are looked for. A weekday comes again after seven, but its window may fall into the hour
that is left out when the clocks change."""

ALL_DAYS = tuple(range(7))


class Span(NamedTuple):
    """A half-open span of time, [begin, end)."""

    begin: datetime
    end: datetime


class Opening(NamedTuple):
    """How many seconds until the relay carries mail (0: it does now), and until it stops again (None: never)."""

    opens_in_seconds: float
    closes_in_seconds: float | None


ALWAYS_OPEN = Opening(0.0, None)


@dataclass(frozen=True, kw_only=True, slots=True)
class Window:
    """From ``opens_at`` until ``closes_at`` on the days ``weekdays``, 0 for Monday.

    Without ``opens_at`` the window begins at midnight, without ``closes_at`` it ends at the next one. A window whose
    end is not after its beginning passes midnight, and its weekday is that of its beginning. No weekdays: every day.
    """

    opens_at: time | None = None
    closes_at: time | None = None
    weekdays: Sequence[int] = ()

    @property
    def is_always_open(self) -> bool:
        return self.opens_at == self.closes_at and set(self.weekdays) in (set(), set(ALL_DAYS))

    def __str__(self) -> str:
        """Say when it is open, for a sentence: ``from 18:00 to 06:00 on Mon to Fri``."""
        times = [f"from {self.opens_at:%H:%M}"] if self.opens_at else []
        times += [f"to {self.closes_at:%H:%M}"] if self.closes_at else []
        days = [f"on {list_days(self.weekdays)}"] if set(self.weekdays) not in (set(), set(ALL_DAYS)) else []
        return " ".join(times + days) or "at any time"


def find_spans(window: Window, *, now: datetime, zone: tzinfo) -> list[Span]:
    """Return the spans that end after ``now`` and begin within fifteen days, in order. Spans that touch are one."""
    today = now.astimezone(zone).date()
    opens_at, closes_at = window.opens_at or time(), window.closes_at or time()
    spans: list[Span] = []
    for offset in range(-1, DAYS_AHEAD + 1):
        day = today + timedelta(days=offset)
        if window.weekdays and day.weekday() not in window.weekdays:
            continue
        last_day = day if closes_at > opens_at else day + timedelta(days=1)
        # Converted to UTC before they are compared: on the day of a change of the clocks, the difference of two local
        # times is not the time between them.
        begin, end = _find_moment(day, opens_at, zone), _find_moment(last_day, closes_at, zone)
        if spans and begin <= spans[-1].end:
            spans[-1] = Span(spans[-1].begin, max(spans[-1].end, end))
        elif end > begin:
            spans.append(Span(begin, end))
    return [span for span in spans if span.end > now]


def _find_moment(day: date, at: time, zone: tzinfo) -> datetime:
    """Return when a clock shows this time, in UTC: the first time if it does twice.

    A time that is left out when the clocks change is the moment of the change. Python itself would count it on from the
    hour before, so that a window until 02:30 would end at 03:30.
    """
    local = datetime.combine(day, at, zone)
    after, before = local.astimezone(UTC), local.replace(fold=1).astimezone(UTC)
    if before >= after:  # The time is not left out (PEP 495).
        return after
    offset = before.astimezone(zone).utcoffset()
    while after - before > timedelta(seconds=1):
        middle = before + timedelta(seconds=(after - before).total_seconds() // 2)
        if middle.astimezone(zone).utcoffset() == offset:
            before = middle
        else:
            after = middle
    return after.replace(microsecond=0)


def find_opening(window: Window, *, now: datetime, zone: tzinfo) -> Opening:
    """Return when the window opens and closes next, in seconds from ``now``."""
    if window.is_always_open:
        return ALWAYS_OPEN
    span = find_spans(window, now=now, zone=zone)[0]
    opens_in = max(0.0, (span.begin - now).total_seconds())
    return Opening(opens_in, (span.end - now).total_seconds())
