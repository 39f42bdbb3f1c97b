"""The chart of a batch: how many emails were sent, failed and ended unknown in each part of its last job.

The marks of a job enter (``ProgressMark``). Bars leave, which the template draws as SVG and lists as a table. Between
two marks the emails are spread evenly, because nothing is known of the time between them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

from django.utils.translation import gettext as _

from batches.models import Batch, ProgressMark

BARS = 30
WIDTH = 600
HEIGHT = 120
GAP = 0.2
"""The part of a bar's place that is empty."""

LEAST_SECONDS = 10.0
"""A shorter job has no chart: a look at its counts says as much."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Counts:
    """How far a job was, or what it did between two moments."""

    at: datetime
    sent: float = 0
    failed: float = 0
    unknown: float = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Piece:
    """A part of a bar, in the units of the picture."""

    name: str
    y: float
    height: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Bar:
    """One part of the time, from left to right."""

    begins_at: datetime
    x: float
    width: float
    pieces: list[Piece]
    sent: int
    failed: int
    unknown: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Chart:
    """What the template draws."""

    bars: list[Bar]
    begins_at: datetime
    ends_at: datetime
    bar_words: str
    """How much time a bar stands for: ``20 seconds``."""
    most: int
    """The emails of the highest bar."""
    width: int = WIDTH
    height: int = HEIGHT


def make_chart(batch: Batch) -> Chart | None:
    """Make the chart of the last job of a batch. None: it was too short, or nothing has come out yet."""
    job = batch.jobs.filter(started_at__isnull=False).order_by("-pk").defer("html", "text").first()
    if job is None or job.started_at is None:
        return None
    marks = list(ProgressMark.objects.filter(job=job).order_by("at"))
    if not marks or (marks[-1].at - job.started_at).total_seconds() < LEAST_SECONDS:
        return None
    last = marks[-1]
    if not last.sent_count + last.failed_count + last.unknown_count:
        return None
    return draw(job.started_at, [_read(mark) for mark in marks])


def _read(mark: ProgressMark) -> Counts:
    return Counts(at=mark.at, sent=mark.sent_count, failed=mark.failed_count, unknown=mark.unknown_count)


def draw(begins_at: datetime, marks: Sequence[Counts]) -> Chart:
    """Draw the bars between the beginning and the last mark. There is at least one mark after the beginning."""
    ends_at = marks[-1].at
    step = (ends_at - begins_at) / BARS
    known = [Counts(at=begins_at), *marks]
    edges = [_count_at(known, begins_at + step * number) for number in range(BARS)] + [known[-1]]
    parts = [_subtract(before, after) for before, after in pairwise(edges)]
    most = max(part.sent + part.failed + part.unknown for part in parts) or 1
    return Chart(
        bars=[_draw_bar(number, part, most) for number, part in enumerate(parts)],
        begins_at=begins_at,
        ends_at=ends_at,
        bar_words=_say_step(step),
        most=round(most),
    )


def _count_at(known: Sequence[Counts], at: datetime) -> Counts:
    for before, after in pairwise(known):
        if at <= after.at:
            seconds = (after.at - before.at).total_seconds()
            share = (at - before.at).total_seconds() / seconds if seconds else 1.0
            return Counts(
                at=at,
                sent=before.sent + share * (after.sent - before.sent),
                failed=before.failed + share * (after.failed - before.failed),
                unknown=before.unknown + share * (after.unknown - before.unknown),
            )
    return known[-1]


def _subtract(before: Counts, after: Counts) -> Counts:
    return Counts(
        at=before.at,
        sent=max(0.0, after.sent - before.sent),
        failed=max(0.0, after.failed - before.failed),
        unknown=max(0.0, after.unknown - before.unknown),
    )


def _draw_bar(number: int, part: Counts, most: float) -> Bar:
    pieces, top = [], float(HEIGHT)
    for name, count in (("sent", part.sent), ("failed", part.failed), ("unknown", part.unknown)):
        height = round(HEIGHT * count / most, 2)
        top -= height
        pieces.append(Piece(name=name, y=round(top, 2), height=height))
    place = WIDTH / BARS
    return Bar(
        begins_at=part.at,
        x=round(number * place, 2),
        width=round(place * (1 - GAP), 2),
        pieces=[piece for piece in pieces if piece.height],
        sent=round(part.sent),
        failed=round(part.failed),
        unknown=round(part.unknown),
    )


def _say_step(step: timedelta) -> str:
    seconds = step.total_seconds()
    if seconds < 90:
        return _("%(count)s seconds") % {"count": f"{seconds:.1f}".rstrip("0").rstrip(".")}
    if seconds < 90 * 60:
        return _("%(count)s minutes") % {"count": f"{seconds / 60:.1f}".rstrip("0").rstrip(".")}
    return _("%(count)s hours") % {"count": f"{seconds / 3600:.1f}".rstrip("0").rstrip(".")}
