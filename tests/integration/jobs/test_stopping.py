"""A batch of which too much fails or comes back stops, and a canary goes first: with real lanes and a real relay."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.conf import LazySettings
from django.db.models import F
from django.utils import timezone

from batches.jobs import creation, lifecycle, queues, stopping
from batches.jobs.sweep import sweep
from batches.models import (
    AuditAction,
    AuditEntry,
    Batch,
    BatchStatus,
    EmailJob,
    EmailStatus,
    EmailTemplate,
    JobKind,
    JobStatus,
    RelayPause,
)
from batches.progress import read_snapshot
from batches.relays.registry import wake_jobs
from tests.integration.jobs.conftest import MakeBatch
from tests.integration.jobs.whole_jobs import accepted, replay, run, run_to_end, start, statuses, wait_for
from tests.smtpserver import Behaviour, RunningServer

LIMIT_PERCENT = 10


@pytest.fixture(autouse=True)
def limit(settings: LazySettings) -> None:
    settings.SEND_STOP_ABOVE = LIMIT_PERCENT
    settings.SEND_LANES = 1


def mix(count: int, *, bad_every: int) -> list[str]:
    """Addresses of which every so many-th is refused as an unknown mailbox."""
    return [
        f"{'fail-550-' if number % bad_every == 0 else ''}p{number}-{id(count)}@stop.example" for number in range(count)
    ]


def say_waiting(batch: Batch) -> str:
    snapshot = read_snapshot(batch.pk)
    assert snapshot is not None
    return snapshot["waitingFor"] or ""


def end_canary_wait(job: EmailJob) -> None:
    EmailJob.objects.filter(pk=job.pk).update(canary_until=timezone.now() - timedelta(seconds=1))


# --- SEND_STOP_ABOVE -------------------------------------------------------------------------------------


def test_batch_stops_with_its_reason_when_too_many_emails_fail(
    relay: RunningServer, make_batch: MakeBatch, template: EmailTemplate, settings: LazySettings
) -> None:
    settings.SEND_WINDOW = 32
    relay.become(Behaviour(latency_ms=20))
    batch = make_batch(addresses=mix(3000, bad_every=4))
    job, lane = start(batch, template)
    run(lane)
    job.refresh_from_db()
    batch.refresh_from_db()
    assert (job.status, batch.status) == (JobStatus.PAUSED, BatchStatus.PAUSED)
    counts = statuses(batch)
    assert counts[EmailStatus.PENDING] > 2000
    assert "emails failed or came back" in job.last_error
    assert "10 % is allowed" in job.last_error
    assert f"{counts[EmailStatus.PENDING]:,} are waiting." in say_waiting(batch)


def test_batch_does_not_stop_when_the_setting_is_off(
    relay: RunningServer, make_batch: MakeBatch, template: EmailTemplate, settings: LazySettings
) -> None:
    settings.SEND_STOP_ABOVE = 0
    batch = make_batch(addresses=mix(200, bad_every=4))
    job, _ = start(batch, template)
    run_to_end(job)
    assert statuses(batch) == {EmailStatus.SENT: 150, EmailStatus.FAILED: 50}


def test_batch_does_not_stop_when_the_share_is_no_larger_than_allowed(
    relay: RunningServer, make_batch: MakeBatch, template: EmailTemplate
) -> None:
    batch = make_batch(addresses=mix(200, bad_every=20))
    job, _ = start(batch, template)
    run_to_end(job)
    assert job.status == JobStatus.COMPLETED
    assert statuses(batch)[EmailStatus.FAILED] == 10


@pytest.mark.parametrize("column", ["returned_count", "complained_count"])
def test_sweep_stops_a_batch_when_too_much_came_back(
    relay: RunningServer, make_batch: MakeBatch, template: EmailTemplate, column: str
) -> None:
    batch = make_batch(200)
    job, lane = start(batch, template)
    EmailJob.objects.filter(pk=job.pk).update(status=JobStatus.PROCESSING, started_at=timezone.now())
    job.lanes.filter(pk=lane.pk).update(sent_count=100)
    Batch.objects.filter(pk=batch.pk).update(**{column: 10})
    assert sweep().stopped == 0  # as much as is allowed
    Batch.objects.filter(pk=batch.pk).update(**{column: 11})
    assert sweep().stopped == 1
    job.refresh_from_db()
    assert job.status == JobStatus.PAUSED
    assert "11 of the first 100 emails" in job.last_error
    assert AuditEntry.objects.filter(action=AuditAction.PAUSE, batch_id=batch.pk).exists()
    assert sweep().stopped == 0


def test_nothing_is_judged_when_fewer_emails_than_a_canary_have_ended(
    relay: RunningServer, make_batch: MakeBatch, template: EmailTemplate
) -> None:
    batch = make_batch(200)
    job, lane = start(batch, template)
    EmailJob.objects.filter(pk=job.pk).update(status=JobStatus.PROCESSING, started_at=timezone.now())
    job.lanes.filter(pk=lane.pk).update(sent_count=20, failed_count=29)
    assert sweep().stopped == 0
    job.lanes.filter(pk=lane.pk).update(sent_count=F("sent_count") + 1)
    assert sweep().stopped == 1


def test_stopped_batch_goes_on_when_a_person_resumes_it_and_stops_at_twice_the_share(
    relay: RunningServer, make_batch: MakeBatch, template: EmailTemplate
) -> None:
    batch = make_batch(1000)
    job, lane = start(batch, template)
    EmailJob.objects.filter(pk=job.pk).update(status=JobStatus.PROCESSING, started_at=timezone.now())
    job.lanes.filter(pk=lane.pk).update(sent_count=100)
    Batch.objects.filter(pk=batch.pk).update(returned_count=20)
    assert sweep().stopped == 1
    Batch.objects.filter(pk=batch.pk).update(returned_count=30)  # more came back while it was paused
    lifecycle.resume_batch(batch)
    assert sweep().stopped == 0
    Batch.objects.filter(pk=batch.pk).update(returned_count=60)
    assert sweep().stopped == 0
    Batch.objects.filter(pk=batch.pk).update(returned_count=61)
    assert sweep().stopped == 1


def test_stopped_batch_is_sent_to_its_end_when_it_is_resumed(
    relay: RunningServer, make_batch: MakeBatch, template: EmailTemplate, settings: LazySettings
) -> None:
    settings.SEND_WINDOW = 32
    relay.become(Behaviour(latency_ms=20))
    batch = make_batch(addresses=mix(800, bad_every=4))
    job, lane = start(batch, template)
    run(lane)
    assert statuses(batch)[EmailStatus.PENDING]
    lifecycle.resume_batch(batch)
    run_to_end(job)
    assert statuses(batch) == {EmailStatus.SENT: 600, EmailStatus.FAILED: 200}
    assert set(accepted(relay, batch).values()) == {1}


def test_replay_does_not_stop_for_what_came_back_before_it(
    relay: RunningServer, make_batch: MakeBatch, template: EmailTemplate, settings: LazySettings
) -> None:
    settings.SEND_STOP_ABOVE = 0
    batch = make_batch(200)
    job, _ = start(batch, template)
    run_to_end(job)
    settings.SEND_STOP_ABOVE = LIMIT_PERCENT
    Batch.objects.filter(pk=batch.pk).update(returned_count=60)
    again = replay(batch, JobKind.ALL)
    assert again.accepted_share == 30
    assert run_to_end(again).status == JobStatus.COMPLETED


# --- the canary ------------------------------------------------------------------------------------------


@pytest.fixture
def canary(settings: LazySettings) -> None:
    settings.SEND_CANARY_SECONDS = 3600


def test_only_the_canary_is_sent_and_the_rest_waits_when_it_is_on(
    canary: None, relay: RunningServer, make_batch: MakeBatch, template: EmailTemplate, settings: LazySettings
) -> None:
    settings.SEND_LANES = 4
    batch = make_batch(1000)
    job, _ = start(batch, template)
    for lane in job.lanes.all():
        run(lane)
    assert statuses(batch) == {EmailStatus.SENT: 50, EmailStatus.PENDING: 950}
    queues.client().flushall()
    assert sweep().enqueued == 0
    job.refresh_from_db()
    assert job.canary_until is not None
    assert (job.canary_until - timezone.now()).total_seconds() == pytest.approx(3600, abs=60)
    sentence = say_waiting(batch)
    assert "to see what comes back" in sentence
    assert "950 are waiting." in sentence
    assert "unless too much does" in sentence
    settings.SEND_STOP_ABOVE = 0
    assert "unless you pause or cancel it" in say_waiting(batch)
    for lane in job.lanes.all():
        run(lane)
    assert statuses(batch)[EmailStatus.SENT] == 50


def test_rest_goes_out_when_the_wait_after_the_canary_is_over(
    canary: None, relay: RunningServer, make_batch: MakeBatch, template: EmailTemplate
) -> None:
    batch = make_batch(300)
    job, lane = start(batch, template)
    run(lane)
    sweep()
    end_canary_wait(job)
    queues.client().flushall()
    assert sweep().enqueued == 1
    assert run_to_end(job).status == JobStatus.COMPLETED
    assert statuses(batch) == {EmailStatus.SENT: 300}
    assert set(accepted(relay, batch).values()) == {1}


def test_canary_stops_the_batch_when_too_much_of_it_came_back(
    canary: None, relay: RunningServer, make_batch: MakeBatch, template: EmailTemplate
) -> None:
    batch = make_batch(300)
    job, lane = start(batch, template)
    run(lane)
    sweep()
    Batch.objects.filter(pk=batch.pk).update(returned_count=6)
    end_canary_wait(job)
    assert sweep().stopped == 1
    job.refresh_from_db()
    assert (job.status, job.canary_to_row) == (JobStatus.PAUSED, None)
    assert statuses(batch)[EmailStatus.SENT] == 50
    lifecycle.resume_batch(batch)
    assert run_to_end(job).status == JobStatus.COMPLETED
    assert statuses(batch) == {EmailStatus.SENT: 300}


def test_wait_does_not_begin_before_the_canary_was_sent_when_the_mail_server_is_away(
    canary: None, relay: RunningServer, make_batch: MakeBatch, template: EmailTemplate, settings: LazySettings
) -> None:
    address, settings.EMAIL_URL = settings.EMAIL_URL, "smtp://127.0.0.1:1"
    batch = make_batch(200)
    job, lane = start(batch, template)
    run(lane)
    sweep()
    job.refresh_from_db()
    assert job.handed_out_to_row == job.canary_to_row  # claimed, and taken back
    assert (statuses(batch), job.canary_until) == ({EmailStatus.PENDING: 200}, None)
    settings.EMAIL_URL = address
    RelayPause.objects.all().delete()
    wake_jobs()
    batch.emails.filter(next_attempt_at__isnull=False).update(next_attempt_at=timezone.now())
    run(lane)
    sweep()
    job.refresh_from_db()
    assert statuses(batch) == {EmailStatus.SENT: 50, EmailStatus.PENDING: 150}
    assert job.canary_until is not None


def test_canary_is_judged_when_some_of_it_is_to_be_retried(
    canary: None, relay: RunningServer, make_batch: MakeBatch, template: EmailTemplate, settings: LazySettings
) -> None:
    settings.SEND_RETRY_SECONDS = 3600  # no second attempt while the test looks
    addresses = [f"{'defer-450-' if number < 20 else ''}p{number}@grey.example" for number in range(200)]
    batch = make_batch(addresses=addresses)
    job, lane = start(batch, template)
    run(lane)
    assert statuses(batch)[EmailStatus.SENT] == 30
    sweep()
    Batch.objects.filter(pk=batch.pk).update(returned_count=25)
    end_canary_wait(job)
    assert sweep().stopped == 1
    job.refresh_from_db()
    assert (job.status, job.canary_to_row) == (JobStatus.PAUSED, None)
    assert "25 of the first 30 emails" in job.last_error
    lifecycle.resume_batch(batch)
    job.refresh_from_db()
    assert job.accepted_share == pytest.approx(100 * 25 / 30)
    assert sweep().stopped == 0
    run(lane)
    assert statuses(batch)[EmailStatus.SENT] == 180


def test_wait_begins_only_when_no_email_of_the_canary_is_in_flight(
    canary: None, make_batch: MakeBatch, template: EmailTemplate
) -> None:
    batch = make_batch(300)
    job, _ = start(batch, template)
    fiftieth = batch.emails.order_by("row").values_list("row", flat=True)[49]
    assert job.canary_to_row == fiftieth
    sweep()
    job.refresh_from_db()
    assert job.canary_until is None
    EmailJob.objects.filter(pk=job.pk).update(handed_out_to_row=fiftieth)
    batch.emails.filter(row__lte=fiftieth).update(status=EmailStatus.SENT)
    job.lanes.update(range_after_row=fiftieth, range_end_row=fiftieth, lease_until=timezone.now() + timedelta(hours=1))
    sweep()
    job.refresh_from_db()
    assert job.canary_until is None
    job.lanes.update(lease_until=None)
    sweep()
    job.refresh_from_db()
    assert job.canary_until is not None


def test_canary_is_sent_whole_when_its_worker_died(
    canary: None, relay: RunningServer, make_batch: MakeBatch, template: EmailTemplate, settings: LazySettings
) -> None:
    batch = make_batch(300)
    job, lane = start(batch, template)
    rows = list(batch.emails.order_by("row").values_list("row", flat=True)[:50])
    EmailJob.objects.filter(pk=job.pk).update(status=JobStatus.PROCESSING, handed_out_to_row=rows[-1])
    job.lanes.filter(pk=lane.pk).update(
        token=1,
        lease_until=datetime(1970, 1, 1, tzinfo=UTC),  # its parent saw it die
        claimed_rows=rows[:10],
        range_after_row=rows[9],
        range_end_row=rows[-1],
    )
    report = sweep()
    assert (report.reaped, report.enqueued) == (1, 1)
    assert EmailJob.objects.get(pk=job.pk).canary_until is None
    batch.emails.filter(row__in=rows[:10]).update(next_attempt_at=timezone.now())
    run(lane)
    assert statuses(batch) == {EmailStatus.SENT: 50, EmailStatus.PENDING: 250}
    queues.client().flushall()
    assert sweep().enqueued == 0
    assert EmailJob.objects.get(pk=job.pk).canary_until is not None


def test_retries_of_the_canary_go_out_while_the_rest_waits(
    canary: None, relay: RunningServer, make_batch: MakeBatch, template: EmailTemplate
) -> None:
    addresses = [f"{'defer-450-once-' if number < 5 else ''}p{number}@retry.example" for number in range(200)]
    batch = make_batch(addresses=addresses)
    job, lane = start(batch, template)
    run(lane)
    wait_for(lambda: run(lane) and statuses(batch)[EmailStatus.SENT] == 50)
    sweep()
    job.refresh_from_db()
    assert (statuses(batch)[EmailStatus.PENDING], job.canary_until is not None) == (150, True)


def test_there_is_no_canary_when_the_batch_is_no_larger_than_one(
    canary: None, relay: RunningServer, make_batch: MakeBatch, template: EmailTemplate
) -> None:
    batch = make_batch(stopping.CANARY_COUNT)
    job, _ = start(batch, template)
    assert job.canary_to_row is None
    assert run_to_end(job).status == JobStatus.COMPLETED


def test_canary_goes_on_when_it_was_switched_off_meanwhile(
    canary: None, relay: RunningServer, make_batch: MakeBatch, template: EmailTemplate, settings: LazySettings
) -> None:
    batch = make_batch(200)
    job, lane = start(batch, template)
    run(lane)
    settings.SEND_CANARY_SECONDS = 0
    sweep()
    assert run_to_end(job).status == JobStatus.COMPLETED
    assert statuses(batch) == {EmailStatus.SENT: 200}


def test_canary_keeps_its_wait_when_a_person_pauses_and_resumes(
    canary: None, relay: RunningServer, make_batch: MakeBatch, template: EmailTemplate
) -> None:
    batch = make_batch(200)
    job, lane = start(batch, template)
    run(lane)
    sweep()
    lifecycle.pause_batch(batch)
    lifecycle.resume_batch(batch)
    run(lane)
    assert statuses(batch)[EmailStatus.SENT] == 50
    end_canary_wait(job)
    sweep()
    assert run_to_end(job).status == JobStatus.COMPLETED


def test_job_is_cancelled_whole_when_it_is_cancelled_in_its_canary(
    canary: None, relay: RunningServer, make_batch: MakeBatch, template: EmailTemplate
) -> None:
    batch = make_batch(200)
    _, lane = start(batch, template)
    run(lane)
    lifecycle.cancel_batch(batch)
    assert statuses(batch) == {EmailStatus.SENT: 50, EmailStatus.CANCELLED: 150}
    creation.replay_batch(batch, which=JobKind.UNSENT, user=None)
