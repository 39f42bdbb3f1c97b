"""The sweep brings everything back in line with Postgres."""

from __future__ import annotations

from datetime import timedelta

import psycopg
import pytest
from django.conf import LazySettings
from django.db import connection
from django.utils import timezone

from batches.jobs import creation, queues
from batches.jobs.run_lane import expire_lane
from batches.jobs.sweep import ADVISORY_LOCK, sweep
from batches.models import (
    Attempt,
    BatchStatus,
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


def waiting() -> set[str]:
    return queues.waiting_item_ids()


def hold_lane(lane: Lane, *, expired: bool, emails: int, attempts: int = 1) -> None:
    """As if a worker held the lane and was sending so many emails, each at its try of this number."""
    moment = timezone.now() + timedelta(seconds=-1 if expired else 60)
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


def suspect(lane: Lane) -> None:
    """As if a sweep had found the lease run out, longer ago than a living lane needs to renew it."""
    moment = timezone.now() - timedelta(seconds=5)
    Lane.objects.filter(pk=lane.pk).update(lease_until=moment - timedelta(seconds=5), suspected_at=moment)


@pytest.fixture(autouse=True)
def short_lease(settings: LazySettings) -> None:
    settings.SEND_LEASE_SECONDS = 0  # no grace after PostgreSQL's start


def test_lane_is_rung_again_once_when_redis_was_flushed(make_batch: MakeBatch, template: EmailTemplate) -> None:
    job = creation.create_job(make_batch(3), template=template, user=None)
    assert len(waiting()) == 1
    queues.client().flushall()
    assert sweep().enqueued == 1
    assert waiting() == {f"lane-{job.pk}-{job.lanes.get().pk}-0"}
    assert sweep().enqueued == 0


def test_lane_is_not_rung_when_it_is_held(make_batch: MakeBatch, template: EmailTemplate) -> None:
    job = creation.create_job(make_batch(3), template=template, user=None)
    queues.client().flushall()
    hold_lane(job.lanes.get(), expired=False, emails=1)
    report = sweep()
    assert (report.enqueued, report.reaped) == (0, 0)


@pytest.mark.parametrize(
    ("policy", "attempts", "status"),
    [
        ("resend", 1, EmailStatus.PENDING),
        ("hold", 1, EmailStatus.UNKNOWN),
        ("resend", 2, EmailStatus.PENDING),
        ("hold", 2, EmailStatus.UNKNOWN),
    ],
)
def test_emails_end_as_the_policy_says_when_their_worker_died(
    make_batch: MakeBatch, template: EmailTemplate, settings: LazySettings, policy: str, attempts: int, status: str
) -> None:
    settings.SEND_ON_CRASH = policy
    job = creation.create_job(make_batch(3), template=template, user=None)
    lane = job.lanes.get()
    hold_lane(lane, expired=True, emails=2, attempts=attempts)
    suspect(lane)
    queues.client().flushall()
    report = sweep()
    assert (report.reaped, report.enqueued) == (1, 1)
    assert Email.objects.filter(batch=job.batch, status=status).count() == (3 if status == "pending" else 2)
    assert set(Attempt.objects.values_list("outcome", "number")) == {(Outcome.INTERRUPTED, attempts)}
    lane.refresh_from_db()
    assert (lane.lease_until, lane.token) == (None, 2)
    counted = {"pending": lane.retried_count, "failed": lane.failed_count, "unknown": lane.unknown_count}
    assert counted[status] == 2


def test_email_fails_only_alone_when_its_attempts_are_used_up(make_batch: MakeBatch, template: EmailTemplate) -> None:
    """Of several in doubt nobody knows which one kills its worker: they go again, apart from each other."""
    job = creation.create_job(make_batch(3), template=template, user=None)
    lane = job.lanes.get()
    hold_lane(lane, expired=True, emails=2, attempts=3)
    Email.objects.filter(batch=job.batch, row=3).update(attempts=4)  # among equals chance decides who goes first
    Lane.objects.filter(pk=lane.pk).update(lease_until="1970-01-01T00:00:00Z")
    assert sweep().reaped == 1
    first, second = Email.objects.filter(batch=job.batch, attempts__gte=3).order_by("row")
    assert (first.status, second.status) == (EmailStatus.PENDING, EmailStatus.PENDING)
    assert second.next_attempt_at - first.next_attempt_at > timedelta(seconds=1)
    hold_lane(lane, expired=True, emails=1, attempts=4)
    Lane.objects.filter(pk=lane.pk).update(lease_until="1970-01-01T00:00:00Z")
    assert sweep().reaped == 1
    assert Email.objects.get(pk=first.pk).status == EmailStatus.FAILED
    assert Email.objects.get(pk=second.pk).status == EmailStatus.PENDING


def test_email_goes_last_when_it_was_there_at_the_most_deaths(make_batch: MakeBatch, template: EmailTemplate) -> None:
    """Else a culprit with the lowest row went first each time, and took along whoever was due when a worker came."""
    job = creation.create_job(make_batch(4), template=template, user=None)
    lane = job.lanes.get()
    hold_lane(lane, expired=True, emails=4, attempts=2)
    for row, attempts in ((2, 5), (3, 3), (4, 4), (5, 1)):
        Email.objects.filter(batch=job.batch, row=row).update(attempts=attempts)
    Lane.objects.filter(pk=lane.pk).update(lease_until="1970-01-01T00:00:00Z")
    begun = timezone.now()
    assert sweep().reaped == 1
    again = list(Email.objects.filter(batch=job.batch, status=EmailStatus.PENDING).order_by("next_attempt_at"))
    assert [each.row for each in again] == [5, 3, 4, 2]
    waits = [(each.next_attempt_at - begun).total_seconds() for each in again]
    assert [round(seconds) for seconds in waits] == [0, 3, 7, 10]


def test_living_lane_keeps_its_lease_when_nobody_could_write_for_longer(
    make_batch: MakeBatch, template: EmailTemplate
) -> None:
    """After a full disk has room again the sweep may come first: it must leave the lane time to renew."""
    job = creation.create_job(make_batch(3), template=template, user=None)
    lane = job.lanes.get()
    hold_lane(lane, expired=True, emails=2)
    assert (sweep().reaped, sweep().reaped) == (0, 0)
    lane.refresh_from_db()
    suspected_at = timezone.now() - timedelta(seconds=5)
    renewed_until = timezone.now() - timedelta(seconds=2)  # renewed meanwhile, and run out again
    Lane.objects.filter(pk=lane.pk).update(suspected_at=suspected_at, lease_until=renewed_until)
    assert sweep().reaped == 0
    suspect(lane)
    assert sweep().reaped == 1


def test_lease_ends_at_once_only_when_its_own_horse_died(
    make_batch: MakeBatch, template: EmailTemplate, settings: LazySettings
) -> None:
    settings.SEND_LEASE_SECONDS = 100_000  # PostgreSQL has not been up for so long
    job = creation.create_job(make_batch(3), template=template, user=None)
    lane = job.lanes.get()
    hold_lane(lane, expired=False, emails=2)
    Lane.objects.filter(pk=lane.pk).update(worker="holder")
    item_id = f"lane-{job.pk}-{lane.pk}-0"
    assert not expire_lane(item_id, worker="another")
    assert sweep().reaped == 0
    assert expire_lane(item_id, worker="holder")
    assert sweep().reaped == 1


def test_no_lease_is_taken_when_postgres_has_just_started(
    make_batch: MakeBatch, template: EmailTemplate, settings: LazySettings
) -> None:
    settings.SEND_LEASE_SECONDS = 100_000
    job = creation.create_job(make_batch(3), template=template, user=None)
    hold_lane(job.lanes.get(), expired=True, emails=2)
    suspect(job.lanes.get())
    assert sweep().reaped == 0


def test_job_is_queued_when_its_time_has_come(make_batch: MakeBatch, template: EmailTemplate) -> None:
    later = timezone.now() + timedelta(hours=1)
    job = creation.create_job(
        make_batch(3), template=template, user=None, scheduled_at=later, priority=JobPriority.HIGH
    )
    assert (job.status, job.batch.status) == (JobStatus.SCHEDULED, BatchStatus.SCHEDULED)
    assert sweep().started == 0
    assert waiting() == set()
    EmailJob.objects.filter(pk=job.pk).update(scheduled_at=timezone.now())
    assert sweep().started == 1
    job.refresh_from_db()
    assert job.status == JobStatus.QUEUED
    assert queues.open_queue(JobPriority.HIGH).count == 1


def test_job_is_finished_when_nothing_is_left_of_it(make_batch: MakeBatch, template: EmailTemplate) -> None:
    job = creation.create_job(make_batch(3), template=template, user=None)
    Email.objects.filter(batch=job.batch).update(status=EmailStatus.SENT, lane=job.lanes.get())
    assert sweep().finished == 1
    job.refresh_from_db()
    assert (job.status, job.sent_count) == (JobStatus.COMPLETED, 3)


def test_nothing_is_done_when_another_process_sweeps(make_batch: MakeBatch, template: EmailTemplate) -> None:
    creation.create_job(make_batch(3), template=template, user=None)
    queues.client().flushall()
    parameters = connection.get_connection_params()
    with psycopg.connect(host=parameters["host"], user=parameters["user"], dbname=parameters["dbname"]) as other:
        other.execute("SELECT pg_advisory_lock(%s)", [ADVISORY_LOCK])
        report = sweep()
    assert report.was_busy
    assert "nothing was done" in str(report)
    assert waiting() == set()
