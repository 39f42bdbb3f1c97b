"""Random sequences of sends, pauses, cancellations, deaths and replays: nothing that is told contradicts the Attempts.

Real lanes send to a real relay, whose behaviour changes on the way. After each step, rows, API, results.csv and counts
are compared with the Attempts and with what the relay took.
"""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Any

import pytest
from django.conf import LazySettings
from django.test import Client

from batches import progress
from batches.jobs import creation, lifecycle, queues
from batches.jobs.run_lane import run_lane
from batches.jobs.sweep import sweep
from batches.models import Attempt, Batch, Email, EmailJob, EmailStatus, EmailTemplate, JobKind, JobStatus, Lane
from batches.outcomes import Outcome
from tests.integration.jobs.conftest import MakeBatch
from tests.integration.jobs.ledgers import OpenLedger, Run
from tests.integration.jobs.test_history import client, exported, listed
from tests.integration.jobs.whole_jobs import JOB_SECONDS, accepted, replay, run_while, wait_for
from tests.smtpserver import Behaviour, Rule, RunningServer

__all__ = ["client"]  # a fixture

STEPS = 14
GOOD, LOST = "good", "lose-once"
ADDRESSES = [GOOD] * 7 + ["fail", LOST, "defer-450-once"]
REFUSE_ALL = Rule(stage="rcpt", action="550 5.1.1 No such user")
REFUSE_SOME = Rule(stage="rcpt", action="550 5.1.1 No such user", recipient=".*[02468]@")
LOSE_SOME = Rule(stage="reply", action="drop", probability=0.2)
BEHAVIOURS = (
    Behaviour(),
    Behaviour(chunking=False),
    Behaviour(address_faults=False),
    Behaviour(address_faults=False, rules=(REFUSE_ALL,)),
    Behaviour(address_faults=False, rules=(REFUSE_SOME,)),
    Behaviour(chunking=False, rules=(LOSE_SOME,)),
)
TERMINAL = (EmailStatus.SENT, EmailStatus.FAILED, EmailStatus.UNKNOWN, EmailStatus.CANCELLED)


@dataclass(kw_only=True)
class Walk:
    """One batch on its way, and what must not happen to it."""

    batch: Batch
    relay: RunningServer
    client: Client
    spared: dict[int, set[int]] = field(default_factory=dict)
    """By the id of a replay, the emails to which it must not send."""

    @property
    def job(self) -> EmailJob:
        return self.batch.jobs.order_by("-pk")[0]

    def check(self) -> None:
        self.batch.refresh_from_db()
        attempts: defaultdict[int, list[Attempt]] = defaultdict(list)
        for attempt in Attempt.objects.filter(email__batch=self.batch).select_related("lane").order_by("at", "number"):
            attempts[attempt.email_id].append(attempt)
        taken = accepted(self.relay, self.batch)
        emails = list(self.batch.emails.with_state().order_by("row"))
        for email, item, cells in zip(emails, listed(self.client, self.batch), exported(self.batch), strict=True):
            self.check_email(email, attempts[email.pk], taken[email.address])
            told = (item["status"], item["jobId"], item["code"], item["reply"])
            assert told == (email.state, *told[1:]), email
            assert (cells["status"], cells["job"], cells["code"], cells["reply"]) == tuple(
                "" if value is None else str(value) for value in told
            ), email
            sendings = [attempt for attempt in attempts[email.pk] if attempt.outcome == Outcome.SENT]
            if sendings:
                assert told == ("sent", sendings[-1].lane.job_id, sendings[-1].code, sendings[-1].reply), email
        self.check_counts(emails, attempts)

    def check_email(self, email: Email, attempts: list[Attempt], taken_count: int) -> None:
        outcomes = Counter(attempt.outcome for attempt in attempts)
        doubt_count = outcomes[Outcome.UNKNOWN] + outcomes[Outcome.INTERRUPTED]
        assert (email.state == EmailStatus.SENT) == bool(outcomes[Outcome.SENT]), email
        assert outcomes[Outcome.SENT] <= taken_count <= outcomes[Outcome.SENT] + doubt_count, email
        if email.state == EmailStatus.CANCELLED:
            assert not doubt_count, email
        if email.status in TERMINAL:
            assert email.completed_at and not email.next_attempt_at and email.relay_id is None, email
        if self.job.completed_at:
            assert email.status == email.state in TERMINAL, email
        for attempt in attempts:
            assert email.pk not in self.spared.get(attempt.lane.job_id, set()), email

    def check_counts(self, emails: list[Email], attempts: dict[int, list[Attempt]]) -> None:
        states, snapshot = Counter(email.state for email in emails), progress.read_snapshot(self.batch.pk)
        assert snapshot is not None
        assert (snapshot["sent"], snapshot["failed"]) == (states[EmailStatus.SENT], states[EmailStatus.FAILED])
        for job in self.batch.jobs.all():
            sent = {
                attempt.email_id
                for each in attempts.values()
                for attempt in each
                if attempt.outcome == Outcome.SENT and attempt.lane.job_id == job.pk
            }
            assert progress.read_job_counts(job).sent == len(sent)
        if self.job.completed_at:
            batch: dict[str, Any] = vars(self.batch)
            assert {status: batch[f"{status.value}_count"] for status in TERMINAL} == {
                status: states[status] for status in TERMINAL
            }

    def replay(self, which: JobKind, *, include_unknown: bool) -> None:
        sent = Attempt.objects.filter(email__batch=self.batch, outcome=Outcome.SENT)
        unknown = self.batch.emails.filter(status=EmailStatus.UNKNOWN).values_list("pk", flat=True)
        known = set() if which == JobKind.ALL else set(sent.values_list("email_id", flat=True))
        doubtful = set() if include_unknown or which in (JobKind.ALL, JobKind.UNKNOWN) else set(unknown)
        job = replay(self.batch, which, include_unknown=include_unknown)
        self.spared[job.pk] = known | doubtful


@pytest.mark.parametrize("seed", range(6))
def test_nothing_told_contradicts_the_attempts(
    seed: int,
    run: Run,
    relay: RunningServer,
    make_batch: MakeBatch,
    template: EmailTemplate,
    open_ledger: OpenLedger,
    client: Client,
    settings: LazySettings,
) -> None:
    chance = random.Random(seed)
    settings.SEND_WINDOW, settings.SEND_LANES = chance.choice([4, 8, 50]), 1
    batch = make_batch(addresses=[f"{chance.choice(ADDRESSES)}-walk{seed}n{number}@x.org" for number in range(24)])
    walk = Walk(batch=batch, relay=relay, client=client)
    creation.create_job(batch, template=template, user=None)
    for _ in range(STEPS):
        queues.client().flushall()
        relay.become(chance.choice(BEHAVIOURS))
        settings.SEND_ON_CRASH = chance.choice(["hold", "resend"])
        step(walk, chance, run, open_ledger)
        walk.check()


def step(walk: Walk, chance: random.Random, run: Run, open_ledger: OpenLedger) -> None:
    """Do one thing to a batch: replay it if it has ended, or let its job go on until something happens."""
    batch, job = Batch.objects.get(pk=walk.batch.pk), walk.job
    if job.completed_at:
        which = chance.choice([JobKind.ALL, JobKind.ALL, JobKind.FAILED, JobKind.UNKNOWN, JobKind.UNSENT])
        include_unknown = which == JobKind.UNSENT and chance.random() < 0.4
        if batch.emails.filter(status__in=(EmailStatus.FAILED, EmailStatus.CANCELLED)).exists() or which == JobKind.ALL:
            try:
                walk.replay(which, include_unknown=include_unknown)
            except lifecycle.JobRefused:
                assert which in (JobKind.FAILED, JobKind.UNKNOWN)
        return
    if job.status == JobStatus.PAUSED:
        lifecycle.resume_batch(batch)
    happening = chance.choice(["end", "end", "death", "cancel", "pause", "cancel now"])
    lane = job.lanes.get()
    if happening == "cancel now":
        lifecycle.cancel_batch(batch)
    elif happening == "death":
        run(open_ledger(batch).cycle(chance.choice([1, 4, 12])))
        Lane.objects.filter(pk=lane.pk).update(lease_until="1970-01-01T00:00:00Z")
        assert sweep().reaped == 1
    elif happening in ("cancel", "pause"):
        walk.relay.configure(rate=60)
        run_while(lane, lambda: try_to(batch, happening))
        sweep()
    else:
        end(job)


def try_to(batch: Batch, happening: str) -> None:
    try:
        (lifecycle.cancel_batch if happening == "cancel" else lifecycle.pause_batch)(batch)
    except lifecycle.JobRefused:
        assert not EmailJob.objects.filter(batch=batch, completed_at=None).exists()


def end(job: EmailJob) -> None:
    """Run a job's lane until it has ended, and resume it whenever the breaker pauses it."""

    def has_ended() -> bool:
        run_lane(lane_id=job.lanes.get().pk)
        job.refresh_from_db()
        if job.status == JobStatus.PAUSED:
            lifecycle.resume_batch(job.batch)
        return job.completed_at is not None

    wait_for(has_ended, seconds=JOB_SECONDS)
