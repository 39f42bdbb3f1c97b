"""Turn a batch's counts into what its progress bar shows. Pure; ``static/js/bar.js`` does the same in the browser."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from batches import progress
from batches.models import Batch
from batches.progress import Snapshot


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """One segment of the bar: where it begins and how wide it is, in percent, and how many emails that is."""

    name: str
    begin: float
    width: float
    count: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Card:
    """A batch with its present counts and its bar."""

    batch: Batch
    now: Snapshot
    parts: list[Part]
    percent: int

    @property
    def left_out(self) -> int:
        """How many got no mail on purpose: suppressed, or cancelled before their turn."""
        return self.parts[-1].count


def make_cards(batches: Iterable[Batch]) -> list[Card]:
    """Add present counts to batches, with one query for all of them."""
    listed = list(batches)
    snapshots = progress.read_snapshots([batch.pk for batch in listed])
    return [make_card(batch, snapshots[batch.pk]) for batch in listed if batch.pk in snapshots]


def make_card(batch: Batch, now: Snapshot) -> Card:
    """Add given counts to a batch."""
    return Card(batch=batch, now=now, parts=make_parts(now), percent=_percent(now))


def make_parts(now: Snapshot) -> list[Part]:
    """The segments of the bar from left to right; what is still to do is the bare track behind them."""
    left_out = now["processed"] - now["sent"] - now["failed"] - now["unknown"]
    counts = {"sent": now["sent"], "failed": now["failed"], "unknown": now["unknown"], "left-out": max(0, left_out)}
    parts, begin = [], 0.0
    for name, count in counts.items():
        width = round(100 * count / now["total"], 3) if now["total"] else 0.0
        parts.append(Part(name=name, begin=round(begin, 3), width=width, count=count))
        begin += width
    return parts


def _percent(now: Snapshot) -> int:
    # Rounded down, so that it says 100 only when it is done.
    return 100 * now["processed"] // now["total"] if now["total"] else 0
