"""A person is erased while a batch with the address is being sent: nothing is lost, nothing is counted twice."""

from __future__ import annotations

import pytest
from django.conf import LazySettings

from batches.jobs import creation, lifecycle
from batches.models import Batch, BatchStatus, Email, EmailStatus, EmailTemplate, JobKind, JobStatus
from batches.people import Erased, PersonBusy, Spelling, erase_person
from batches.progress import read_snapshot
from tests.integration.jobs.conftest import MakeBatch, SendAll
from tests.integration.jobs.whole_jobs import (
    accepted,
    replay,
    run_to_end,
    run_while,
    start,
    statuses,
    wait_for,
    wait_for_sent,
)
from tests.smtpserver import Behaviour, RunningServer


def erase_row(batch: Batch, row: int, *, wait_seconds: float = 20) -> Erased:
    return erase_person(Spelling.read(batch.emails.get(row=row).address), wait_seconds=wait_seconds)


def is_empty(email: Email) -> bool:
    return (email.address, email.fields) == ("", [""])


def test_pending_email_of_a_job_without_lanes_at_work_is_suppressed_at_once(
    make_batch: MakeBatch, template: EmailTemplate
) -> None:
    batch = make_batch(5)
    creation.create_job(batch, template=template, user=None)
    erase_row(batch, 4)
    email = batch.emails.get(row=4)
    assert (email.status, is_empty(email)) == (EmailStatus.SUPPRESSED, True)
    snapshot = read_snapshot(batch.pk)
    assert snapshot is not None
    assert (snapshot["suppressed"], snapshot["pending"]) == (1, 4)


def test_others_get_their_mail_when_one_is_erased_before_the_job_begins(
    relay: RunningServer, make_batch: MakeBatch, template: EmailTemplate
) -> None:
    batch = make_batch(6)
    job = creation.create_job(batch, template=template, user=None)
    gone = batch.emails.get(row=2).address
    erase_row(batch, 2)
    run_to_end(job)
    batch.refresh_from_db()
    assert (batch.status, batch.sent_count, batch.suppressed_count) == (BatchStatus.COMPLETED, 5, 1)
    assert gone not in {entry.recipient for entry in relay.accepted()}


def test_email_in_the_row_range_of_a_running_lane_is_withheld(
    relay: RunningServer, make_batch: MakeBatch, template: EmailTemplate, settings: LazySettings
) -> None:
    settings.SEND_WINDOW, settings.SEND_CONNECTIONS, settings.SEND_LANES = 4, 1, 1
    relay.become(Behaviour(latency_ms=10))
    batch = make_batch(60)
    gone = batch.emails.get(row=61).address
    _, lane = start(batch, template)

    def act() -> None:
        wait_for_sent(batch, 5)
        erase_row(batch, 61)

    run_while(lane, act)
    email = batch.emails.get(row=61)
    assert (email.status, is_empty(email)) == (EmailStatus.SUPPRESSED, True)
    assert gone not in {entry.recipient for entry in relay.accepted()}
    assert statuses(batch)[EmailStatus.SENT] == 59


def test_email_in_flight_is_waited_for_and_then_emptied(
    relay: RunningServer, make_batch: MakeBatch, template: EmailTemplate, settings: LazySettings
) -> None:
    settings.SEND_FINAL_REPLY_TIMEOUT_SECONDS = settings.SEND_REPLY_TIMEOUT_SECONDS = 20
    relay.become(Behaviour(latency_ms=400))
    batch = make_batch(2)
    address = batch.emails.get(row=3).address
    _, lane = start(batch, template)

    def act() -> None:
        wait_for(lambda: lane.__class__.objects.get(pk=lane.pk).claimed_rows)
        erase_row(batch, 3)
        email = batch.emails.get(row=3)
        assert (email.status, is_empty(email), email.reply) == (EmailStatus.SENT, True, "")
        assert not email.recorded_attempts.exclude(reply="").exists()

    run_while(lane, act)
    assert address in {entry.recipient for entry in relay.accepted()}
    assert statuses(batch) == {EmailStatus.SENT: 2}


def test_erasure_says_so_when_an_email_stays_in_flight(
    relay: RunningServer, make_batch: MakeBatch, template: EmailTemplate, settings: LazySettings
) -> None:
    settings.SEND_FINAL_REPLY_TIMEOUT_SECONDS = settings.SEND_REPLY_TIMEOUT_SECONDS = 20
    relay.become(Behaviour(latency_ms=700))
    batch = make_batch(1)
    _, lane = start(batch, template)

    def act() -> None:
        wait_for(lambda: lane.__class__.objects.get(pk=lane.pk).claimed_rows)
        spelling = Spelling.read(batch.emails.get().address)
        with pytest.raises(PersonBusy, match="Run the erasure again"):
            erase_person(spelling, wait_seconds=0)

    run_while(lane, act)
    assert statuses(batch) == {EmailStatus.SENT: 1}


def test_retry_is_suppressed_when_the_person_is_erased(
    relay: RunningServer, make_batch: MakeBatch, template: EmailTemplate, settings: LazySettings
) -> None:
    settings.SEND_RETRY_SECONDS = 600
    batch = make_batch(addresses=["defer-450-ann@example.org", "bo@example.org"])
    job, lane = start(batch, template)
    run_while(lane, lambda: None)
    erase_row(batch, 2)
    job.refresh_from_db()
    email = batch.emails.get(row=2)
    assert (email.status, is_empty(email), email.attempts) == (EmailStatus.SUPPRESSED, True, 1)
    assert (job.status, job.sent_count) == (JobStatus.COMPLETED, 1)


@pytest.mark.parametrize("status", [JobStatus.PAUSED, JobStatus.SCHEDULED])
def test_waiting_batch_goes_on_without_the_person(
    relay: RunningServer, make_batch: MakeBatch, template: EmailTemplate, status: JobStatus
) -> None:
    batch = make_batch(3)
    job = creation.create_job(batch, template=template, user=None)
    lifecycle.pause_batch(batch)
    if status == JobStatus.SCHEDULED:
        job.__class__.objects.update(status=status)
    erase_row(batch, 2)
    job.__class__.objects.update(status=JobStatus.QUEUED)
    run_to_end(job)
    assert statuses(batch) == {EmailStatus.SENT: 2, EmailStatus.SUPPRESSED: 1}


def test_sent_email_stays_sent_when_the_person_is_erased_during_a_replay_of_all(
    relay: RunningServer, send_all: SendAll
) -> None:
    batch = send_all(4)
    job = replay(batch, JobKind.ALL)
    erase_row(batch, 3)
    snapshot = read_snapshot(batch.pk)
    assert snapshot is not None
    assert (snapshot["sent"], snapshot["suppressed"], snapshot["resending"]) == (4, 0, 3)
    run_to_end(job)
    email = batch.emails.get(row=3)
    assert (email.status, is_empty(email)) == (EmailStatus.SENT, True)
    batch.refresh_from_db()
    assert (batch.sent_count, batch.suppressed_count) == (4, 0)


def test_each_other_recipient_gets_one_mail_when_many_are_erased_beside_a_send(
    relay: RunningServer, make_batch: MakeBatch, template: EmailTemplate, settings: LazySettings
) -> None:
    settings.SEND_WINDOW, settings.SEND_CONNECTIONS, settings.SEND_LANES = 8, 2, 1
    relay.become(Behaviour(latency_ms=4))
    batch = make_batch(200)
    addresses = dict(batch.emails.values_list("row", "address"))
    _, lane = start(batch, template)

    def act() -> None:
        wait_for_sent(batch, 10)
        for row in range(201, 60, -14):
            erase_person(Spelling.read(addresses[row]), wait_seconds=20)

    run_while(lane, act)
    erased = list(range(201, 60, -14))
    found = statuses(batch)
    assert found[EmailStatus.SENT] + found[EmailStatus.SUPPRESSED] == 200
    counts = accepted(relay, batch)
    assert set(counts.values()) == {1}
    assert all(is_empty(batch.emails.get(row=row)) for row in erased)
