"""What a lane notes about relays and jobs, on the real PostgreSQL."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from django.db.models import F
from django.db.models.functions import Now
from django.utils import timezone

from batches.delivery.pauses import BACKOFF_MAX_SECONDS, FORGET_SECONDS, Pauses, RelayRefusal
from batches.delivery.spec import RouteSpec
from batches.jobs import lifecycle
from batches.models import (
    Batch,
    BatchStatus,
    EmailJob,
    EmailTemplate,
    JobStatus,
    Lane,
    Relay,
    RelayPause,
    Sender,
)
from batches.outcomes import ReplyMeaning
from tests.integration.jobs.conftest import MakeBatch
from tests.integration.jobs.ledgers import LedgerOnLine, OpenLedger, Run
from tests.unit.delivery.specs import ROUTE

RATE = RelayRefusal(ReplyMeaning.RATE, "Too fast.")


@pytest.fixture
def batch(make_batch: MakeBatch) -> Batch:
    return make_batch(3)


@pytest.fixture
def ledger(batch: Batch, template: EmailTemplate, open_ledger: OpenLedger, run: Run) -> LedgerOnLine:
    ledger = open_ledger(batch)
    run(ledger.cycle(0))  # It starts the lease that the statements count.
    return ledger


@pytest.fixture
def pauses(ledger: LedgerOnLine) -> Pauses:
    return Pauses(ledger._spec, ledger)


@pytest.fixture
def route(transactional_db: None) -> RouteSpec:
    relay, _ = Relay.objects.get_or_create(name="default")
    return replace(ROUTE, relay_id=relay.pk)


def expire(seconds: float = 0.001) -> None:
    RelayPause.objects.update(until=Now() - timedelta(seconds=seconds))


def test_wait_doubles_up_to_its_cap_when_relay_fails_again_and_again(
    pauses: Pauses, route: RouteSpec, run: Run
) -> None:
    waits = []
    for _ in range(8):
        waits.append(round(run(pauses.pause_relay(route, RATE)).seconds))
        expire()
    assert waits == [1, 2, 4, 8, 16, 32, BACKOFF_MAX_SECONDS, BACKOFF_MAX_SECONDS]
    assert RelayPause.objects.get().failure_count == 8


def test_wait_is_not_doubled_again_when_another_lane_meets_the_same_pause(
    pauses: Pauses, route: RouteSpec, run: Run
) -> None:
    first = run(pauses.pause_relay(route, RelayRefusal(ReplyMeaning.QUOTA, "Used up.", 60.0)))
    second = run(pauses.pause_relay(route, RATE))
    assert (first.failure_count, second.failure_count) == (1, 1)
    assert 58 < second.seconds <= 60


def test_wait_begins_again_when_the_last_pause_was_long_ago(pauses: Pauses, route: RouteSpec, run: Run) -> None:
    for _ in range(4):
        run(pauses.pause_relay(route, RATE))
        expire()
    expire(FORGET_SECONDS + 1)
    assert round(run(pauses.pause_relay(route, RATE)).seconds) == 1


def test_relay_that_says_how_long_is_paused_for_so_long(pauses: Pauses, route: RouteSpec, run: Run) -> None:
    run(pauses.pause_relay(route, RATE))
    noted = run(pauses.pause_relay(route, RelayRefusal(ReplyMeaning.QUOTA, "Used up.", 3600.0)))
    assert 3590 < noted.seconds <= 3600
    assert RelayPause.objects.get().sentence == "Used up."


def test_pause_ends_when_the_relay_accepts_a_message_after_it(pauses: Pauses, route: RouteSpec, run: Run) -> None:
    run(pauses.pause_relay(route, RATE))
    run(pauses.note_success([route.relay_id]))
    assert RelayPause.objects.count() == 1, "a success from before the pause's end says nothing"
    expire()
    run(pauses.note_success([route.relay_id]))
    assert RelayPause.objects.count() == 0


def test_refusal_of_the_sender_pauses_the_relay_for_that_sender_alone(
    ledger: LedgerOnLine, route: RouteSpec, run: Run
) -> None:
    sender = Sender.objects.create(key="news", display_name="News", address="news@example.org")
    pauses = Pauses(replace(ledger._spec, sender_id=sender.pk), ledger)
    run(pauses.pause_relay(route, RelayRefusal(ReplyMeaning.SENDER, "Not you.")))
    run(pauses.pause_relay(route, RATE))
    assert set(RelayPause.objects.values_list("sender", "meaning")) == {(sender.pk, "sender"), (None, "rate")}


def test_nothing_is_noted_when_there_is_no_such_relay(pauses: Pauses, run: Run) -> None:
    assert run(pauses.pause_relay(replace(ROUTE, relay_id=0), RATE)) is None


def test_relay_is_not_paused_when_it_has_too_many_connections_and_another_lane_sends(
    batch: Batch, pauses: Pauses, route: RouteSpec, run: Run
) -> None:
    full = RelayRefusal(ReplyMeaning.RELAY, "Too many connections.", None, has_too_many_connections=True)
    other = Lane.objects.filter(job=batch.jobs.get(), number=5)
    Lane.objects.create(
        job=batch.jobs.get(), number=5, lease_until=timezone.now() + timedelta(minutes=1), rate_per_second=20
    )
    assert run(pauses.pause_relay(route, full)) is None
    other.update(rate_per_second=0)
    assert run(pauses.pause_relay(route, full)) is not None


def test_job_waits_for_the_earlier_time_when_two_lanes_report(batch: Batch, pauses: Pauses, run: Run) -> None:
    run(pauses.report_wait("Relay a is paused.", 30))
    run(pauses.report_wait("Relay b is paused.", 3600))
    job = EmailJob.objects.annotate(left=F("relay_retry_at") - Now()).get(batch=batch)
    assert timedelta(seconds=20) < job.left <= timedelta(seconds=30)  # type: ignore[attr-defined]
    run(pauses.note_success([]))
    job.refresh_from_db()
    assert (job.last_error, job.relay_retry_at, job.relay_failure_count) == ("", None, 0)


def test_batch_is_paused_with_the_refusal_and_resuming_accepts_it(batch: Batch, pauses: Pauses, run: Run) -> None:
    run(pauses.pause_job("Everybody was refused.", "RCPT 554 5.7.1 not for you"))
    batch.refresh_from_db()
    job = batch.jobs.get()
    assert (job.status, batch.status) == (JobStatus.PAUSED, BatchStatus.PAUSED)
    assert job.last_error == "Everybody was refused."
    run(pauses.note_success([]))  # of a message that was in flight
    job.refresh_from_db()
    assert job.last_error == "Everybody was refused."
    lifecycle.resume_batch(batch)
    run(pauses.pause_job("Refused again.", "RCPT 550 no"))
    job.refresh_from_db()
    assert job.accepted_refusal.splitlines() == ["RCPT 554 5.7.1 not for you", "RCPT 550 no"]


def test_job_has_sent_when_one_of_its_lanes_has(batch: Batch, pauses: Pauses, run: Run) -> None:
    assert run(pauses.has_job_sent()) is False
    Lane.objects.filter(job__batch=batch, number=0).update(sent_count=1)
    assert run(pauses.has_job_sent()) is True


def test_relay_is_known_to_close_after_refusals_when_a_lane_has_seen_it(
    pauses: Pauses, route: RouteSpec, run: Run
) -> None:
    run(pauses.note_closing(route))
    assert Relay.objects.get(pk=route.relay_id).closes_after_refusals
