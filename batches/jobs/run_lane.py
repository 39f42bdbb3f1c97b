"""The function that RQ runs for a work item: acquire a lane, send, release the lane.

If a lane ended because it was another job's turn, or because its worker stops, it is enqueued again.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Mapping
from typing import Any

import psycopg
import uvloop
from channels.layers import get_channel_layer
from django.conf import settings
from django.db import DatabaseError, connection, connections
from rq import get_current_job

from batches import progress
from batches.delivery.lane_run import LaneRun
from batches.delivery.ledger import Ledger, connect, release_lane
from batches.delivery.policy import RetryPolicy
from batches.delivery.spec import Counters, LaneSpec, NewsSpec, RouteSpec
from batches.delivery.terms import LEAD_SECONDS, LaneEnd
from batches.jobs import lifecycle, queues
from batches.models import Lane, TopicKind, sql
from batches.relays import Found, afind_routes, relays_version
from batches.relays.local_senders import find_local_fault
from batches.rendering.message import derive_message_key
from batches.return_paths import ReturnPathMaker, derive_key
from batches.smtp.connection import Timeouts
from batches.unsubscribe_tokens import is_ready

logger = logging.getLogger(__name__)

CONNECT_MAX_SECONDS = 30
"""How long a relay may take to greet us. RFC 5321's five minutes would keep a worker from other jobs for too long."""


NOT_ACQUIRED = "acquired by another worker, or the job is not live, or it waits for the relay"


def preload() -> None:
    """Warm imports and caches in the worker. Forked work-horses inherit them."""
    get_channel_layer()
    with contextlib.suppress(psycopg.Error):
        uvloop.run(_run(0, worker="", database=database_parameters()))


def run_lane(*, lane_id: int) -> str:
    """Send one lane's share of a job. Safe to run twice at once: the second call finds the lane leased.

    Returns:
        Why it ended, in words, for RQ's log.
    """
    current = get_current_job()
    worker = (current.worker_name if current else None) or ""
    connections.close_all()  # The ledger opens its own; an idle one would only take up a slot in PostgreSQL.
    end = uvloop.run(_run(lane_id, worker=worker, database=database_parameters()))
    if end is None:
        return NOT_ACQUIRED
    if end is not LaneEnd.FENCED:
        _follow_up(lane_id, end)
    return end.value


async def _run(lane_id: int, *, worker: str, database: Mapping[str, Any]) -> LaneEnd | None:
    """Acquire a lane and send, over one connection unless it is lost. None: the lane could not be acquired."""
    ledger_connection = await connect(database)
    try:
        acquired = await acquire_lane(ledger_connection, lane_id, worker=worker)
        if acquired is None:
            return None
        found = await afind_routes(ledger_connection, sender_id=acquired.sender_id)
        if fault := find_local_fault(acquired.from_email, found.routes) or _find_news_fault(acquired):
            end = await _pause_and_release(ledger_connection, acquired, fault)
        elif found.why:
            end = await _release_without_relay(ledger_connection, acquired, found)
        else:
            spec = make_spec(acquired, database, routes=found.routes)
            end = await _send(spec, ledger_connection, priority=acquired.priority, version=found.version)
    finally:
        await ledger_connection.close()
    logger.info(
        "Lane %s of job %s ended: %s.",
        *(lane_id, acquired.job_id, end.value),
        extra={"action": "end_lane", "lane": lane_id, "job": acquired.job_id},
    )
    return end


async def acquire_lane(
    ledger_connection: psycopg.AsyncConnection[Any], lane_id: int, *, worker: str
) -> sql.AcquiredLane | None:
    """Acquire a lane for a worker, or return None: ``sql.ACQUIRE_LANE`` says when."""
    arguments = {"lane": lane_id, "worker": worker, "lease_seconds": settings.SEND_LEASE_SECONDS}
    row = await (await ledger_connection.execute(sql.ACQUIRE_LANE, arguments)).fetchone()
    return sql.ACQUIRE_LANE.rows([row])[0] if row else None


def make_return_paths(list_key: bytes | None) -> ReturnPathMaker | None:
    """Return what makes the return paths of this site. None: it has no BOUNCE_ADDRESS, or the list has no key yet."""
    if not settings.BOUNCE_ADDRESS or list_key is None:
        return None
    return ReturnPathMaker(settings.BOUNCE_ADDRESS, key=derive_key(bytes(list_key)))


def make_spec(acquired: sql.AcquiredLane, database: Mapping[str, Any], *, routes: tuple[RouteSpec, ...]) -> LaneSpec:
    """Gather what a lane run is given. ``routes`` are the relays that may carry its mail: one at least."""
    return LaneSpec(
        lane_id=acquired.lane_id,
        token=acquired.token,
        row_range=(acquired.range_after_row, acquired.range_end_row),
        job_id=acquired.job_id,
        batch_id=acquired.batch_id,
        merge_fields=tuple(acquired.merge_fields),
        address_heading=acquired.address_heading,
        subject=acquired.subject,
        html=acquired.html,
        text=acquired.text,
        from_email=acquired.from_email,
        reply_to=acquired.reply_to,
        sender_id=acquired.sender_id,
        message_topic=_make_news(acquired),
        resends_all=acquired.resends_all,
        accepted_refusal=acquired.accepted_refusal,
        message_key=derive_message_key(settings.SECRET_KEY),
        names_emails=acquired.names_emails,
        routes=routes,
        timeouts=Timeouts(
            connect_seconds=min(CONNECT_MAX_SECONDS, settings.SEND_REPLY_TIMEOUT_SECONDS),
            command_seconds=settings.SEND_REPLY_TIMEOUT_SECONDS,
            final_seconds=settings.SEND_FINAL_REPLY_TIMEOUT_SECONDS,
        ),
        return_paths=make_return_paths(acquired.list_key),
        database=database,
        redis_url=settings.REDIS_URL,
        window=settings.SEND_WINDOW,
        policy=RetryPolicy.from_settings(),
        lease_seconds=settings.SEND_LEASE_SECONDS,
        counters=Counters(
            acquired.sent_count,
            acquired.failed_count,
            acquired.unknown_count,
            acquired.retried_count,
            acquired.suppressed_count,
        ),
        stop_above=settings.SEND_STOP_ABOVE,
        suppression_version=acquired.suppression_version,
        topic_id=acquired.topic_id,
    )


def _find_news_fault(acquired: sql.AcquiredLane) -> str:
    """Say why this worker can't send the job's news. Each process has settings of its own. "": it can."""
    return (is_ready() or "") if acquired.topic_kind == TopicKind.NEWS else ""


def _make_news(acquired: sql.AcquiredLane) -> NewsSpec | None:
    if acquired.topic_kind != TopicKind.NEWS:
        return None
    # A job of news makes the list's key before it is inserted.
    assert acquired.topic_id is not None and acquired.topic_key is not None and acquired.list_key  # noqa: S101
    return NewsSpec(
        topic_id=acquired.topic_id,
        key=acquired.topic_key,
        footer=acquired.topic_footer,
        public_url=settings.PUBLIC_URL,
        bounce_address=settings.BOUNCE_ADDRESS,
        token_keys=tuple(settings.UNSUBSCRIBE_KEYS),
        list_key=bytes(acquired.list_key),
    )


def database_parameters() -> dict[str, Any]:
    """Return what ``psycopg.connect`` takes: Django's parameters without those that only Django understands."""
    django_only = {"context", "prepare_threshold", "server_side_binding", "cursor_factory"}
    return {name: value for name, value in connection.get_connection_params().items() if name not in django_only}


async def _send(
    spec: LaneSpec, ledger_connection: psycopg.AsyncConnection[Any], *, priority: str, version: str
) -> LaneEnd:
    async def publish(row: sql.SnapshotRow) -> None:
        await progress.apublish(*progress.make_snapshot(sql.SnapshotRow(*row)))

    def should_end() -> LaneEnd | None:
        if queues.has_other_job_waiting(spec.job_id, priority=priority):
            return LaneEnd.YIELDED
        return LaneEnd.REROUTED if _have_relays_changed(version) else None

    lane_run = LaneRun(spec, Ledger(spec, ledger_connection), publish=publish, should_end=should_end)
    return await lane_run.run()


def _have_relays_changed(version: str) -> bool:
    """Whether a person has changed a relay since this version. Called in a thread, which keeps no connection."""
    try:
        return relays_version() != version
    except DatabaseError:
        return False  # The ledger deals with an outage.
    finally:
        connections.close_all()


async def _release_without_relay(
    ledger_connection: psycopg.AsyncConnection[Any], acquired: sql.AcquiredLane, found: Found
) -> LaneEnd:
    """Note on the job why no relay may carry its mail now, and release the lane. No email was claimed."""
    logger.warning("Lane %s cannot send: %s", acquired.lane_id, found.why)
    seconds = max(0.0, (found.retry_seconds or 0.0) - LEAD_SECONDS)
    arguments = {"job": acquired.job_id, "sentence": found.why, "seconds": seconds}
    await ledger_connection.execute(sql.REPORT_WAIT, arguments)
    await release_lane(ledger_connection, lane_id=acquired.lane_id, token=acquired.token)
    return LaneEnd.RELAY_DOWN


async def _pause_and_release(
    ledger_connection: psycopg.AsyncConnection[Any], acquired: sql.AcquiredLane, fault: str
) -> LaneEnd:
    """Pause a job whose sender no mail may come from over these relays, and release the lane. No email was claimed."""
    logger.warning("Lane %s cannot send: %s", acquired.lane_id, fault)
    sentence = f"{fault} Then cancel this batch, and replay those who have not got it. Nobody was charged an attempt."
    await ledger_connection.execute(sql.PAUSE_JOB, {"job": acquired.job_id, "sentence": sentence, "refusal": ""})
    await release_lane(ledger_connection, lane_id=acquired.lane_id, token=acquired.token)
    return LaneEnd.HALTED


def _follow_up(lane_id: int, end: LaneEnd) -> None:
    """After a lane was released: finish the job if no work is left, or enqueue the lane again for the rest."""
    lane = Lane.objects.select_related("job").get(pk=lane_id)
    if lifecycle.finish_job(lane.job_id):
        return
    if end in (LaneEnd.YIELDED, LaneEnd.STOPPED, LaneEnd.REROUTED) and lane.lease_until is None:
        item = queues.WorkItem(job_id=lane.job_id, lane_id=lane.pk, token=lane.token, priority=lane.job.priority)
        queues.enqueue([item])
    progress.publish(lane.job.batch_id)


def expire_lane(item_id: str, *, worker: str) -> bool:
    """End the lease of a lane whose holder, a work-horse of this worker, is dead.

    Returns:
        Whether there was such a lease.
    """
    item = queues.parse_item_id(item_id)
    if item is None:
        return False
    lane_id, token = item
    with connection.cursor() as cursor:
        cursor.execute(sql.EXPIRE_LANE, {"lane": lane_id, "token": token, "worker": worker})
        return bool(cursor.rowcount)
