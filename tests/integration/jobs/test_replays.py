"""A replay of all forgets nobody who has the mail, whatever becomes of it. A replay of the unsent skips them.

Each test runs real lanes against a real relay. ``counts`` compares a snapshot with the emails themselves each time.
"""

from __future__ import annotations

import importlib
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from django.apps import apps
from django.conf import LazySettings
from django.db import connection
from django.db.models import F, Q

from batches import progress
from batches.jobs import creation, lifecycle
from batches.jobs.run_lane import run_lane
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
    sql,
)
from batches.outcomes import Outcome
from tests.integration.jobs.conftest import MakeBatch, SendAll
from tests.integration.jobs.ledgers import OpenLedger, Run, deferred, make_route, sent
from tests.integration.jobs.whole_jobs import accepted, replay, run_to_end, run_while, wait_for
from tests.smtpserver import Rule, RunningServer


def states(batch: Batch) -> Counter[str]:
    return Counter(email.state for email in batch.emails.with_state())


def counts(batch: Batch) -> dict[str, int]:
    """Read a batch's snapshot, and check it against the states of the emails."""
    snapshot, found = progress.read_snapshot(batch.pk), states(batch)
    assert snapshot is not None
    now: dict[str, Any] = {**snapshot}
    for state in (EmailStatus.SENT, EmailStatus.FAILED, EmailStatus.UNKNOWN):
        assert now[state.value] == found[state], (now, found)
    unfinished = batch.emails.filter(status__in=(EmailStatus.PENDING, EmailStatus.SENDING))
    assert now["pending"] == unfinished.count()
    assert now["resending"] == unfinished.filter(sent_before_at__isnull=False).count()
    assert now["processed"] + now["pending"] == now["total"] == batch.emails.count()
    return {name: now[name] for name in ("sent", "failed", "unknown", "pending", "resending")}


def records(batch: Batch) -> list[tuple[object, ...]]:
    """What each row says about its mail: enough to tell which job sent it, when, and what the relay replied."""
    return list(batch.emails.order_by("row").values_list("status", "code", "reply", "completed_at", "lane__job"))


def replay_and_stop(batch: Batch, relay: RunningServer, stop: Callable[[Batch], None]) -> EmailJob:
    """Replay all, and pause or cancel the batch after the relay has taken some of it."""
    before = accepted(relay, batch).total()
    relay.configure(rate=40)
    job = replay(batch)

    def act() -> None:
        wait_for(lambda: accepted(relay, batch).total() >= before + 10)
        stop(Batch.objects.get(pk=batch.pk))
        relay.configure(rate=0)

    run_while(job.lanes.get(number=0), act)
    batch.refresh_from_db()
    return job


@pytest.fixture
def narrow(settings: LazySettings) -> None:
    settings.SEND_WINDOW, settings.SEND_LANES = 8, 1
    settings.SEND_REPLY_TIMEOUT_SECONDS = settings.SEND_FINAL_REPLY_TIMEOUT_SECONDS = 60


@pytest.mark.usefixtures("narrow")
def test_sent_stays_sent_when_a_replay_of_all_is_cancelled(relay: RunningServer, send_all: SendAll) -> None:
    batch = send_all(60)
    before = records(batch)
    job = replay_and_stop(batch, relay, lifecycle.cancel_batch)
    wait_for(lambda: sweep() and Batch.objects.get(pk=batch.pk).completed_at)
    batch.refresh_from_db()
    assert counts(batch) == {"sent": 60, "failed": 0, "unknown": 0, "pending": 0, "resending": 0}
    assert (batch.status, batch.sent_count, batch.cancelled_count) == (BatchStatus.CANCELLED, 60, 0)
    after = records(batch)
    assert {row[0] for row in after} == {EmailStatus.SENT}
    kept = [row for row in after if row[-1] != job.pk]
    assert 0 < len(kept) < 60 and all(row in before for row in kept)
    job.refresh_from_db()
    assert (job.status, job.sent_count) == (JobStatus.CANCELLED, 60 - len(kept))
    assert accepted(relay, batch).total() == 120 - len(kept)


@pytest.mark.usefixtures("narrow")
def test_sent_counts_as_sent_while_a_replay_of_all_is_paused(relay: RunningServer, send_all: SendAll) -> None:
    batch = send_all(60)
    job = replay_and_stop(batch, relay, lifecycle.pause_batch)
    now = counts(batch)
    assert now["sent"] == 60 and 0 < now["resending"] == now["pending"] < 60
    assert progress.read_job_counts(job).sent == 60 - now["pending"]
    assert batch.emails.in_state(EmailStatus.SENT).count() == 60
    assert not batch.emails.in_state(EmailStatus.PENDING).exists()
    assert not batch.emails.in_state(EmailStatus.SENDING).exists()
    lifecycle.resume_batch(batch)
    run_to_end(job)
    assert counts(batch) == {"sent": 60, "failed": 0, "unknown": 0, "pending": 0, "resending": 0}
    assert set(accepted(relay, batch).values()) == {2}


def test_sent_stays_sent_when_a_replay_of_all_is_refused(relay: RunningServer, send_all: SendAll) -> None:
    batch = send_all(30)
    before = records(batch)
    relay.configure(
        address_faults=False, rules=(Rule(stage="rcpt", action="550 5.1.1 No such user", recipient=".*-[0-9]@"),)
    )
    job = run_to_end(replay(batch))
    assert counts(batch)["sent"] == 30
    refused = Attempt.objects.filter(lane__job=job, outcome=Outcome.FAILED)
    assert refused.count() == job.failed_count == 10
    rows = list(refused.values_list("email__row", flat=True))
    assert [record for record in records(batch) if record in before] == [before[row - 2] for row in sorted(rows)]
    batch.refresh_from_db()
    assert (job.status, batch.status, batch.failed_count) == (JobStatus.COMPLETED, BatchStatus.COMPLETED, 0)


def test_only_those_who_never_got_it_fail_in_a_replay_of_all(relay: RunningServer, send_all: SendAll) -> None:
    batch = send_all(addresses=["fail-a@x.org", "good-b@x.org", "fail-c@x.org", "good-d@x.org", "good-e@x.org"])
    assert counts(batch) == {"sent": 3, "failed": 2, "unknown": 0, "pending": 0, "resending": 0}
    job = replay(batch)
    assert counts(batch) == {"sent": 3, "failed": 0, "unknown": 0, "pending": 5, "resending": 3}
    relay.configure(
        address_faults=False, rules=(Rule(stage="rcpt", action="550 5.1.1 Gone", recipient="(good-d|fail-c)@"),)
    )
    run_to_end(job)
    assert counts(batch) == {"sent": 4, "failed": 1, "unknown": 0, "pending": 0, "resending": 0}
    assert (job.sent_count, job.failed_count) == (3, 2)
    failed = batch.emails.get(status=EmailStatus.FAILED)
    assert (failed.address, failed.code) == ("fail-c@x.org", 550)


@pytest.mark.parametrize("relay_names", [[], ["a", "b"]], ids=["one relay", "two relays with quotas"])
def test_counts_are_true_at_each_cycle_of_a_replay_of_all(
    relay_names: list[str], run: Run, relay: RunningServer, send_all: SendAll, open_ledger: OpenLedger
) -> None:
    """The replies to two commits are lost on the way. What was written twice counts once."""
    batch = send_all(addresses=[f"{'fail' if number % 3 else 'good'}-{number}@x.org" for number in range(30)])
    job = replay(batch)
    ledger = open_ledger(batch, routes=tuple(make_route(name, quotas=((1000, 60),)) for name in relay_names))
    claimed = run(ledger.cycle(12))
    for email in claimed[:4]:
        ledger.add(sent(email))
    for email in claimed[4:6]:
        ledger.add(deferred(email, seconds=3600))
    cycle = sql.ROUTED_CYCLE_OF_REPLAY if relay_names else sql.LEDGER_CYCLE_OF_REPLAY
    ledger.line.lose(2, statement=cycle)
    for lost in range(2):
        with pytest.raises(Exception, match="lost"):
            run(ledger.cycle(0) if lost == 0 else ledger.recover(window=12))
        counts(batch)
    run(ledger.recover(window=6))
    assert counts(batch)["pending"] == 26
    lane = job.lanes.get(number=0)
    assert (lane.sent_count + lane.resent_count, lane.retried_count) == (4, 2)


@pytest.mark.parametrize("crash_policy", ["hold", "resend"])
def test_sent_stays_sent_when_the_worker_of_a_replay_dies(
    crash_policy: str,
    run: Run,
    relay: RunningServer,
    send_all: SendAll,
    open_ledger: OpenLedger,
    settings: LazySettings,
) -> None:
    batch = send_all(addresses=[f"{'fail' if number < 5 else 'good'}-{number}@x.org" for number in range(20)])
    before = records(batch)
    settings.SEND_ON_CRASH = crash_policy
    job = replay(batch)
    run(open_ledger(batch).cycle(10))
    Lane.objects.filter(job=job).update(lease_until="1970-01-01T00:00:00Z")
    assert sweep().reaped == 1
    now = counts(batch)
    assert now["sent"] == 15
    assert now["unknown"] == (5 if crash_policy == "hold" else 0)
    relay.configure(address_faults=False)
    job.refresh_from_db()
    run_to_end(job)
    now = counts(batch)
    assert now["sent"] == (15 if crash_policy == "hold" else 20)
    kept = batch.emails.filter(lane__job__lt=job.pk)
    if crash_policy == "hold":
        assert [row for row in records(batch) if row in before] == before[5:10] and kept.count() == 5


@pytest.mark.parametrize("which", [JobKind.UNKNOWN, JobKind.UNSENT, JobKind.ALL])
@pytest.mark.parametrize("outcome", [Outcome.UNKNOWN, Outcome.INTERRUPTED])
def test_doubt_stays_when_a_replay_is_cancelled(
    outcome: Outcome, which: JobKind, relay: RunningServer, send_all: SendAll
) -> None:
    batch = send_all(addresses=["good-a@x.org", "fail-b@x.org", "good-c@x.org"])
    doubtful = batch.emails.filter(row=4)
    doubtful.get().recorded_attempts.update(outcome=outcome, code=None, reply="Nobody knows it.")
    doubtful.update(status=EmailStatus.UNKNOWN, code=None, reply="Nobody knows it.")
    replay(batch, which, include_unknown=which == JobKind.UNSENT)
    lifecycle.cancel_batch(batch)
    assert doubtful.values_list("status", "code", "reply").get() == ("unknown", None, "Nobody knows it.")
    batch.refresh_from_db()
    assert (counts(batch)["sent"], batch.unknown_count) == (1, 1)
    failed_or_cancelled = 1
    assert replay(batch, JobKind.UNSENT).total_count == failed_or_cancelled


def test_retry_in_doubt_ends_as_unknown_when_its_batch_is_cancelled(
    relay: RunningServer, make_batch: MakeBatch, template: EmailTemplate, settings: LazySettings
) -> None:
    settings.SEND_RETRY_SECONDS = 60
    relay.configure(chunking=False)
    batch = make_batch(addresses=["lose-once-a@x.org", "defer-451-b@x.org", "good-c@x.org"])
    run_lane(lane_id=creation.create_job(batch, template=template, user=None).lanes.get().pk)
    lifecycle.cancel_batch(batch)
    assert list(batch.emails.order_by("row").values_list("status", flat=True)) == ["unknown", "cancelled", "sent"]


def test_record_is_restored_when_its_attempt_is_missing(relay: RunningServer, send_all: SendAll) -> None:
    batch = send_all(5)
    before = records(batch)
    Attempt.objects.filter(email__batch=batch).delete()
    replay(batch)
    lifecycle.cancel_batch(batch)
    assert records(batch) == before


def test_replays_follow_each_other_without_losing_a_record(relay: RunningServer, send_all: SendAll) -> None:
    batch = send_all(addresses=["good-a@x.org", "good-b@x.org", "fail-c@x.org"])
    for _ in range(2):
        replay(batch)
        lifecycle.cancel_batch(batch)
        assert counts(batch)["sent"] == 2
    relay.configure(address_faults=False)
    again = run_to_end(replay(batch))
    assert counts(batch)["sent"] == 3 and {row[-1] for row in records(batch)} == {again.pk}
    replay(batch)
    lifecycle.cancel_batch(batch)
    assert {row[-1] for row in records(batch)} == {again.pk}
    with pytest.raises(lifecycle.JobRefused, match="Everybody in batch"):
        replay(batch, JobKind.UNSENT)


@pytest.mark.parametrize(("include_unknown", "rows"), [(False, {3, 5}), (True, {3, 4, 5})])
def test_replay_of_the_unsent_goes_to_those_who_have_not_got_it(
    include_unknown: bool, rows: set[int], relay: RunningServer, send_all: SendAll
) -> None:
    batch = send_all(6)
    for row, status in {
        3: EmailStatus.FAILED,
        4: EmailStatus.UNKNOWN,
        5: EmailStatus.CANCELLED,
        6: EmailStatus.FAILED,
        7: EmailStatus.SUPPRESSED,
    }.items():
        batch.emails.filter(row=row).update(status=status)
    # Row 6 looks like one that failed, but its Attempt says that it was sent. It is never sent again.
    Attempt.objects.filter(email__batch=batch, email__row__in=(3, 4, 5)).update(outcome=Outcome.FAILED)
    job = replay(batch, JobKind.UNSENT, include_unknown=include_unknown)
    assert set(batch.emails.filter(status=EmailStatus.PENDING).values_list("row", flat=True)) == rows
    assert (job.kind, job.total_count) == (JobKind.UNSENT, len(rows))
    run_to_end(job)
    assert set(batch.emails.filter(lane__job=job).values_list("row", flat=True)) == rows


def test_rest_goes_out_once_when_a_first_send_was_cancelled(
    relay: RunningServer, make_batch: MakeBatch, template: EmailTemplate
) -> None:
    batch = make_batch(10)
    creation.create_job(batch, template=template, user=None)
    lifecycle.cancel_batch(batch)
    assert states(batch) == {EmailStatus.CANCELLED: 10}
    run_to_end(replay(batch, JobKind.UNSENT))
    assert set(accepted(relay, batch).values()) == {1}
    assert counts(batch)["sent"] == 10


def test_unknown_are_named_when_nobody_else_is_unsent(relay: RunningServer, send_all: SendAll) -> None:
    batch = send_all(2)
    batch.emails.filter(row=3).update(status=EmailStatus.UNKNOWN)
    Attempt.objects.filter(email__batch=batch, email__row=3).update(outcome=Outcome.UNKNOWN)
    with pytest.raises(lifecycle.JobRefused, match="1 unknown"):
        replay(batch, JobKind.UNSENT)
    with pytest.raises(lifecycle.JobRefused, match="Only a replay of the unsent"):
        replay(batch, JobKind.FAILED, include_unknown=True)


def migrate_again() -> None:
    """Do what the migration does at an upgrade."""
    migration = importlib.import_module("batches.migrations.0009_restore_sent")
    with connection.schema_editor() as editor:
        migration.restore_sent(apps, editor)


def test_migration_restores_what_earlier_replays_wiped(relay: RunningServer, send_all: SendAll) -> None:
    """Release 0.2.0 set every row to pending, and its Attempts alone kept that it was sent."""
    ended, live, other = send_all(4), send_all(4), send_all(2)
    before = records(ended)
    for batch in (ended, live):
        job = replay(batch)
        batch.emails.update(sent_before_at=None, code=None, reply="", completed_at=None)
        Batch.objects.filter(pk=batch.pk).update(sent_count=0)
    batch.emails.filter(batch=live, row=2).update(status=EmailStatus.FAILED, lane=job.lanes.first())
    Lane.objects.filter(job=job, number=0).update(failed_count=1)
    EmailJob.objects.filter(batch=ended, completed_at=None).update(
        status=JobStatus.CANCELLED, completed_at=F("created_at")
    )
    ended.emails.update(status=EmailStatus.CANCELLED)
    Batch.objects.filter(pk=ended.pk).update(cancelled_count=4)
    untouched = records(other)

    migrate_again()

    assert [(*row[:3], row[-1]) for row in records(ended)] == [(*row[:3], row[-1]) for row in before]
    sent_at = Attempt.objects.filter(email__batch=ended, outcome=Outcome.SENT).order_by("email__row")
    assert [row[3] for row in records(ended)] == list(sent_at.values_list("at", flat=True))
    assert counts(ended)["sent"] == 4
    assert counts(live) == {"sent": 4, "failed": 0, "unknown": 0, "pending": 3, "resending": 3}
    assert records(other) == untouched
    assert not Email.objects.filter(Q(batch=other), sent_before_at__isnull=False).exists()


def test_migration_keeps_doubt_that_earlier_releases_recorded_as_cancelled(
    relay: RunningServer, send_all: SendAll
) -> None:
    batch = send_all(addresses=["good-a@x.org", "fail-b@x.org", "good-c@x.org"])
    batch.emails.exclude(row=2).update(status=EmailStatus.CANCELLED, code=None, reply="", attempts=0)
    Attempt.objects.filter(email__batch=batch, email__row=4).update(outcome=Outcome.UNKNOWN, code=None, reply="Lost.")
    Batch.objects.filter(pk=batch.pk).update(sent_count=1, failed_count=0, cancelled_count=2)
    migrate_again()
    assert list(batch.emails.order_by("row").values_list("status", "reply"))[1:] == [
        ("cancelled", ""),
        ("unknown", "Lost."),
    ]
    batch.refresh_from_db()
    assert (counts(batch)["unknown"], batch.cancelled_count) == (1, 1)
    assert replay(batch, JobKind.UNSENT).total_count == 1
