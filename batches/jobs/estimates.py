"""Simulate how relays carry a number of messages, to say when a batch will be done. Reads no table and no clock.

The relays' rates, quotas with what is used of them, pauses and windows of the day enter. A duration leaves. The model
is a fluid: each open relay of the lowest order carries mail at its rate, until a quota is used up, a window closes, or
a relay becomes usable again. Then the speeds are worked out again.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from batches.relays.windows import DAYS_AHEAD, Window, find_spans

DEFAULT_RATE_PER_SECOND = 500.0
"""The assumed speed of the workers until a first batch has shown how fast they are."""

STEPS_MAX = 400
"""After so many changes of speed, the rest is assumed to go at the mean speed. So an estimate takes milliseconds."""

SLICES = 120
"""What is sent is counted in slices of a period's 120th part, 12 minutes of a day. Those of the ledger are finer."""

FAR_SECONDS = 1e9
"""How far one step goes if no speed changes any more: 30 years."""

DAY_SECONDS = 86400.0
NEVER = math.inf
ANY_TIME = Window()
_CLOSE = 1e-6


@dataclass(frozen=True, kw_only=True, slots=True)
class QuotaNow:
    """A rolling quota and what counts against it."""

    amount: int
    period_seconds: float
    uses: tuple[tuple[float, int], ...] = ()
    """The end of each slice in seconds from now, negative for the past, and its count. Oldest first."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RelayNow:
    """What one relay can carry from now on."""

    rate: float = 0.0
    """Messages a second. 0: as fast as the workers are."""
    weight: int = 1
    order: int = 0
    quotas: tuple[QuotaNow, ...] = ()
    paused_seconds: float = 0.0
    """For how long from now it carries nothing. ``NEVER`` if nobody knows."""
    window: Window = ANY_TIME
    """The window of the day, in the time zone of ``now``."""


class _Quota:
    """A quota in the simulation: a queue of slices and their sum."""

    def __init__(self, quota: QuotaNow) -> None:
        self.amount, self.period = float(quota.amount), quota.period_seconds
        self.slices: deque[list[float]] = deque([at, float(count)] for at, count in quota.uses)
        self.used = sum(count for _, count in self.slices)

    def forget(self, now: float) -> None:
        while self.slices and self.slices[0][0] + self.period <= now + _CLOSE:
            self.used -= self.slices.popleft()[1]

    def space(self) -> float:
        return self.amount - self.used

    def next_space_at(self) -> float:
        return self.slices[0][0] + self.period if self.slices else NEVER

    def use(self, speed: float, begin: float, end: float) -> None:
        """Count the messages of a time at one speed, slice by slice."""
        size = self.period / SLICES
        at = max(begin, end - self.period - size)  # what is older counts no more at the end
        while at < end - _CLOSE:
            slice_end = (math.floor(at / size + _CLOSE) + 1) * size
            until = min(slice_end, end)
            self._add(speed * (until - at), slice_end)
            at = until

    def _add(self, count: float, slice_end: float) -> None:
        if self.slices and self.slices[-1][0] >= slice_end - _CLOSE:
            self.slices[-1][1] += count
        else:
            self.slices.append([slice_end, count])
        self.used += count


class _Relay:
    """A relay in the simulation. Times are seconds from its beginning."""

    def __init__(self, relay: RelayNow, began_at: datetime) -> None:
        self.spec, self.began_at = relay, began_at
        self.quotas = [_Quota(quota) for quota in relay.quotas]
        self.speed = 0.0
        self.spans: list[tuple[float, float]] = []
        self.spans_until = -1.0

    def usable_from(self, now: float) -> float:
        """Return the first time from ``now`` on at which it may carry a message. ``NEVER`` is possible."""
        at = max(now, self.spec.paused_seconds)
        if at == NEVER:
            return NEVER
        for quota in self.quotas:
            quota.forget(now)
            if quota.space() < 1:
                at = max(at, quota.next_space_at())
        return at + self._opens_in(at) if at < NEVER else NEVER

    def stops_at(self, now: float) -> float:
        """Return when it has to stop at its present speed: a quota is used up, or the window closes."""
        space = min((quota.space() for quota in self.quotas), default=NEVER)
        return min(now + space / self.speed if self.speed else NEVER, now + self._closes_in(now))

    def carry(self, begin: float, end: float) -> None:
        """Carry mail at its present speed."""
        if self.speed:
            for quota in self.quotas:
                quota.use(self.speed, begin, end)

    def mean_speed(self, capacity: float) -> float:
        """Return how many messages a second it carries over many days."""
        spec = self.spec
        if spec.paused_seconds == NEVER:
            return 0.0
        days = len(set(spec.window.weekdays)) or 7
        is_open = self._open_share()
        mean = (spec.rate or capacity) * is_open
        for quota in self.quotas:
            # A quota of a day or more fills up in each window that is long enough. Others count while it is open.
            share = days / 7 if quota.period >= DAY_SECONDS else is_open
            mean = min(mean, quota.amount / quota.period * share)
        return mean

    def _open_share(self) -> float:
        if self.spec.window.is_always_open:
            return 1.0
        week = self.began_at + timedelta(days=7)
        spans = find_spans(self.spec.window, now=self.began_at, zone=self.began_at.tzinfo or UTC)
        lengths = (min(span.end, week) - max(span.begin, self.began_at) for span in spans if span.begin < week)
        return sum(length.total_seconds() for length in lengths) / (7 * DAY_SECONDS)

    def _spans_from(self, seconds: float) -> list[tuple[float, float]]:
        """Return when the window opens and closes, from a time on for some days at least."""
        self.spans = [span for span in self.spans if span[1] > seconds]
        if seconds > self.spans_until:
            # In UTC: the sum of a local time and a duration is off by an hour after the clocks change.
            now = self.began_at.astimezone(UTC) + timedelta(seconds=seconds)
            found = find_spans(self.spec.window, now=now, zone=self.began_at.tzinfo or UTC)
            self.spans = [tuple((at - self.began_at).total_seconds() for at in span) for span in found]  # type: ignore[misc]
            self.spans_until = seconds + (DAYS_AHEAD - 7) * DAY_SECONDS
        return self.spans

    def _opens_in(self, seconds: float) -> float:
        if self.spec.window.is_always_open:
            return 0.0
        return max(0.0, self._spans_from(seconds)[0][0] - seconds)

    def _closes_in(self, seconds: float) -> float:
        if self.spec.window.is_always_open:
            return NEVER
        return self._spans_from(seconds)[0][1] - seconds


class Simulation:
    """How many messages have gone by which time, from one moment on. It goes only as far as it is asked."""

    def __init__(
        self, relays: Sequence[RelayNow], *, now: datetime, capacity: float, start_seconds: float = 0.0
    ) -> None:
        """Begin at ``now``, in the site's time zone, in which the windows are written.

        Args:
            capacity: The messages a second that the workers manage where no relay limits them.
            start_seconds: When the first message may go, from now.
        """
        self._states = [_Relay(relay, now) for relay in relays]
        self._capacity = capacity
        # The moments at which the speed changed, and how many messages had gone by then.
        self._times, self._counts = [max(0.0, start_seconds)], [0.0]
        self._is_stuck = False

    def time_of(self, count: int) -> float | None:
        """Return after how many seconds ``count`` messages have gone.

        Returns:
            None if the relays carry so many messages at no time that is known.
        """
        while self._counts[-1] < count - _CLOSE and not self._is_stuck and len(self._times) <= STEPS_MAX:
            self._step()
        place = bisect_left(self._counts, count - _CLOSE)
        if place < len(self._counts):
            return self._between(place, count)
        return None if self._is_stuck else self._beyond(count)

    def _step(self) -> None:
        """Go on to the next moment at which a speed changes."""
        at = self._times[-1]
        free_at = [state.usable_from(at) for state in self._states]
        _share_out(self._states, [each <= at + _CLOSE for each in free_at], self._capacity)
        until = _next_change(self._states, free_at, at)
        speed = sum(state.speed for state in self._states)
        if until == NEVER:
            self._is_stuck = not speed
            until = at + FAR_SECONDS
        for state in self._states:
            state.carry(at, until)
        self._times.append(until)
        self._counts.append(self._counts[-1] + speed * (until - at))

    def _between(self, place: int, count: int) -> float:
        if place == 0:
            return self._times[0]
        before, after = self._counts[place - 1], self._counts[place]
        share = min(1.0, (count - before) / (after - before))
        return self._times[place - 1] + share * (self._times[place] - self._times[place - 1])

    def _beyond(self, count: int) -> float | None:
        """Assume the mean speed for what goes after the last step."""
        mean = min(self._capacity, sum(state.mean_speed(self._capacity) for state in self._states))
        return self._times[-1] + (count - self._counts[-1]) / mean if mean else None


def simulate(
    count: int, relays: Sequence[RelayNow], *, now: datetime, capacity: float, start_seconds: float = 0.0
) -> float | None:
    """Return in how many seconds ``count`` messages are sent: one question to one ``Simulation``."""
    return Simulation(relays, now=now, capacity=capacity, start_seconds=start_seconds).time_of(count)


def _next_change(states: Sequence[_Relay], free_at: Sequence[float], at: float) -> float:
    """Return when a speed changes next: a relay has to stop, or one that may not carry mail yet may do so."""
    changes = [
        state.stops_at(at) if state.speed else free
        for state, free in zip(states, free_at, strict=True)
        if state.speed or free > at + _CLOSE  # a free relay of a higher order waits for one that stops
    ]
    return max(min(changes, default=NEVER), at + _CLOSE)


def _share_out(states: Sequence[_Relay], is_free: Sequence[bool], capacity: float) -> None:
    """Set the speed of each relay: those of the lowest order that has a free one share the capacity by weight.

    A relay whose own rate is lower than its share leaves the rest of it to the others.
    """
    free = [state for state, free in zip(states, is_free, strict=True) if free]
    for state in states:
        state.speed = 0.0
    lowest = min((state.spec.order for state in free), default=0)
    waiting = [state for state in free if state.spec.order == lowest]
    left = capacity
    while waiting:
        weight = sum(state.spec.weight for state in waiting)
        slow = [state for state in waiting if 0 < state.spec.rate < left * state.spec.weight / weight]
        for state in slow or waiting:
            state.speed = state.spec.rate if slow else left * state.spec.weight / weight
        if not slow:
            return
        left -= sum(state.speed for state in slow)
        waiting = [state for state in waiting if state not in slow]
