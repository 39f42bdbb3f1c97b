"""A lane from its work item to its end, with real PostgreSQL, Valkey and SMTP."""

from __future__ import annotations

import time
from datetime import timedelta

import pytest
from django.conf import LazySettings
from django.db import connection
from django.db.models.functions import Now

from batches.delivery.terms import LaneEnd
from batches.jobs import creation, lifecycle
from batches.jobs.run_lane import NOT_ACQUIRED
from batches.jobs.sweep import sweep
from batches.models import (
    Attempt,
    Batch,
    BatchStatus,
    Email,
    EmailJob,
    EmailStatus,
    EmailTemplate,
    JobKind,
    JobStatus,
    Lane,
    RelayPause,
)
from batches.outcomes import Outcome
from tests.integration.jobs.conftest import MakeBatch
from tests.integration.jobs.ledgers import rows_in_flight
from tests.integration.jobs.whole_jobs import accepted, run, run_while, start, statuses, wait_for, wait_for_sent
from tests.smtpserver import Rule, RunningServer


@pytest.fixture
def patient(relay: RunningServer, settings: LazySettings) -> None:
    """No timeout ends a connection to a relay that the test keeps silent."""
    settings.SEND_REPLY_TIMEOUT_SECONDS = settings.SEND_FINAL_REPLY_TIMEOUT_SECONDS = 60


@pytest.fixture
def slow(relay: RunningServer, patient: None, settings: LazySettings) -> None:
    """So slow a relay, and so few emails in flight, that most of the list waits when the test acts."""
    settings.SEND_WINDOW = 16
    relay.configure(rate=40)


def test_everyone_gets_one_mail_and_one_attempt_when_relay_is_polite(
    relay: RunningServer, make_batch: MakeBatch, template: EmailTemplate
) -> None:
    batch = make_batch(500)
    job, lane = start(batch, template)
    assert run(lane) == LaneEnd.DRY.value
    batch.refresh_from_db()
    job.refresh_from_db()
    assert (batch.status, batch.sent_count, batch.completed_at is not None) == (BatchStatus.COMPLETED, 500, True)
    assert (job.status, job.sent_count) == (JobStatus.COMPLETED, 500)
    assert set(accepted(relay, batch).values()) == {1}
    assert len(accepted(relay, batch)) == 500
    attempts = Attempt.objects.filter(email__batch=batch)
    assert set(attempts.values_list("number", "outcome", "code")) == {(1, Outcome.SENT, 250)}
    assert attempts.count() == 500
    assert Email.objects.filter(batch=batch, completed_at__isnull=False, code=250).count() == 500


def test_each_reason_is_kept_when_relay_refuses_some(
    relay: RunningServer, make_batch: MakeBatch, template: EmailTemplate
) -> None:
    batch = make_batch(addresses=["fail-550-a@x.org", "fail-554-dot-b@x.org", "good-c@x.org"])
    _, lane = start(batch, template)
    run(lane)
    batch.refresh_from_db()
    assert (batch.status, batch.sent_count, batch.failed_count) == (BatchStatus.COMPLETED, 1, 2)
    refused = Email.objects.filter(batch=batch, status=EmailStatus.FAILED).order_by("row")
    assert [email.code for email in refused] == [550, 554]
    assert all(email.reply for email in refused)


def test_email_waits_and_is_sent_when_relay_defers_it_once(
    relay: RunningServer, make_batch: MakeBatch, template: EmailTemplate, settings: LazySettings
) -> None:
    settings.SEND_RETRY_SECONDS = 0.4
    batch = make_batch(addresses=["defer-451-once-w@x.org", "other-w@x.org"])
    job, lane = start(batch, template)
    run(lane)
    waiting = Email.objects.get(batch=batch, row=2)
    assert (waiting.status, waiting.attempts, waiting.code) == (EmailStatus.PENDING, 1, 451)
    assert Email.objects.get(batch=batch, row=3).status == EmailStatus.SENT
    wait_for(lambda: sweep().enqueued)
    run(lane)
    job.refresh_from_db()
    assert (job.status, job.sent_count) == (JobStatus.COMPLETED, 2)
    outcomes = Attempt.objects.filter(email=waiting).order_by("number").values_list("outcome", flat=True)
    assert list(outcomes) == [Outcome.DEFERRED, Outcome.SENT]


def test_email_ends_failed_when_attempts_are_used_up(
    relay: RunningServer, make_batch: MakeBatch, template: EmailTemplate
) -> None:
    batch = make_batch(addresses=["defer-450-always@x.org"])
    job, lane = start(batch, template)
    run(lane)
    for _ in range(2):
        wait_for(lambda: sweep().enqueued)
        run(lane)
    job.refresh_from_db()
    assert (job.status, job.failed_count) == (JobStatus.FAILED, 1)
    assert Attempt.objects.filter(email__batch=batch).count() == 3


def test_email_ends_unknown_when_reply_is_lost_under_hold(
    relay: RunningServer, make_batch: MakeBatch, template: EmailTemplate, settings: LazySettings
) -> None:
    settings.SEND_ON_CRASH = "hold"
    relay.configure(chunking=False)
    batch = make_batch(addresses=["lose-hold@x.org"])
    _, lane = start(batch, template)
    run(lane)
    wait_for(lambda: sweep() and Batch.objects.get(pk=batch.pk).completed_at)
    assert statuses(batch) == {EmailStatus.UNKNOWN: 1}
    assert accepted(relay, batch) == {"lose-hold@x.org": 1}


@pytest.mark.usefixtures("patient")
def test_second_worker_gets_nothing_when_lane_is_leased(
    relay: RunningServer, make_batch: MakeBatch, template: EmailTemplate
) -> None:
    relay.configure(blackhole=True)
    batch = make_batch(40)
    _, lane = start(batch, template)

    def come_second() -> None:
        wait_for(lambda: Lane.objects.get(pk=lane.pk).lease_until)
        assert run(lane) == NOT_ACQUIRED
        relay.configure(blackhole=False)

    assert run_while(lane, come_second) == LaneEnd.DRY.value
    assert set(accepted(relay, batch).values()) == {1}


@pytest.mark.usefixtures("patient")
def test_nothing_is_sent_twice_when_backends_are_terminated(
    relay: RunningServer, make_batch: MakeBatch, template: EmailTemplate
) -> None:
    relay.configure(rate=100)
    batch = make_batch(600)
    _, lane = start(batch, template)
    kills: list[int] = []

    def terminate() -> None:
        for milestone in range(20, 520, 100):
            wait_for_sent(batch, milestone)
            with connection.cursor() as cursor:
                cursor.execute(
                    "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
                    " WHERE pid <> pg_backend_pid() AND datname = current_database()"
                    " AND backend_type = 'client backend'"
                )
                kills.append(cursor.fetchone()[0])
        relay.configure(rate=0)

    assert run_while(lane, terminate) == LaneEnd.DRY.value
    assert len(kills) == 5 and all(kills), "each time, the lane's connection was there to be terminated"
    assert statuses(batch) == {EmailStatus.SENT: 600}
    assert set(accepted(relay, batch).values()) == {1}
    lane.refresh_from_db()
    assert lane.sent_count == 600


def test_counts_are_never_two_seconds_old_when_relay_is_slow(
    relay: RunningServer, make_batch: MakeBatch, template: EmailTemplate, settings: LazySettings
) -> None:
    """Promise 4 (docs/design.md), with a real relay. ``test_lane_run.py`` has the bound without a clock."""
    settings.SEND_REPLY_TIMEOUT_SECONDS = settings.SEND_FINAL_REPLY_TIMEOUT_SECONDS = 10
    settings.SEND_CONNECTIONS = 4
    relay.configure(rate=12, chunking=False)
    batch = make_batch(50)
    _, lane = start(batch, template)
    seen: list[tuple[float, int, int]] = []

    def watch() -> None:
        while not seen or seen[-1][2] < 50:
            recorded = Lane.objects.values_list("sent_count", flat=True).get(pk=lane.pk)
            seen.append((time.monotonic(), accepted(relay, batch).total(), recorded))
            time.sleep(0.05)  # the pace of the samples, not a condition

    assert run_while(lane, watch) == LaneEnd.DRY.value
    for at, _, recorded in seen:
        accepted_before = max((count for then, count, _ in seen if then < at - 2), default=0)
        assert recorded >= accepted_before
    assert seen[-1][0] - seen[0][0] > 3


def test_job_says_why_and_goes_on_by_itself_when_relay_comes_back(
    relay: RunningServer, make_batch: MakeBatch, template: EmailTemplate
) -> None:
    relay.configure(refuse=True)
    batch = make_batch(20)
    job, lane = start(batch, template)
    assert run(lane) == LaneEnd.RELAY_DOWN.value
    job.refresh_from_db()
    assert "can't be reached" in job.last_error
    assert job.relay_retry_at is not None
    assert statuses(batch) == {EmailStatus.PENDING: 20}
    assert set(Email.objects.filter(batch=batch).values_list("attempts", flat=True)) == {0}
    waiting = EmailJob.objects.filter(pk=job.pk)
    waiting.update(relay_retry_at=Now() + timedelta(hours=1))
    assert sweep().enqueued == 0
    relay.configure(refuse=False)
    RelayPause.objects.all().delete()
    waiting.update(relay_retry_at=Now())
    assert sweep().enqueued == 1
    assert run(lane) == LaneEnd.DRY.value
    job.refresh_from_db()
    assert (job.status, job.last_error, job.relay_failure_count) == (JobStatus.COMPLETED, "", 0)


@pytest.mark.parametrize(
    ("url", "words"),
    [("smpt://mail.example.org:587", "must begin with"), ("smtp://", "names no host"), ("", "must begin with")],
)
def test_lane_is_free_and_job_says_why_when_email_url_cannot_be_read(
    relay: RunningServer,
    make_batch: MakeBatch,
    template: EmailTemplate,
    settings: LazySettings,
    url: str,
    words: str,
) -> None:
    right, settings.EMAIL_URL = settings.EMAIL_URL, url
    batch = make_batch(3)
    job, lane = start(batch, template)
    assert run(lane) == LaneEnd.RELAY_DOWN.value
    job.refresh_from_db()
    lane.refresh_from_db()
    assert words in job.last_error
    assert job.relay_retry_at is not None
    assert (lane.lease_until, rows_in_flight(batch)) == (None, set())
    assert set(Email.objects.filter(batch=batch).values_list("status", "attempts")) == {(EmailStatus.PENDING, 0)}
    settings.EMAIL_URL = right
    RelayPause.objects.all().delete()
    EmailJob.objects.filter(pk=job.pk).update(relay_retry_at=Now())
    assert sweep().enqueued == 1
    assert run(lane) == LaneEnd.DRY.value
    job.refresh_from_db()
    assert (job.status, job.sent_count, job.last_error) == (JobStatus.COMPLETED, 3, "")
    assert set(Attempt.objects.filter(email__batch=batch).values_list("number", flat=True)) == {1}


def test_wait_grows_when_email_url_stays_wrong(
    make_batch: MakeBatch, template: EmailTemplate, settings: LazySettings
) -> None:
    settings.EMAIL_URL = "smpt://mail.example.org:587"
    job, lane = start(make_batch(1), template)
    for failure_count in (1, 2, 3):
        assert run(lane) == LaneEnd.RELAY_DOWN.value
        assert EmailJob.objects.get(pk=job.pk).relay_failure_count == failure_count
        assert run(lane) == NOT_ACQUIRED
        RelayPause.objects.all().delete()
        EmailJob.objects.filter(pk=job.pk).update(relay_retry_at=Now())


@pytest.mark.parametrize("code", ["550", "421"])
def test_no_email_loses_an_attempt_when_relay_refuses_us(
    relay: RunningServer, make_batch: MakeBatch, template: EmailTemplate, code: str
) -> None:
    relay.configure(rules=(Rule(stage="mail", action=f"{code} 5.7.1 Not you"),))
    batch = make_batch(20)
    job, lane = start(batch, template)
    assert run(lane) == LaneEnd.RELAY_DOWN.value
    job.refresh_from_db()
    assert code in job.last_error
    assert set(Email.objects.filter(batch=batch).values_list("attempts", "status")) == {(0, EmailStatus.PENDING)}


@pytest.mark.usefixtures("slow")
def test_rest_waits_when_batch_is_paused_and_goes_when_resumed(
    relay: RunningServer, make_batch: MakeBatch, template: EmailTemplate
) -> None:
    batch = make_batch(400)
    _, lane = start(batch, template)

    def pause() -> None:
        wait_for_sent(batch, 20)
        lifecycle.pause_batch(batch)

    assert run_while(lane, pause) == LaneEnd.HALTED.value
    counts = statuses(batch)
    assert (counts[EmailStatus.SENDING], rows_in_flight(batch)) == (0, set())
    assert counts[EmailStatus.PENDING] > 100
    assert batch.status == BatchStatus.PAUSED
    relay.configure(rate=0)
    lifecycle.resume_batch(batch)
    run(lane)
    assert statuses(batch) == {EmailStatus.SENT: 400}
    assert set(accepted(relay, batch).values()) == {1}


@pytest.mark.usefixtures("slow")
def test_rest_is_cancelled_and_sent_stays_when_batch_is_cancelled(
    relay: RunningServer, make_batch: MakeBatch, template: EmailTemplate
) -> None:
    batch = make_batch(400)
    job, lane = start(batch, template)

    def cancel() -> None:
        wait_for_sent(batch, 20)
        lifecycle.cancel_batch(batch)

    run_while(lane, cancel)
    wait_for(lambda: sweep() and EmailJob.objects.get(pk=job.pk).completed_at)
    batch.refresh_from_db()
    counts = statuses(batch)
    assert set(counts) == {EmailStatus.SENT, EmailStatus.CANCELLED}
    assert (batch.status, batch.sent_count) == (BatchStatus.CANCELLED, counts[EmailStatus.SENT])
    assert sum(accepted(relay, batch).values()) == batch.sent_count


def test_only_the_failed_go_again_when_they_are_replayed(
    relay: RunningServer, make_batch: MakeBatch, template: EmailTemplate
) -> None:
    batch = make_batch(addresses=["fail-550-once-r@x.org", "fine-r@x.org"])
    _, lane = start(batch, template)
    run(lane)
    job = creation.replay_batch(batch, which=JobKind.FAILED, user=None)
    assert (job.total_count, batch.failed_count) == (1, 0)
    run(job.lanes.get())
    batch.refresh_from_db()
    assert (batch.status, batch.sent_count, batch.failed_count) == (BatchStatus.COMPLETED, 2, 0)
    assert accepted(relay, batch) == {"fail-550-once-r@x.org": 1, "fine-r@x.org": 1}


def test_batch_goes_on_when_one_row_cannot_be_rendered(
    relay: RunningServer, make_batch: MakeBatch, template: EmailTemplate
) -> None:
    EmailTemplate.objects.filter(pk=template.pk).update(text="{{ 10 // (name|length - 5) }}")
    template.refresh_from_db()
    batch = make_batch(12)  # The first row must be one that can be rendered, because create_job tries it.
    Email.objects.filter(batch=batch, row=2).update(fields=["Anna Maria"])
    _, lane = start(batch, template)
    run(lane)
    batch.refresh_from_db()
    failed = Email.objects.filter(batch=batch, status=EmailStatus.FAILED)
    assert batch.sent_count + failed.count() == 12
    assert failed.count() == 7
    assert "text body" in failed[0].reply
