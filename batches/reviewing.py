"""Compare a draft with a message before it is sent: the figures of the review page.

Nothing is written, except the counts of a draft that its import did not count. A draft and message parts enter. A
Review leaves.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.contrib.auth.models import AnonymousUser, User
from django.db.models import Count, Exists, F, Func, IntegerField, OuterRef, Q, QuerySet
from django.db.models.fields.json import KeyTextTransform
from django.db.models.functions import Length, Trim
from django.db.models.lookups import Exact, GreaterThan
from django.utils import timezone

from batches.files.headings import name_merge_fields
from batches.jobs.forecasts import Forecast, forecast_send
from batches.models import Batch, BatchSource, Email, EmailJob, EmailStatus, Lane
from batches.rendering import children
from batches.rendering.analysis import Analysis
from batches.rendering.foreign import ForeignTag, find_foreign_tags
from batches.rendering.template import MessageParts, make_context
from batches.suppressions import count_suppressed, read_version

FIRST_ROWS = 10
LARGE_ROWS = 20_000
"""The suppressed of a larger draft are counted once a minute at most: a million are compared in a second."""
KEPT_SECONDS = 60.0
KEPT_MAX = 100
SAME_CONTENT_SECONDS = 24 * 60 * 60
NEWEST_LISTS = 5
"""With how many lists a template is compared."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ReviewRow:
    """One of the first rows of a list, with its merge fields by name."""

    row: int
    line: int
    """The line of the file. Several rows have one line if it holds several addresses."""
    address: str
    fields: dict[str, str]


@dataclass(frozen=True, kw_only=True, slots=True)
class NearColumn:
    """A column of the list whose merge field resembles a field of the message."""

    merge_field: str
    heading: str


@dataclass(frozen=True, kw_only=True, slots=True)
class MissingField:
    """A field of the message that no column of the list fills."""

    name: str
    """As the message writes it."""
    merge_field: str
    """The merge field by which a column fills it: a column that is given this name matches."""
    near: tuple[NearColumn, ...]
    """The columns that resemble it most, best first."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Review:
    """What a person should know of a draft and a message before the message is sent."""

    total_count: int
    suppressed: dict[str, int]
    """How many recipients would get no mail of the topic, by reason."""
    to_send_count: int
    """How many recipients would get it now."""
    rejected_count: int
    duplicate_count: int
    smtputf8_count: int
    """How many addresses have letters beyond ASCII before the @-sign. Not every relay accepts them."""
    first_rows: tuple[ReviewRow, ...]
    missing: tuple[MissingField, ...]
    """The fields of the message that the list lacks."""
    foreign_tags: tuple[ForeignTag, ...]
    """The tags of other systems in the message. They would be sent unchanged."""
    blank_counts: dict[str, int]
    """For each merge field of the message that is blank in some rows, the number of those rows."""
    same_content_at: datetime | None
    """When a file with the same content was last sent, if that was less than a day ago."""
    same_content_batch_id: int | None
    forecast: Forecast
    """When the batch would be done if it were sent now. An estimate."""

    @property
    def missing_fields(self) -> tuple[str, ...]:
        """The names of the fields of the message that the list lacks."""
        return tuple(field.name for field in self.missing)


def review(
    batch: Batch,
    parts: MessageParts,
    *,
    now: datetime | None = None,
    sender_id: int | None = None,
    topic_id: int | None = None,
    reader: User | AnonymousUser | None = None,
) -> Review:
    """Compare a draft with the message parts that would be sent to it. Scans the emails of the batch once.

    Args:
        topic_id: What the message is about. None: service mail.
        reader: Nothing is told of a batch that this user may not see. None: a command of the operator.

    Raises:
        TemplateFault: The template can't be used.
        RenderingBusy: Too many templates are being looked at.
    """
    analysis = children.analyse_sound(parts, batch, user_id=reader.pk if reader else None)
    needed = [name for name in batch.merge_fields if name in analysis.merge_fields]
    blank_counts, smtputf8_count = _count_blanks(batch, needed)
    since = (now or timezone.now()) - timedelta(seconds=SAME_CONTENT_SECONDS)
    same = _find_same_content(batch, since=since, reader=reader)
    suppressed = _count_suppressed(batch, topic_id)
    to_send_count = max(0, batch.to_send_count - sum(suppressed.values()))
    return Review(
        total_count=batch.total_count,
        suppressed=suppressed,
        to_send_count=to_send_count,
        rejected_count=batch.rejected_count,
        duplicate_count=batch.duplicate_count,
        smtputf8_count=smtputf8_count,
        first_rows=_first_rows(batch),
        missing=_find_missing(batch, analysis),
        foreign_tags=tuple(find_foreign_tags(parts, batch.merge_fields)),
        blank_counts=blank_counts,
        same_content_at=same.created_at if same else None,
        same_content_batch_id=same.batch_id if same else None,
        forecast=forecast_send(to_send_count, sender_id=sender_id),
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class ListComparison:
    """The list of a user that fits a template best, and what it lacks."""

    title: str
    missing: tuple[MissingField, ...]

    @property
    def sentence(self) -> str:
        """Say what the list lacks and which columns are near. It is a hint: another list may have them all."""
        names = ", ".join(field.name for field in self.missing)
        near = dict.fromkeys(column.merge_field for field in self.missing for column in field.near[:1])
        if len(self.missing) == 1:
            lacks = f"The template uses {names}, but your list “{self.title}” has no such column."
        else:
            lacks = f"The template uses {names}, but your list “{self.title}” has no such columns."
        return f"{lacks} Near: {', '.join(near)}." if near else lacks


def compare_with_newest_lists(
    parts: MessageParts, batches: QuerySet[Batch], *, user_id: int | None = None
) -> ListComparison | None:
    """Find out which fields the newest of these batches lack, for a hint beside a template.

    Lists that a program posted do not count, and neither do tests.

    Returns:
        The batch that lacks the fewest fields; among equals, one with a near column. None if a batch has all fields, or
        if there is no batch.

    Raises:
        TemplateFault: The template can't be used.
        RenderingBusy: Too many templates are being looked at.
    """
    newest = list(
        batches.filter(is_test=False)
        .exclude(merge_fields=[])
        .exclude(source=BatchSource.LIST)
        .order_by("-pk")[:NEWEST_LISTS]
    )
    # Without a list too, so that a faulty template is refused even if there is none.
    _, *analyses = [each.require_sound() for each in children.analyse_for(parts, [None, *newest], user_id=user_id)]
    found = [(batch, _find_missing(batch, each)) for batch, each in zip(newest, analyses, strict=True)]
    if not found:
        return None
    batch, missing = min(found, key=lambda pair: (len(pair[1]), not any(field.near for field in pair[1])))
    return ListComparison(title=batch.title, missing=missing) if missing else None


def _find_missing(batch: Batch, analysis: Analysis) -> tuple[MissingField, ...]:
    binding = analysis.binding
    headings = dict(zip(batch.merge_fields, _headings_of(batch), strict=False))
    return tuple(
        MissingField(
            name=analysis.typed_names.get(name, name),
            merge_field=name_merge_fields([name], [1])[0],
            near=tuple(
                NearColumn(merge_field=near, heading=headings.get(near, near))
                for near in binding.near[name]
                if near in headings
            ),
        )
        for name in binding.missing
    )


def _headings_of(batch: Batch) -> list[str]:
    """Return the headings of the columns that fill merge fields, in their order."""
    has_field_each = len(batch.merge_fields) == len(batch.columns)  # true of several address columns
    return [heading for index, heading in enumerate(batch.columns) if has_field_each or index != batch.address_index]


def _first_rows(batch: Batch) -> tuple[ReviewRow, ...]:
    return tuple(_review_row(batch, email) for email in batch.emails.order_by("row")[:FIRST_ROWS])


def _review_row(batch: Batch, email: Email) -> ReviewRow:
    context = make_context(batch.merge_fields, email.fields, address=email.address)
    fields = {name: context[name] for name in batch.merge_fields}
    return ReviewRow(row=email.row, line=email.shown_line, address=email.address, fields=fields)


def _count_blanks(batch: Batch, names: list[str]) -> tuple[dict[str, int], int]:
    """Count the rows that leave each merge field blank (only if some do), and the rows that need SMTPUTF8.

    The import has counted them, unless many rows share an address. Then the first review does, and keeps the counts.
    """
    if batch.blank_counts is None or batch.smtputf8_count is None:
        _count_odd(batch)
    blanks = dict(zip(batch.merge_fields, batch.blank_counts or [], strict=False))
    return {name: blanks[name] for name in names if blanks.get(name)}, batch.smtputf8_count or 0


def _count_odd(batch: Batch) -> None:
    """Count the odd emails of a draft and keep the counts on it. One query counts all: it reads every email."""
    byte_length = Func(F("address"), function="octet_length", output_field=IntegerField())
    counts = {"smtputf8": Count("pk", filter=GreaterThan(byte_length, Length("address")))}
    numbers = range(len(batch.merge_fields))
    for number in numbers:
        cell = KeyTextTransform(number, "fields")
        counts[f"blank_{number}"] = Count("pk", filter=Exact(Trim(cell), ""))
    found = batch.emails.aggregate(**counts)
    batch.blank_counts, batch.smtputf8_count = [found[f"blank_{number}"] for number in numbers], found["smtputf8"]
    # Not if the draft was changed meanwhile: its rows are then others.
    unchanged = Batch.objects.filter(pk=batch.pk, total_count=batch.total_count, reading=batch.reading)
    unchanged.update(blank_counts=batch.blank_counts, smtputf8_count=batch.smtputf8_count)


class _Suppressed:
    """The suppressed that were counted last, by draft, topic and version of the list."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: OrderedDict[Hashable, tuple[float, dict[str, int]]] = OrderedDict()

    def find(self, key: Hashable) -> dict[str, int] | None:
        with self._lock:
            counted_at, counts = self._counts.get(key, (float("-inf"), {}))
        return counts if time.monotonic() - counted_at < KEPT_SECONDS else None

    def keep(self, key: Hashable, counts: dict[str, int]) -> None:
        with self._lock:
            self._counts[key] = (time.monotonic(), counts)
            while len(self._counts) > KEPT_MAX:
                self._counts.popitem(last=False)


_suppressed = _Suppressed()


def _count_suppressed(batch: Batch, topic_id: int | None) -> dict[str, int]:
    """Count the suppressed emails of a draft by reason. Of a large one, an address that was lifted may still count.

    Who gets the mail is decided by the list as it is when the batch is sent.
    """
    key = (batch.pk, batch.total_count, topic_id, read_version())
    counts = _suppressed.find(key) if batch.total_count > LARGE_ROWS else None
    if counts is None:
        counts = count_suppressed(batch.pk, topic_id=topic_id, statuses=[EmailStatus.PENDING])
        _suppressed.keep(key, counts)
    return counts


def _find_same_content(batch: Batch, *, since: datetime, reader: User | AnonymousUser | None) -> EmailJob | None:
    """Return the last job that sent another batch with the same content; None if there is none.

    Only batches that the reader may see count. Otherwise anybody could find out whether a list was sent.
    """
    if not batch.content_digest:
        return None
    jobs = EmailJob.objects.filter(batch__content_digest=batch.content_digest, created_at__gte=since)
    has_sent = Q(sent_count__gt=0) | Exists(Lane.objects.filter(job=OuterRef("pk"), sent_count__gt=0))
    jobs = jobs.filter(has_sent | Q(completed_at=None))  # one that ended before it sent anything repeats nothing
    if reader is not None:
        jobs = jobs.filter(batch__in=Batch.objects.visible_to(reader))
    return jobs.exclude(batch=batch).order_by("-created_at").first()
