"""The sweep brings everything back in line with PostgreSQL."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from django.conf import LazySettings
from django.utils import timezone

from batches.delivery.policy import SPREAD_SECONDS
from batches.jobs import creation, queues
from batches.jobs import sweep as sweep_module
from batches.jobs.run_lane import database_parameters, expire_lane
from batches.jobs.sweep import ADVISORY_LOCK, sweep
from batches.models import (
    Attempt,
    BatchStatus,
    CrashPolicy,
    Email,
    EmailJob,
    EmailStatus,
    EmailTemplate,
    JobPriority,
    JobStatus,
    Lane,
)
from batches.outcomes import Outcome
from tests.integration.jobs.conftest import MakeBatch

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
"""The end of the lease of a lane that is known to be dead."""

SUSPECT = timedelta(hours=1)
"""How long a suspect lane has in these tests: longer than any of them takes."""


@pytest.fixture(autouse=True)
def long_doubt(settings: LazySettings, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.SEND_LEASE_SECONDS = 0  # no grace after the start of PostgreSQL
    monkeypatch.setattr(sweep_module, "SUSPECT_SECONDS", SUSPECT.total_seconds())


def lease_lane(lane: Lane, *, is_expired: bool, emails: int, attempts: int = 1) -> None:
    """Make a lane look as if a worker had leased it, with so many emails in flight in their attempt of this number."""
    moment = timezone.now() + timedelta(seconds=-1 if is_expired else 60)
    batch = Email.objects.filter(batch__jobs=lane.job_id)
    rows = list(batch.order_by("row").values_list("row", flat=True)[:emails])
    Lane.objects.filter(pk=lane.pk).update(
        lease_until=moment,
        token=lane.token + 1,
        claimed_rows=rows,
        range_after_row=rows[-1],
        range_end_row=rows[-1],
    )
    EmailJob.objects.filter(pk=lane.job_id).update(status=JobStatus.PROCESSING, handed_out_to_row=rows[-1])
    if attempts > 1:
        batch.filter(row__in=rows).update(
            status=EmailStatus.SENDING, lane=lane, attempts=attempts, next_attempt_at=timezone.now()
        )


def make_suspect(lane: Lane) -> None:
    """Make a lane look as if a sweep had noted its expired lease, longer ago than a living lane needs to renew it."""
    moment = timezone.now() - 2 * SUSPECT
    Lane.objects.filter(pk=lane.pk).update(lease_until=moment - SUSPECT, suspected_at=moment)


def make_dead(lane: Lane) -> None:
    """Make a lane look as if the parent process of its holder had seen the holder die."""
    Lane.objects.filter(pk=lane.pk).update(lease_until=EPOCH)


# --- lanes are enqueued ----------------------------------------------------------------------------------


def test_lane_is_enqueued_again_once_when_redis_was_flushed(make_batch: MakeBatch, template: EmailTemplate) -> None:
    job = creation.create_job(make_batch(3), template=template, user=None)
    assert len(queues.waiting_item_ids()) == 1
    queues.client().flushall()
    assert sweep().enqueued == 1
    assert queues.waiting_item_ids() == {f"lane-{job.pk}-{job.lanes.get().pk}-0", "people-0"}
    assert sweep().enqueued == 0


def test_lane_is_not_enqueued_when_it_is_leased(make_batch: MakeBatch, template: EmailTemplate) -> None:
    job = creation.create_job(make_batch(3), template=template, user=None)
    queues.client().flushall()
    lease_lane(job.lanes.get(), is_expired=False, emails=1)
    report = sweep()
    assert (report.enqueued, report.reaped) == (0, 0)


# --- dead lanes are reaped -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("policy", "attempts", "status"),
    [
        (CrashPolicy.RESEND, 1, EmailStatus.PENDING),
        (CrashPolicy.HOLD, 1, EmailStatus.UNKNOWN),
        (CrashPolicy.RESEND, 2, EmailStatus.PENDING),
        (CrashPolicy.HOLD, 2, EmailStatus.UNKNOWN),
    ],
)
def test_emails_follow_the_crash_policy_when_their_worker_died(
    make_batch: MakeBatch,
    template: EmailTemplate,
    settings: LazySettings,
    policy: CrashPolicy,
    attempts: int,
    status: EmailStatus,
) -> None:
    settings.SEND_ON_CRASH = policy.value
    job = creation.create_job(make_batch(3), template=template, user=None)
    lane = job.lanes.get()
    lease_lane(lane, is_expired=True, emails=2, attempts=attempts)
    make_suspect(lane)
    queues.client().flushall()
    report = sweep()
    assert (report.reaped, report.enqueued) == (1, 1)
    rows = Email.objects.filter(batch=job.batch, row__lte=3).values_list("status", "attempts")
    assert list(rows) == [(status, attempts)] * 2
    assert set(Attempt.objects.values_list("outcome", "number")) == {(Outcome.INTERRUPTED, attempts)}
    lane.refresh_from_db()
    assert (lane.lease_until, lane.token, lane.claimed_rows) == (None, 2, [])
    counts = (lane.retried_count, lane.failed_count, lane.unknown_count)
    assert counts == ((2, 0, 0) if status == EmailStatus.PENDING else (0, 0, 2))


def test_email_fails_only_when_it_alone_has_used_up_its_attempts(
    make_batch: MakeBatch, template: EmailTemplate
) -> None:
    """If several have, nobody knows which one kills its worker, so they are retried one after another."""
    job = creation.create_job(make_batch(3), template=template, user=None)
    lane = job.lanes.get()
    lease_lane(lane, is_expired=True, emails=2, attempts=3)
    Email.objects.filter(batch=job.batch, row=3).update(attempts=4)  # among equals chance decides which goes first
    make_dead(lane)
    assert sweep().reaped == 1
    first, second = Email.objects.filter(batch=job.batch, attempts__gte=3).order_by("row")
    assert (first.status, second.status) == (EmailStatus.PENDING, EmailStatus.PENDING)
    assert first.next_attempt_at is not None
    assert second.next_attempt_at is not None
    assert second.next_attempt_at - first.next_attempt_at == timedelta(seconds=SPREAD_SECONDS / 2)
    lease_lane(lane, is_expired=True, emails=1, attempts=4)
    make_dead(lane)
    assert sweep().reaped == 1
    assert Email.objects.get(pk=first.pk).status == EmailStatus.FAILED
    assert Email.objects.get(pk=second.pk).status == EmailStatus.PENDING
    lane.refresh_from_db()
    assert (lane.retried_count, lane.failed_count) == (2, 1)


def test_email_goes_last_when_it_was_present_at_the_most_deaths(make_batch: MakeBatch, template: EmailTemplate) -> None:
    """Otherwise a culprit with the lowest row would go first each time, and take along every email beside it."""
    job = creation.create_job(make_batch(4), template=template, user=None)
    lane = job.lanes.get()
    lease_lane(lane, is_expired=True, emails=4, attempts=2)
    for row, attempts in ((2, 5), (3, 3), (4, 4), (5, 1)):
        Email.objects.filter(batch=job.batch, row=row).update(attempts=attempts)
    make_dead(lane)
    assert sweep().reaped == 1
    due = dict(Email.objects.filter(batch=job.batch).order_by("next_attempt_at").values_list("row", "next_attempt_at"))
    assert list(due) == [5, 3, 4, 2]
    waits = [(moment - due[5]).total_seconds() for moment in due.values() if moment and due[5]]
    assert waits == pytest.approx([SPREAD_SECONDS * thirds / 3 for thirds in range(4)], abs=0.001)


def test_living_lane_keeps_its_lease_when_no_lane_could_write_for_longer(
    make_batch: MakeBatch, template: EmailTemplate
) -> None:
    """The sweep may come first after a full disk has room again. It must leave the lane time to renew."""
    job = creation.create_job(make_batch(3), template=template, user=None)
    lane = job.lanes.get()
    lease_lane(lane, is_expired=True, emails=2)
    assert (sweep().reaped, sweep().reaped) == (0, 0)
    lane.refresh_from_db()
    assert lane.suspected_at is not None
    make_suspect(lane)
    Lane.objects.filter(pk=lane.pk).update(lease_until=timezone.now())  # renewed meanwhile, and expired again
    assert sweep().reaped == 0
    make_suspect(lane)
    assert sweep().reaped == 1


def test_lease_ends_at_once_only_when_its_own_work_horse_died(
    make_batch: MakeBatch, template: EmailTemplate, settings: LazySettings
) -> None:
    settings.SEND_LEASE_SECONDS = 100_000  # PostgreSQL has not been up for so long
    job = creation.create_job(make_batch(3), template=template, user=None)
    lane = job.lanes.get()
    lease_lane(lane, is_expired=False, emails=2)
    Lane.objects.filter(pk=lane.pk).update(worker="holder")
    item_id = f"lane-{job.pk}-{lane.pk}-0"
    assert not expire_lane(item_id, worker="another")
    assert sweep().reaped == 0
    assert expire_lane(item_id, worker="holder")
    assert sweep().reaped == 1


def test_no_suspect_lane_is_reaped_when_postgres_has_just_started(
    make_batch: MakeBatch, template: EmailTemplate, settings: LazySettings
) -> None:
    settings.SEND_LEASE_SECONDS = 100_000
    job = creation.create_job(make_batch(3), template=template, user=None)
    lease_lane(job.lanes.get(), is_expired=True, emails=2)
    make_suspect(job.lanes.get())
    assert sweep().reaped == 0


# --- jobs are started and finished -----------------------------------------------------------------------


def test_job_is_queued_when_its_time_has_come(make_batch: MakeBatch, template: EmailTemplate) -> None:
    later = timezone.now() + timedelta(hours=1)
    job = creation.create_job(
        make_batch(3), template=template, user=None, scheduled_at=later, priority=JobPriority.HIGH
    )
    assert (job.status, job.batch.status) == (JobStatus.SCHEDULED, BatchStatus.SCHEDULED)
    assert sweep().started == 0
    assert queues.waiting_item_ids() == set()
    EmailJob.objects.filter(pk=job.pk).update(scheduled_at=timezone.now())
    assert sweep().started == 1
    job.refresh_from_db()
    assert job.status == JobStatus.QUEUED
    assert queues.open_queue(JobPriority.HIGH).count == 1


def test_job_is_finished_when_no_email_is_left(make_batch: MakeBatch, template: EmailTemplate) -> None:
    job = creation.create_job(make_batch(3), template=template, user=None)
    Email.objects.filter(batch=job.batch).update(status=EmailStatus.SENT, lane=job.lanes.get())
    assert sweep().finished == 1
    job.refresh_from_db()
    assert (job.status, job.sent_count) == (JobStatus.COMPLETED, 3)


def test_nothing_is_done_when_another_process_sweeps(make_batch: MakeBatch, template: EmailTemplate) -> None:
    creation.create_job(make_batch(3), template=template, user=None)
    queues.client().flushall()
    with psycopg.connect(**database_parameters()) as other:
        other.execute("SELECT pg_advisory_lock(%s)", [ADVISORY_LOCK])
        report = sweep()
    assert report.was_busy
    assert "nothing was done" in str(report)
    assert queues.waiting_item_ids() == set()
