"""Which relays a lane run gets, and what it does when a person changes one or none may carry the mail."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from django.conf import LazySettings
from django.utils import timezone

from batches import progress
from batches.delivery.terms import LaneEnd
from batches.jobs import creation, lifecycle, queues
from batches.jobs.sweep import sweep
from batches.models import (
    Batch,
    BatchStatus,
    Email,
    EmailJob,
    EmailStatus,
    EmailTemplate,
    JobKind,
    Lane,
    Relay,
    RelayPause,
    RelayQuota,
)
from batches.models.relay import DEFAULT_RELAY
from batches.outcomes import ReplyMeaning
from batches.relays import sync, wake_jobs
from tests.integration.jobs.conftest import MakeBatch
from tests.integration.jobs.whole_jobs import accepted, run, run_while, start, statuses, wait_for_sent
from tests.smtpserver import Rule, RunningServer


@pytest.fixture
def row(transactional_db: None) -> Relay:
    """The Relay of EMAIL_URL."""
    sync()
    return Relay.objects.get(name=DEFAULT_RELAY)


def limit(row: Relay, amount: int = 30) -> None:
    """Let a relay carry so many messages an hour."""
    RelayQuota.objects.create(relay=row, amount=amount, period_seconds=3600)


def enqueue_again() -> int:
    """Lose all work items, and return for how many lanes a sweep makes new ones."""
    queues.client().flushall()
    return sweep().enqueued


def test_lane_begins_again_when_a_person_changes_its_relay(
    relay: RunningServer, row: Relay, make_batch: MakeBatch, template: EmailTemplate, settings: LazySettings
) -> None:
    settings.SEND_WINDOW = 16
    relay.configure(rate=40)
    batch = make_batch(400)
    _, lane = start(batch, template)
    queues.client().flushall()

    def change() -> None:
        wait_for_sent(batch, 1)
        Relay.objects.get(pk=row.pk).save()

    assert run_while(lane, change) == LaneEnd.REROUTED.value
    assert statuses(batch)[EmailStatus.PENDING] > 0
    assert set(Email.objects.filter(batch=batch).values_list("attempts", flat=True)) == {0, 1}
    assert len(queues.waiting_item_ids()) == 1
    relay.configure(rate=0)
    assert run(lane) == LaneEnd.DRY.value
    assert set(accepted(relay, batch).values()) == {1}


def test_job_says_why_and_waits_when_every_relay_is_disabled(
    relay: RunningServer, row: Relay, make_batch: MakeBatch, template: EmailTemplate
) -> None:
    Relay.objects.update(is_enabled=False)
    batch = make_batch(3)
    job, lane = start(batch, template)
    assert run(lane) == LaneEnd.RELAY_DOWN.value
    job.refresh_from_db()
    assert job.last_error == "Every relay is disabled. Enable one in the admin, under Relays."
    assert job.relay_retry_at is not None and job.relay_retry_at > timezone.now() + timedelta(seconds=30)
    assert Lane.objects.get(pk=lane.pk).lease_until is None
    assert enqueue_again() == 0
    Relay.objects.update(is_enabled=True)
    wake_jobs()
    assert sweep().enqueued == 1
    assert run(lane) == LaneEnd.DRY.value
    job.refresh_from_db()
    assert job.last_error == ""


def test_job_says_which_quota_is_used_up_and_waits_when_it_is(
    relay: RunningServer, row: Relay, make_batch: MakeBatch, template: EmailTemplate
) -> None:
    limit(row)
    batch = make_batch(50)
    job, lane = start(batch, template)
    assert run(lane) == LaneEnd.NO_SPACE.value
    job.refresh_from_db()
    assert job.last_error == "The hourly limit of relay default is used up (30 in 1 hour)."
    until = timezone.now() + timedelta(hours=1)
    for at in (job.relay_retry_at, Lane.objects.get(pk=lane.pk).waits_until):
        assert at is not None and until - timedelta(seconds=60) < at < until + timedelta(seconds=10)
    assert statuses(batch) == {EmailStatus.SENT: 30, EmailStatus.PENDING: 20}
    assert set(batch.emails.filter(status=EmailStatus.PENDING).values_list("attempts", flat=True)) == {0}
    assert enqueue_again() == 0


def waiting_for(batch: Batch) -> tuple[str, str | None]:
    now = progress.read_snapshot(batch.pk)
    assert now is not None
    return now["status"], now["waitingFor"]


@pytest.mark.parametrize("is_replay", [False, True])
@pytest.mark.parametrize("cause", ["quota", "pause", "disabled"])
def test_job_waits_on_and_says_why_when_it_is_resumed_during_a_wait(
    relay: RunningServer, row: Relay, make_batch: MakeBatch, template: EmailTemplate, cause: str, is_replay: bool
) -> None:
    batch = make_batch(50)
    job, lane = start(batch, template)
    if is_replay:
        lifecycle.cancel_batch(batch)
        job = creation.replay_batch(batch, which=JobKind.UNSENT, user=None)
        lane = job.lanes.get()
    if cause == "quota":
        limit(row)
    elif cause == "pause":
        until = timezone.now() + timedelta(hours=1)
        RelayPause.objects.create(relay=row, meaning=ReplyMeaning.RATE, sentence="Too fast.", until=until)
    else:
        Relay.objects.update(is_enabled=False)
    run(lane)
    before = waiting_for(batch)
    assert before[0] == BatchStatus.PROCESSING and before[1]
    lifecycle.pause_batch(batch)
    lifecycle.resume_batch(batch)
    assert waiting_for(batch) == before
    assert batch.status == BatchStatus.PROCESSING
    assert enqueue_again() == 0
    wake_jobs()
    assert sweep().enqueued == 1


def test_lane_that_began_to_wait_during_a_pause_says_why_after_it(
    relay: RunningServer, row: Relay, make_batch: MakeBatch, template: EmailTemplate
) -> None:
    """REPORT_WAIT notes nothing on a paused job, and the lane is released with its wait nevertheless."""
    limit(row)
    batch = make_batch(50)
    job, lane = start(batch, template)
    run(lane)
    before = waiting_for(batch)
    lifecycle.pause_batch(batch)
    EmailJob.objects.filter(pk=job.pk).update(last_error="", relay_retry_at=None)
    lifecycle.resume_batch(batch)
    assert enqueue_again() == 1  # the lane starts at once, and not in an hour
    assert run(lane) == LaneEnd.NO_SPACE.value
    assert waiting_for(batch) == before


def test_job_ends_when_the_quota_is_just_enough_for_its_list(
    relay: RunningServer, row: Relay, make_batch: MakeBatch, template: EmailTemplate
) -> None:
    limit(row)
    batch = make_batch(30)
    job, lane = start(batch, template)
    assert run(lane) == LaneEnd.DRY.value
    job.refresh_from_db()
    assert (job.completed_at is not None, job.last_error) == (True, "")


@pytest.mark.parametrize("amount", [1, 2])
def test_job_goes_on_when_refusals_that_wait_to_be_judged_hold_the_whole_quota(
    relay: RunningServer, row: Relay, make_batch: MakeBatch, template: EmailTemplate, amount: int
) -> None:
    limit(row, amount)
    batch = make_batch(3)
    addresses = list(Email.objects.filter(batch=batch).order_by("row").values_list("address", flat=True))
    refused = "|".join(map(re.escape, addresses[:amount]))
    relay.configure(rules=(Rule(stage="rcpt", action="550 5.7.0 Not for you", recipient=refused),))
    _, lane = start(batch, template)
    assert run(lane) in (LaneEnd.NO_SPACE.value, LaneEnd.DRY.value)
    assert statuses(batch)[EmailStatus.FAILED] == amount
    assert statuses(batch)[EmailStatus.SENT] == 1


def test_job_says_why_when_the_one_relay_of_its_last_retries_was_disabled(
    relay: RunningServer, row: Relay, make_batch: MakeBatch, template: EmailTemplate
) -> None:
    """No lane ran while the relay was disabled, so a lane has to be enqueued to say so."""
    batch = make_batch(3)
    job, lane = start(batch, template)
    Email.objects.filter(batch=batch).update(next_attempt_at=timezone.now(), relay=row, attempts=1)
    Relay.objects.update(is_enabled=False)
    assert enqueue_again() == 1
    assert run(lane) == LaneEnd.RELAY_DOWN.value
    job.refresh_from_db()
    assert "disabled" in job.last_error
    assert enqueue_again() == 0


def test_job_is_paused_before_a_claim_when_its_sender_is_on_this_machine_and_the_relay_is_not(
    relay: RunningServer, make_batch: MakeBatch, template: EmailTemplate, settings: LazySettings
) -> None:
    """The process that made the job knew only the local inbox. The worker knows the relay."""
    batch = make_batch(3)
    job, lane = start(batch, template)
    EmailJob.objects.filter(pk=job.pk).update(accepted_refusal="RCPT 550 no")
    settings.EMAIL_URL = "smtp+tls://u:p@mail.example.org:587"
    for _ in range(2):  # resuming sends nothing either
        assert run(lane) == LaneEnd.HALTED.value
        status, why = waiting_for(batch)
        assert status == BatchStatus.PAUSED
        assert "webmaster@localhost exists on this machine only" in (why or "") and "Nobody was charged" in (why or "")
        lifecycle.resume_batch(batch)
    assert set(batch.emails.values_list("status", "attempts")) == {(EmailStatus.PENDING, 0)}
    job.refresh_from_db()
    assert job.accepted_refusal == "RCPT 550 no"
    assert not accepted(relay, batch)
    settings.EMAIL_URL = relay.url
    assert run(lane) == LaneEnd.DRY.value
