"""The jobs of an account that is locked or deleted pause, and somebody who may resumes them."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from batches.jobs import lifecycle
from batches.jobs.inactive_users import pause_jobs_of_inactive_users
from batches.jobs.sweep import sweep
from batches.models import AuditAction, AuditEntry, Batch, BatchStatus, EmailJob, JobStatus
from batches.permissions import Permission
from batches.progress import read_snapshot
from tests.conftest import MakeBatch, MakeJob, MakeUser, permit

MOVING = [
    (BatchStatus.SCHEDULED, JobStatus.SCHEDULED),
    (BatchStatus.PENDING, JobStatus.QUEUED),
    (BatchStatus.PROCESSING, JobStatus.PROCESSING),
]


@pytest.fixture
def gina(make_user: MakeUser) -> User:
    return make_user("gina", "Senders")


@pytest.fixture
def make(make_batch: MakeBatch, make_job: MakeJob, gina: User) -> MakeJob:
    """Make a job of gina's batch: ``make(BatchStatus.PENDING, JobStatus.QUEUED)``."""

    def run(batch_status: BatchStatus, status: JobStatus, **columns: object) -> EmailJob:
        batch = make_batch(batch_status, owner=gina, pending=2)
        at = timezone.now() + timedelta(hours=1) if status == JobStatus.SCHEDULED else None
        return make_job(batch, status, **{"created_by": gina, "scheduled_at": at, **columns})

    return run


def status_of(job: EmailJob) -> tuple[str, str]:
    job.refresh_from_db()
    batch = Batch.objects.get(pk=job.batch_id)
    return job.status, batch.status


@pytest.mark.parametrize(("batch_status", "status"), MOVING)
def test_jobs_pause_when_the_account_is_locked(
    batch_status: BatchStatus, status: JobStatus, make: MakeJob, gina: User
) -> None:
    job = make(batch_status, status)
    gina.is_active = False
    gina.save()
    assert status_of(job) == (JobStatus.PAUSED, BatchStatus.PAUSED)
    snapshot = read_snapshot(job.batch_id)
    assert snapshot is not None
    assert "The batch is paused because the account of gina is not active." in (snapshot["waitingFor"] or "")
    entry = AuditEntry.objects.get(action=AuditAction.PAUSE)
    assert entry.batch_id == job.batch_id


@pytest.mark.parametrize(("batch_status", "status"), MOVING)
def test_jobs_pause_when_the_account_is_deleted(
    batch_status: BatchStatus, status: JobStatus, make: MakeJob, gina: User
) -> None:
    job = make(batch_status, status)
    User.objects.filter(pk=gina.pk).delete()
    assert status_of(job) == (JobStatus.PAUSED, BatchStatus.PAUSED)
    assert job.last_error.startswith("The batch is paused because the account of gina was deleted.")
    assert job.created_by is None


def test_admin_page_of_the_user_pauses_its_jobs(client: Client, staff: User, make: MakeJob, gina: User) -> None:
    job = make(*MOVING[0])
    client.force_login(staff)
    form = {"username": "gina", "email": "", "date_joined_0": "2026-01-01", "date_joined_1": "00:00:00"}
    answer = client.post(f"/admin/auth/user/{gina.pk}/change/", form)
    assert answer.status_code == 302, answer.context["errors"]
    assert status_of(job) == (JobStatus.PAUSED, BatchStatus.PAUSED)


def test_sweep_pauses_what_an_update_of_many_rows_left(make: MakeJob) -> None:
    scheduled, running = make(*MOVING[0]), make(*MOVING[2])
    User.objects.update(is_active=False)
    assert status_of(scheduled)[0] == JobStatus.SCHEDULED, "an update sends no signal"
    report = sweep()
    assert report.paused == 2 and "paused 2 jobs of inactive users" in str(report)
    assert status_of(scheduled) == status_of(running) == (JobStatus.PAUSED, BatchStatus.PAUSED)
    assert sweep().paused == 0


def test_due_job_does_not_start_when_its_user_is_inactive(make: MakeJob) -> None:
    job = make(*MOVING[0], scheduled_at=timezone.now() - timedelta(seconds=1))
    User.objects.update(is_active=False)
    assert not lifecycle.start_due_job(job.pk)
    sweep()
    assert status_of(job)[0] == JobStatus.PAUSED
    User.objects.update(is_active=True)
    sweep()
    assert status_of(job)[0] == JobStatus.PAUSED, "an account that is active again sends nothing by itself"


@pytest.mark.parametrize("hours", [-1, 1])
def test_job_goes_on_when_an_active_user_resumes_it(make: MakeJob, gina: User, staff: User, hours: int) -> None:
    job = make(*MOVING[0])
    gina.is_active = False
    gina.save()
    EmailJob.objects.filter(pk=job.pk).update(scheduled_at=timezone.now() + timedelta(hours=hours))
    lifecycle.resume_batch(job.batch, by=staff)
    assert sweep().paused == 0
    assert status_of(job)[0] == (JobStatus.SCHEDULED if hours > 0 else JobStatus.QUEUED)
    assert job.last_error == "" and job.resumed_by == staff
    User.objects.filter(pk=staff.pk).update(is_active=False)
    assert sweep().paused == 1, "now nobody answers for it"


def test_owner_cant_resume_and_a_steerer_can(make: MakeJob, gina: User, make_user: MakeUser) -> None:
    job = make(*MOVING[1])
    gina.is_active = False
    gina.save()
    for name, permissions, status in [
        ("reader", [], 404),
        ("viewer", [Permission.VIEW_ALL_BATCHES], 403),
        ("steerer", [Permission.VIEW_ALL_BATCHES, Permission.STEER_ALL_BATCHES], 200),
    ]:
        client = Client()
        client.force_login(permit(make_user(name), *permissions))
        assert client.post(f"/api/batches/{job.batch_id}/resume").status_code == status
    assert status_of(job)[0] == JobStatus.QUEUED
    assert pause_jobs_of_inactive_users() == 0


def test_other_jobs_are_left_alone(make: MakeJob, gina: User, sender: User) -> None:
    of_another, of_nobody = make(*MOVING[1], created_by=sender), make(*MOVING[1], created_by=None)
    ended = make(BatchStatus.COMPLETED, JobStatus.COMPLETED, completed_at=timezone.now())
    gina.is_active = False
    gina.save()
    User.objects.filter(pk=gina.pk).update(last_login=timezone.now())
    sweep()
    assert status_of(of_another)[0] == status_of(of_nobody)[0] == JobStatus.QUEUED
    assert status_of(ended)[0] == JobStatus.COMPLETED


def test_saving_an_active_user_reads_no_job(gina: User) -> None:
    with CaptureQueriesContext(connection) as queries:
        gina.save(update_fields=["last_login"])
    assert not any("batches_emailjob" in query["sql"] for query in queries.captured_queries)
