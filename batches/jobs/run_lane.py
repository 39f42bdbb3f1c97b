"""What RQ runs: take a lane, send, give it back; ring again if it is another's turn."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Mapping
from typing import Any

import psycopg
import uvloop
from channels.layers import get_channel_layer
from django.conf import settings
from django.db import connection, connections
from rq import get_current_job

from batches import progress
from batches.delivery.lane_run import LaneRun
from batches.delivery.ledger import connect
from batches.delivery.policy import RetryPolicy
from batches.delivery.terms import LaneEnd, LaneSpec
from batches.jobs import lifecycle, queues
from batches.models import Lane, sql
from batches.rendering.message import derive_message_key
from batches.smtp.backend import Backend
from batches.smtp.connection import Timeouts
from batches.smtp.relay import Relay, parse_relay

logger = logging.getLogger(__name__)

CONNECT_MAX_SECONDS = 30
"""A relay that has not greeted after this long is in trouble; RFC 5321's five minutes would hold up a lane."""


def preload() -> None:
    """Do once in a worker what each of its work-horses does first: they inherit what is loaded and cached."""
    get_channel_layer()
    with contextlib.suppress(psycopg.Error):
        uvloop.run(_run(0, worker="", database=database_parameters()))


def run_lane(*, lane_id: int) -> str:
    """Send one lane's share of a job. Safe to run twice at once: one of them finds the lane held.

    Returns:
        Why it ended, in words, for RQ's log.
    """
    current = get_current_job()
    worker = (current.worker_name if current else None) or ""
    connections.close_all()  # the ledger has its own; an idle one would only cost Postgres a slot
    end = uvloop.run(_run(lane_id, worker=worker, database=database_parameters()))
    if end is None:
        return "held by another worker, or the job is not live, or it waits for the relay"
    if end is not LaneEnd.FENCED:
        _follow_up(lane_id, end)
    return end.value


async def _run(lane_id: int, *, worker: str, database: Mapping[str, Any]) -> LaneEnd | None:
    """Take a lane and send; all over one connection, unless it is lost. None: the lane was not to be had."""
    ledger_connection = await connect(database)
    try:
        taken = await acquire_lane(ledger_connection, lane_id, worker=worker)
        if taken is None:
            return None
        end = await _send(make_spec(taken, database), ledger_connection, priority=taken.priority)
    finally:
        await ledger_connection.close()
    logger.info(
        "Lane %s of job %s ended: %s.",
        *(lane_id, taken.job_id, end.value),
        extra={"action": "end_lane", "lane": lane_id, "job": taken.job_id},
    )
    return end


async def acquire_lane(
    ledger_connection: psycopg.AsyncConnection[Any], lane_id: int, *, worker: str
) -> sql.AcquiredLane | None:
    """Take a lane for a worker, or None: ``sql.ACQUIRE_LANE`` says when."""
    arguments = {"lane": lane_id, "worker": worker, "lease_seconds": settings.SEND_LEASE_SECONDS}
    row = await (await ledger_connection.execute(sql.ACQUIRE_LANE, arguments)).fetchone()
    return sql.ACQUIRE_LANE.rows([row])[0] if row else None


def make_spec(taken: sql.AcquiredLane, database: Mapping[str, Any]) -> LaneSpec:
    return LaneSpec(
        lane_id=taken.lane_id,
        token=taken.token,
        row_range=(taken.range_after_row, taken.range_end_row),
        job_id=taken.job_id,
        batch_id=taken.batch_id,
        merge_fields=tuple(taken.merge_fields),
        subject=taken.subject,
        html=taken.html,
        text=taken.text,
        from_email=taken.from_email,
        message_key=derive_message_key(settings.SECRET_KEY),
        relay=_find_relay(),
        timeouts=Timeouts(
            connect_seconds=min(CONNECT_MAX_SECONDS, settings.SEND_REPLY_TIMEOUT_SECONDS),
            command_seconds=settings.SEND_REPLY_TIMEOUT_SECONDS,
            final_seconds=settings.SEND_FINAL_REPLY_TIMEOUT_SECONDS,
        ),
        database=database,
        redis_url=settings.REDIS_URL,
        connections=settings.SEND_CONNECTIONS,
        window=settings.SEND_WINDOW,
        rate=settings.SEND_RATE,
        policy=RetryPolicy.from_settings(),
        lease_seconds=settings.SEND_LEASE_SECONDS,
        counters=(taken.sent_count, taken.failed_count, taken.unknown_count, taken.retried_count),
    )


def _find_relay() -> Relay | Backend:
    """EMAIL_URL's relay; or another Django email backend, where one is set."""
    return Backend(path=settings.SEND_BACKEND) if settings.SEND_BACKEND else parse_relay(settings.EMAIL_URL)


def database_parameters() -> dict[str, Any]:
    """Django's own parameters less what only its backend understands."""
    ours = {"context", "prepare_threshold", "server_side_binding", "cursor_factory"}
    return {name: value for name, value in connection.get_connection_params().items() if name not in ours}


async def _send(spec: LaneSpec, ledger_connection: psycopg.AsyncConnection[Any], *, priority: str) -> LaneEnd:
    async def publish(row: tuple[Any, ...]) -> None:
        await progress.apublish(*progress.make_snapshot(row))

    def should_yield() -> bool:
        return queues.has_other_job_waiting(spec.job_id, priority=priority)

    lane = LaneRun(spec, ledger_connection, publish=publish, should_yield=should_yield)
    return await lane.run()


def _follow_up(lane_id: int, end: LaneEnd) -> None:
    """After a lane was given back: end the job if it was the last, or ring for the rest."""
    lane = Lane.objects.select_related("job").get(pk=lane_id)
    if lifecycle.finish_job(lane.job_id):
        return
    if end in (LaneEnd.YIELDED, LaneEnd.STOPPED) and lane.lease_until is None:
        ring = queues.WorkItem(job_id=lane.job_id, lane_id=lane.pk, token=lane.token, priority=lane.job.priority)
        queues.enqueue([ring])
    progress.publish(lane.job.batch_id)


def expire_lane(item_id: str, *, worker: str) -> bool:
    """End the lease of a lane whose holder, a horse of this worker, is known to be dead; whether there was one."""
    ring = queues.parse_item_id(item_id)
    if ring is None:
        return False
    lane_id, token = ring
    with connection.cursor() as cursor:
        cursor.execute(sql.EXPIRE_LANE, {"lane": lane_id, "token": token, "worker": worker})
        return bool(cursor.rowcount)
