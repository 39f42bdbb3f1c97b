"""Turn a batch's counts into a progress bar. ``static/js/counts.js`` does the same while the page is open."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from django.contrib.humanize.templatetags.humanize import intcomma
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from batches.jobs import forecasts
from batches.models import Batch, BatchStatus
from batches.progress import Snapshot
from batches.wording import percent_done

ENDED = (BatchStatus.COMPLETED, BatchStatus.FAILED, BatchStatus.CANCELLED)

INCOMPLETE = "incomplete"
"""The colour of a batch that is completed although not everybody has got the mail."""


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

    @property
    def has_ended(self) -> bool:
        return self.now["status"] in ENDED

    @property
    def status_words(self) -> str:
        """What the pill says: ``Completed, 226 failed``."""
        return say_status(self.now)

    @property
    def status_colour(self) -> str:
        """The ``data-status`` of the pill."""
        return find_colour(self.now)

    @property
    def summary(self) -> str:
        """How far the batch is in a line, or after its end what came out."""
        return say_summary(self.now)

    @property
    def outcome(self) -> str:
        """What became of the emails of an ended batch that were not sent: ``226 failed, 12 not sent``."""
        return say_outcome(self.now)


def make_cards(batches: Iterable[Batch]) -> list[Card]:
    """Make the cards of batches, with one query for all their counts."""
    listed = list(batches)
    snapshots = forecasts.read_snapshots([batch.pk for batch in listed])
    return [make_card(batch, snapshots[batch.pk]) for batch in listed if batch.pk in snapshots]


def make_card(batch: Batch, now: Snapshot) -> Card:
    """Make the card of one batch from its counts."""
    return Card(batch=batch, now=now, segments=make_segments(now), percent=percent_done(now))


def say_status(now: Snapshot) -> str:
    """Say the status of a batch. If not everybody has got the mail of a completed one, it says so."""
    words = str(BatchStatus(now["status"]).label)
    if now["status"] == BatchStatus.COMPLETED and now["failed"]:
        return _("Completed, %(count)s failed") % {"count": intcomma(now["failed"])}
    if now["status"] == BatchStatus.COMPLETED and now["unknown"]:
        return _("Completed, %(count)s not certain") % {"count": intcomma(now["unknown"])}
    return words


def find_colour(now: Snapshot) -> str:
    """Return the colour of the status: amber for a completed batch in which some failed."""
    is_incomplete = now["status"] == BatchStatus.COMPLETED and (now["failed"] or now["unknown"])
    return INCOMPLETE if is_incomplete else now["status"]


def say_summary(now: Snapshot) -> str:
    """Say how far a batch is: ``3 of 10 done``, and after its end ``9 of 10 sent``."""
    values = {"done": intcomma(now["processed"]), "sent": intcomma(now["sent"]), "total": intcomma(now["total"])}
    if now["status"] == BatchStatus.DRAFT:
        return ngettext("%(total)s recipient", "%(total)s recipients", now["total"]) % values
    if now["status"] in ENDED:
        return _("%(sent)s of %(total)s sent") % values
    return _("%(done)s of %(total)s done") % values


def say_outcome(now: Snapshot) -> str:
    """Say what became of the emails that were not sent: ``226 failed, 3 not certain, 12 not sent``. Empty: of none."""
    counts = {
        _("%(count)s failed"): now["failed"],
        _("%(count)s not certain"): now["unknown"],
        _("%(count)s not sent"): now["suppressed"] + now["cancelled"],
    }
    return ", ".join(words % {"count": intcomma(count)} for words, count in counts.items() if count)


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
