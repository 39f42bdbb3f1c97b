"""The sweep: start due jobs, reap dead lanes, finish jobs that are over, enqueue lanes that have work.

It also pauses the jobs of users whose account is not active any more.

Redis may have lost every work item, and every worker may have died. The truth is in PostgreSQL, and the sweep brings
everything else back in line with it. It sends nothing.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

from django.conf import settings
from django.db import connection, transaction
from django.db.models.functions import Now
from django.utils.translation import gettext_noop
from redis.exceptions import RedisError

from batches.delivery.policy import RetryPolicy, decide_deaths
from batches.jobs import approvals, directory, lifecycle, queues, retention, send_webhooks, stopping
from batches.jobs.inactive_users import pause_jobs_of_inactive_users
from batches.models import EmailJob, EmailStatus, JobStatus, sql
from batches.returns.waiting import retry_waiting

logger = logging.getLogger(__name__)

ADVISORY_LOCK = 0x656D61696C  # "email": one process in the fleet sweeps at a time
REASON_WHEN_REAPED = gettext_noop(
    "The worker that was sending this died, so nobody knows whether the relay accepted it."
)

SUSPECT_SECONDS = 2.0
"""How long a suspect lane has to renew its lease. A living lane does so, or attempts it every RECONNECT_SECONDS."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SweepReport:
    """What one sweep did, in counts."""

    paused: int = 0
    voided: int = 0
    """The approvals that are void, because what they were about has changed."""
    stopped: int = 0
    """The jobs of whose batches too much failed or came back."""
    started: int = 0
    reaped: int = 0
    enqueued: int = 0
    finished: int = 0
    was_busy: bool = False
    """Another process was sweeping, so this one did nothing."""

    def __str__(self) -> str:
        if self.was_busy:
            return "Another process is sweeping, so nothing was done."
        return (
            f"Started {self.started} scheduled jobs, reaped {self.reaped} dead lanes, "
            f"enqueued {self.enqueued} lanes, finished {self.finished} jobs"
            f"{f', paused {self.paused} jobs of inactive users' if self.paused else ''}"
            f"{f', stopped {self.stopped} jobs of which too much failed or came back' if self.stopped else ''}."
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class ReapedEmails:
    """How many emails of one dead lane are pending again, failed, or ended as unknown."""

    retried: int
    failed: int
    unknown: int


def sweep() -> SweepReport:
    """Do one pass, unless another process is doing one. Takes milliseconds if there is nothing to do."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s)", [ADVISORY_LOCK])
        [(is_ours,)] = cursor.fetchall()
        if not is_ours:
            return SweepReport(was_busy=True)
        try:
            # In this order: a job for which nobody answers must not start, and a reaped lane may let its job end, or
            # may have work again.
            report = SweepReport(
                paused=pause_jobs_of_inactive_users(),
                voided=approvals.void_changed(at_most=approvals.SWEPT_COUNT_MAX),
                stopped=_stop_jobs(),
                started=_start_due_jobs(),
                reaped=_reap_dead_lanes(),
                finished=_finish_jobs(),
                enqueued=_enqueue_lanes(),
            )
            cursor.execute(sql.ADD_MARKS)
            # Last, because it may take a few seconds if reports name nothing but recipients.
            retry_waiting()
            retention.forget_ended_sessions()
            retention.enqueue_if_due()
            send_webhooks.sweep_webhooks()
            directory.enqueue_if_needed()
            return report
        finally:
            cursor.execute("SELECT pg_advisory_unlock(%s)", [ADVISORY_LOCK])


def _stop_jobs() -> int:
    """Stop before canaries go on, and before lanes are enqueued."""
    stopped = stopping.stop_jobs()
    stopping.advance_canaries()
    return stopped


def _start_due_jobs() -> int:
    due = EmailJob.objects.filter(status=JobStatus.SCHEDULED, scheduled_at__lte=Now(), completed_at=None)
    return sum(lifecycle.start_due_job(job_id) for job_id in due.values_list("pk", flat=True))


def _reap_dead_lanes() -> int:
    policy = RetryPolicy.from_settings()
    with connection.cursor() as cursor:
        # In a commit of its own: a lane is suspect only after this write has succeeded.
        cursor.execute(sql.SUSPECT_LANES)
    with transaction.atomic(), connection.cursor() as cursor:
        lease = {"lease_seconds": settings.SEND_LEASE_SECONDS, "suspect_seconds": SUSPECT_SECONDS}
        cursor.execute(sql.EXPIRED_LANES, lease)
        lanes = sql.EXPIRED_LANES.rows(cursor.fetchall())
        for lane in lanes:
            emails = _reap(lane, policy)
            logger.warning(
                "Reaped lane %s of job %s: %s emails back to pending, %s failed, %s unknown.",
                *(lane.lane_id, lane.job_id, emails.retried, emails.failed, emails.unknown),
                extra={"action": "reap_lane", "lane": lane.lane_id, "job": lane.job_id},
            )
        # With the reaping in one commit, so that no lane sees the quotas without these messages.
        cursor.execute(sql.END_RESERVATIONS)
        cursor.execute(sql.DELETE_OLD_USES)
    return len(lanes)


def _reap(lane: sql.ExpiredLane, policy: RetryPolicy) -> ReapedEmails:
    """Reap one dead lane: decide about the emails that it had in flight. Needs the lane's row locked."""
    with connection.cursor() as cursor:
        cursor.execute(sql.LOCK_IN_FLIGHT, {"lane": lane.lane_id, "batch": lane.batch_id})
        decisions = decide_deaths(sql.LOCK_IN_FLIGHT.rows(cursor.fetchall()), policy)
        statuses = [decision.status for decision in decisions]
        emails = ReapedEmails(
            retried=statuses.count(EmailStatus.PENDING),
            failed=statuses.count(EmailStatus.FAILED),
            unknown=statuses.count(EmailStatus.UNKNOWN),
        )
        cursor.execute(
            sql.RECORD_DEATHS,
            {
                "lane": lane.lane_id,
                "reason": REASON_WHEN_REAPED,
                "ids": [decision.email_id for decision in decisions],
                "statuses": statuses,
                "delays": [decision.delay_seconds for decision in decisions],
            },
        )
    return emails


def _finish_jobs() -> int:
    with connection.cursor() as cursor:
        cursor.execute(sql.JOBS_TO_FINISH, {"job": None})
        jobs = sql.JOBS_TO_FINISH.rows(cursor.fetchall())
    return sum(lifecycle.finish_job(job.job_id) for job in jobs)


def _enqueue_lanes() -> int:
    """Enqueue every free lane that has work and no waiting work item."""
    with connection.cursor() as cursor:
        cursor.execute(sql.LANES_TO_ENQUEUE)
        lanes = sql.LANES_TO_ENQUEUE.rows(cursor.fetchall())
    items = [queues.WorkItem(**lane._asdict()) for lane in lanes]
    if not items:
        return 0
    try:
        waiting = queues.waiting_item_ids()
    except RedisError as exc:
        logger.warning("Redis can't be used, so no lane was enqueued: %s", exc)
        return 0
    return queues.enqueue(item for item in items if item.id not in waiting)
