"""The pass that repairs everything from Postgres: due schedules, expired leases, missing lanes, finished jobs.

Redis may have lost every ring and every worker may have died: what is true stands in Postgres, and this
pass brings the rest back in line with it.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

from django.conf import settings
from django.db import connection, transaction
from django.db.models.functions import Now
from redis.exceptions import RedisError

from batches.jobs import lifecycle, queues
from batches.models import CrashPolicy, EmailJob, JobStatus, repair_sql

logger = logging.getLogger(__name__)

ADVISORY_LOCK = 0x656D61696C  # "email": one worker in the fleet sweeps at a time
REASON_WHEN_REAPED = "The worker that was sending this died, so nobody knows if the relay took it."

DOUBT_SECONDS = 2.0
"""How long a lane whose lease has run out is given to renew it; it tries back to back."""

DEATHS_MAX = 16
"""An email that was there when so many more workers died than it has attempts ends, whoever was beside it."""

SPREAD_SECONDS = 10.0
"""Over how long emails with used-up attempts go again when nobody knows which of them killed their worker."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SweepReport:
    """What one sweep did, in counts."""

    started: int = 0
    reaped: int = 0
    rung: int = 0
    finished: int = 0
    was_busy: bool = False

    def __str__(self) -> str:
        if self.was_busy:
            return "Another process is sweeping, so nothing was done."
        return (
            f"Started {self.started} scheduled jobs, reaped {self.reaped} dead lanes, "
            f"rang {self.rung} lanes, finished {self.finished} jobs."
        )


def sweep() -> SweepReport:
    """Do one pass, unless another process is doing one. Takes milliseconds when there is nothing to do."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s)", [ADVISORY_LOCK])
        if not cursor.fetchone()[0]:
            return SweepReport(was_busy=True)
        try:
            return SweepReport(
                started=_start_due_jobs(), reaped=_reap_dead_lanes(), finished=_finish_jobs(), rung=_enqueue_lanes()
            )
        finally:
            cursor.execute("SELECT pg_advisory_unlock(%s)", [ADVISORY_LOCK])


def _start_due_jobs() -> int:
    due = EmailJob.objects.filter(status=JobStatus.SCHEDULED, scheduled_at__lte=Now(), completed_at=None)
    return sum(lifecycle.start_due_job(job_id) for job_id in due.values_list("pk", flat=True))


def _reap_dead_lanes() -> int:
    count = 0
    with connection.cursor() as cursor:
        cursor.execute(repair_sql.SUSPECT_LANES)  # a commit of its own
    with transaction.atomic(), connection.cursor() as cursor:
        lease = {"lease_seconds": settings.SEND_LEASE_SECONDS, "doubt_seconds": DOUBT_SECONDS}
        cursor.execute(repair_sql.EXPIRED_LANES, lease)
        for lane_id, job_id, batch_id in cursor.fetchall():
            retried, failed, unknown = _reap(lane_id, batch_id)
            logger.warning(
                "Reaped lane %s of job %s: %s emails back to pending, %s failed, %s unknown.",
                *(lane_id, job_id, retried, failed, unknown),
                extra={"action": "reap_lane", "lane": lane_id, "job": job_id},
            )
            count += 1
    return count


def _reap(lane_id: int, batch_id: int) -> tuple[int, int, int]:
    with connection.cursor() as cursor:
        cursor.execute(
            repair_sql.REAP_LANE,
            {
                "lane": lane_id,
                "batch": batch_id,
                "hold": settings.SEND_ON_CRASH == CrashPolicy.HOLD,
                "max_attempts": settings.SEND_MAX_ATTEMPTS,
                "reason": REASON_WHEN_REAPED,
                "deaths_max": DEATHS_MAX,
                "spread_seconds": SPREAD_SECONDS,
            },
        )
        retried, failed, unknown = cursor.fetchone()
        cursor.execute(
            repair_sql.ADD_TO_LANE, {"lane": lane_id, "retried": retried, "failed": failed, "unknown": unknown}
        )
    return retried, failed, unknown


def _finish_jobs() -> int:
    with connection.cursor() as cursor:
        cursor.execute(repair_sql.JOBS_TO_FINISH, {"job": None})
        job_ids = [row[0] for row in cursor.fetchall()]
    return sum(lifecycle.finish_job(job_id) for job_id in job_ids)


def _enqueue_lanes() -> int:
    """WorkItem every free lane that has work and no ring waiting."""
    with connection.cursor() as cursor:
        cursor.execute(repair_sql.LANES_TO_ENQUEUE)
        wanted = [
            queues.WorkItem(lane_id=lane_id, job_id=job_id, token=token, priority=priority)
            for lane_id, job_id, token, priority in cursor.fetchall()
        ]
    if not wanted:
        return 0
    try:
        waiting = queues.waiting_item_ids()
    except RedisError as exc:
        logger.warning("Redis is away, so no lane was rung: %s", exc)
        return 0
    return queues.enqueue(ring for ring in wanted if ring.id not in waiting)
