"""Turn a batch's counts into a progress bar. ``static/js/counts.js`` does the same while the page is open."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from batches.jobs import forecasts
from batches.models import Batch
from batches.progress import Snapshot
from batches.wording import percent_done


@dataclass(frozen=True, kw_only=True, slots=True)
class Segment:
    """One segment of the bar: its begin and its width in percent, and how many emails it shows."""

    name: str
    begin: float
    width: float
    count: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Card:
    """A batch, its counts at this moment, and its bar."""

    batch: Batch
    now: Snapshot
    segments: list[Segment]
    percent: int

    @property
    def not_sent(self) -> int:
        """How many emails were left unsent on purpose, because they were suppressed or cancelled."""
        return self.segments[-1].count


def make_cards(batches: Iterable[Batch]) -> list[Card]:
    """Make the cards of batches, with one query for all their counts."""
    listed = list(batches)
    snapshots = forecasts.read_snapshots([batch.pk for batch in listed])
    return [make_card(batch, snapshots[batch.pk]) for batch in listed if batch.pk in snapshots]


def make_card(batch: Batch, now: Snapshot) -> Card:
    """Make the card of one batch from its counts."""
    return Card(batch=batch, now=now, segments=make_segments(now), percent=percent_done(now))


def make_segments(now: Snapshot) -> list[Segment]:
    """Make the segments from left to right. The bare track after them is what is still to be sent."""
    # What a replay of all is still to send again is no progress of it, so the bar leaves it out.
    sent = now["sent"] - now["resending"]
    not_sent = now["processed"] - sent - now["failed"] - now["unknown"]
    counts = {"sent": sent, "failed": now["failed"], "unknown": now["unknown"], "not-sent": max(0, not_sent)}
    segments, begin = [], 0.0
    for name, count in counts.items():
        width = round(100 * count / now["total"], 3) if now["total"] else 0.0
        segments.append(Segment(name=name, begin=round(begin, 3), width=width, count=count))
        begin += width
    return segments
