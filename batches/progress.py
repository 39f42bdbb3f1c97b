"""Read the counts of batches and jobs, and publish a batch's snapshot to the browsers that watch it.

A snapshot holds every count, never a change. This module is the only publisher, and the only place where a row of
counts gets names: the websocket, the event stream, the API and the commands all use what it returns.

A message in the channel layer is sealed: who can write to Redis can't make a page show anything.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import NamedTuple, NotRequired, TypedDict, cast

from asgiref.sync import async_to_sync
from channels.layers import get_channel_layer
from django.conf import settings
from django.db import connection
from django.db.models import Sum
from django.utils.crypto import constant_time_compare, salted_hmac
from redis.exceptions import RedisError

from batches.models import BatchStatus, EmailJob, JobKind, sql
from batches.models.sql import SnapshotRow
from batches.phrases import Moment
from batches.waiting import (
    AWAITS_APPROVAL,
    COUNTING,
    NOT_KNOWN_WHILE_PAUSED,
    say_ahead,
    say_canary,
    say_scheduled,
    say_waiting,
    time_of,
)

logger = logging.getLogger(__name__)

ALL_BATCHES_GROUP = "batches.all"
"""The channel group of those who may watch the batches of everybody."""

EVENT_TYPE = "batch.changed"
"""The channel layer's message is ``{"type": EVENT_TYPE, "snapshot": text, "seal": text}``: see ``seal``."""

SEALED_MAX_CHARS = 16 * 1024
"""A snapshot has about 500 characters. A longer text is not ours."""


LONG_COUNT = 200_000
"""From so many recipients on, the count at the end of a job takes long enough to be told of."""


class Snapshot(TypedDict):
    """What a websocket message and a server-sent event carry.

    ``sent`` counts the emails that any job has sent. ``pending`` counts the emails that are still to be sent. While a
    replay of all is under way, ``resending`` emails are counted in both.

    ``sequence`` is the database's clock in microseconds: of two snapshots the one with the lower number is older.
    """

    batchId: int
    status: str
    processed: int
    total: int
    sent: int
    failed: int
    unknown: int
    suppressed: int
    cancelled: int
    pending: int
    resending: int
    returned: int
    """The sent emails that came back. They stay counted as sent."""
    complained: int
    """The sent emails about which their recipients complained."""
    ratePerSecond: float
    etaSeconds: float | None
    waitingFor: str | None
    """What the batch waits for, until when, and how many emails wait, in sentences. None: it waits for nothing."""
    doneAt: str | None
    """When the batch will be done, in ISO 8601. An estimate; ``jobs.forecasts`` makes it."""
    finish: str
    """The same in words, or why nobody can know it. Empty if there is nothing to say."""
    moments: NotRequired[list[Moment]]
    """The times in these sentences, so that a page can say them in the zone of its reader."""
    sequence: int


class CountFields(TypedDict):
    """The counts of a snapshot, by the names that the API gives them."""

    totalEmails: int
    processedCount: int
    sentCount: int
    failedCount: int
    unknownCount: int
    suppressedCount: int
    cancelledCount: int
    pendingCount: int
    resendingCount: int
    returnedCount: int
    complainedCount: int


class JobCounts(NamedTuple):
    """How many emails one job has sent, and how many have failed in it."""

    sent: int
    failed: int


def batch_group(batch_id: int) -> str:
    """The channel group of the watchers of one batch."""
    return f"batch.{batch_id}"


def owner_group(user_id: int | None) -> str:
    """The channel group of the watchers of all batches of one user."""
    return f"batches.{user_id or 0}"


def make_snapshot(row: SnapshotRow) -> tuple[Snapshot, int | None]:
    """Make the snapshot of a row that ``SNAPSHOTS`` answered. Returns it with the id of the batch's owner."""
    resending = max(0, row.resending)
    # While a lane's counts are added to the batch's, the sum may be too high for a moment.
    done = min(row.sent + row.failed + row.unknown + row.suppressed + row.cancelled, row.total)
    processed = max(0, done - resending)
    pending = row.total - processed
    snapshot = Snapshot(
        batchId=row.batch_id,
        status=row.status,
        processed=processed,
        total=row.total,
        sent=row.sent,
        failed=row.failed,
        unknown=row.unknown,
        suppressed=row.suppressed,
        cancelled=row.cancelled,
        pending=pending,
        resending=resending,
        returned=row.returned,
        complained=row.complained,
        ratePerSecond=round(row.rate_per_second, 1 if row.rate_per_second >= 10 else 3),
        etaSeconds=round(pending / row.rate_per_second, 1) if row.rate_per_second > 0 else None,
        waitingFor=_say_waiting(row, pending) or None,
        doneAt=None,
        finish=NOT_KNOWN_WHILE_PAUSED if row.status == BatchStatus.PAUSED and pending else "",
        moments=_list_moments(row),
        sequence=row.sequence,
    )
    return snapshot, row.owner_id


def _list_moments(row: SnapshotRow) -> list[Moment]:
    """List the times that the sentence about waiting may name. Those that it does not name are no matter."""
    now = datetime.fromtimestamp(row.sequence / 1_000_000, tz=UTC)
    times = (row.scheduled_at, row.retry_at, row.canary_until)
    return [time_of(at, now=now) for at in times if at is not None]


def _say_waiting(row: SnapshotRow, pending: int) -> str:
    """Say what the live job of a batch waits for. The times are compared with the database's clock."""
    if row.awaits_approval:
        return AWAITS_APPROVAL
    now = datetime.fromtimestamp(row.sequence / 1_000_000, tz=UTC)
    if row.status == BatchStatus.SCHEDULED and row.scheduled_at is not None:
        return say_scheduled(row.scheduled_at, now=now)
    if row.status == BatchStatus.PAUSED:
        return say_waiting(row.last_error, next_try_at=None, waiting_count=pending, now=now)
    if row.ahead is not None and not row.last_error:
        return say_ahead(row.ahead)
    if row.status == BatchStatus.PROCESSING and pending == 0 and row.total >= LONG_COUNT:
        return COUNTING
    if row.status in (BatchStatus.PENDING, BatchStatus.PROCESSING):
        if row.canary_until is not None and not row.last_error:
            return say_canary(row.canary_until, may_stop=settings.SEND_STOP_ABOVE > 0, waiting_count=pending, now=now)
        return say_waiting(row.last_error, next_try_at=row.retry_at, waiting_count=pending, now=now)
    return ""


def name_counts(snapshot: Snapshot) -> CountFields:
    """Give the counts of a snapshot the names that they have in the API and in the commands' JSON."""
    return CountFields(
        totalEmails=snapshot["total"],
        processedCount=snapshot["processed"],
        sentCount=snapshot["sent"],
        failedCount=snapshot["failed"],
        unknownCount=snapshot["unknown"],
        suppressedCount=snapshot["suppressed"],
        cancelledCount=snapshot["cancelled"],
        pendingCount=snapshot["pending"],
        resendingCount=snapshot["resending"],
        returnedCount=snapshot["returned"],
        complainedCount=snapshot["complained"],
    )


def read_snapshots(batch_ids: Iterable[int]) -> dict[int, Snapshot]:
    """The snapshots of those batches that exist, by batch id."""
    return {row.batch_id: make_snapshot(row)[0] for row in _read_rows(list(batch_ids))}


def _read_rows(batch_ids: list[int]) -> list[SnapshotRow]:
    with connection.cursor() as cursor:
        cursor.execute(sql.SNAPSHOTS, {"batches": batch_ids})
        return sql.SNAPSHOTS.rows(cursor.fetchall())


def read_snapshot(batch_id: int) -> Snapshot | None:
    """The snapshot of one batch, or None if the batch does not exist."""
    return read_snapshots([batch_id]).get(batch_id)


def read_job_counts(job: EmailJob) -> JobCounts:
    """The counts of one job: the sums over its lanes while it is live, its own columns after that.

    The lanes of a replay of all do not say what became of the emails that were sent before, so its emails are counted.
    """
    if job.completed_at is not None:
        return JobCounts(job.sent_count, job.failed_count)
    if job.kind == JobKind.ALL:
        return _count_emails(job)
    sums = job.lanes.aggregate(sent=Sum("sent_count", default=0), failed=Sum("failed_count", default=0))
    return JobCounts(sums["sent"], sums["failed"])


def _count_emails(job: EmailJob) -> JobCounts:
    lane_ids = list(job.lanes.values_list("pk", flat=True))
    with connection.cursor() as cursor:
        cursor.execute(sql.COUNT_BATCH, {"batch": job.batch_id, "lanes": lane_ids})
        counts = sql.COUNT_BATCH.rows(cursor.fetchall())[0]
    return JobCounts(counts.job_sent, counts.job_failed)


class SealedMessage(TypedDict):
    """A message of the channel layer."""

    type: str
    snapshot: str
    """The snapshot as JSON."""
    seal: str
    """HMAC-SHA-256 of the group and the snapshot in hex, with a key made of SECRET_KEY (RFC 2104)."""


def seal(group: str, snapshot: Snapshot) -> SealedMessage:
    """Make the message for one channel group.

    The group is sealed too. Otherwise somebody could copy the message of one user's batch into another user's group.
    An old message that is sent again changes nothing, because its sequence number is lower than the known one.
    """
    text = json.dumps(snapshot)
    return SealedMessage(type=EVENT_TYPE, snapshot=text, seal=_make_seal(group, text))


def unseal(group: str, message: object) -> Snapshot | None:
    """Return the snapshot of a message for a channel group, or None if this program did not make the message."""
    if not isinstance(message, dict):
        return None
    text, found = message.get("snapshot"), message.get("seal")
    if not isinstance(text, str) or not isinstance(found, str) or len(text) > SEALED_MAX_CHARS:
        return None
    if not constant_time_compare(found, _make_seal(group, text)):
        return None
    return cast(Snapshot, json.loads(text))


def _make_seal(group: str, text: str) -> str:
    return salted_hmac("batches.progress", f"{group}\n{text}", algorithm="sha256").hexdigest()


async def apublish(snapshot: Snapshot, owner_id: int | None) -> None:
    """Send a snapshot to all watchers of the batch. While Redis is away the message is lost, and nothing else."""
    layer = get_channel_layer()
    try:
        for group in (batch_group(snapshot["batchId"]), owner_group(owner_id), ALL_BATCHES_GROUP):
            await layer.group_send(group, seal(group, snapshot))
    except (RedisError, OSError) as exc:
        logger.warning(
            "The progress of batch %s was not published: %s",
            snapshot["batchId"],
            exc,
            extra={"action": "publish_failed", "batch": snapshot["batchId"]},
        )


def publish(batch_id: int) -> None:
    """Read the snapshot of one batch and send it. For code without an event loop."""
    for row in _read_rows([batch_id]):
        async_to_sync(apublish)(*make_snapshot(row))
