"""An address that is suppressed after the import gets no mail: each claim sees the list as it is at that moment."""

from __future__ import annotations

import pytest
from django.conf import LazySettings

from batches.delivery.ledger import OUTAGES
from batches.jobs import creation
from batches.models import (
    Attempt,
    Batch,
    BatchStatus,
    Email,
    EmailStatus,
    EmailTemplate,
    JobKind,
    JobStatus,
    SuppressionReason,
    Topic,
    TopicKind,
    sql,
)
from batches.progress import read_snapshot
from batches.suppressions import KNOWN_MAX, REPLIES, find_digest, lift_digest, suppress, suppress_digests
from tests.integration.jobs.conftest import MakeBatch, SendAll
from tests.integration.jobs.ledgers import OpenLedger, Run, deferred, make_route, rows_of, sent
from tests.integration.jobs.whole_jobs import accepted, replay, run_to_end, run_while, start, statuses, wait_for_sent
from tests.smtpserver import Behaviour, RunningServer


def address_of(batch: Batch, row: int) -> str:
    return batch.emails.get(row=row).address


def test_nothing_is_sent_when_the_address_was_suppressed_before_its_turn(
    relay: RunningServer, make_batch: MakeBatch, template: EmailTemplate
) -> None:
    batch = make_batch(30)
    wanted = address_of(batch, 17)
    suppress(wanted.upper(), reason=SuppressionReason.MANUAL)
    job = run_to_end(creation.create_job(batch, template=template, user=None))
    assert statuses(batch) == {EmailStatus.SENT: 29, EmailStatus.SUPPRESSED: 1}
    assert wanted not in accepted(relay, batch)
    email = batch.emails.get(row=17)
    assert (email.reply, email.attempts, email.code, email.completed_at is None) == (
        REPLIES[SuppressionReason.MANUAL],
        0,
        None,
        False,
    )
    assert not Attempt.objects.filter(email=email).exists()
    batch.refresh_from_db()
    assert (batch.suppressed_count, batch.sent_count, batch.status) == (1, 29, BatchStatus.COMPLETED)
    assert (job.status, job.sent_count, job.failed_count) == (JobStatus.COMPLETED, 29, 0)


def test_running_lane_learns_of_it_when_the_email_is_not_claimed_yet(
    relay: RunningServer, make_batch: MakeBatch, template: EmailTemplate, settings: LazySettings
) -> None:
    settings.SEND_WINDOW, settings.SEND_CONNECTIONS = 4, 1
    relay.become(Behaviour(latency_ms=5))
    batch = make_batch(60)
    last = address_of(batch, 61)
    _, lane = start(batch, template)

    def act() -> None:
        wait_for_sent(batch, 5)
        suppress(last, reason=SuppressionReason.MANUAL)

    run_while(lane, act)
    assert statuses(batch)[EmailStatus.SUPPRESSED] == 1
    assert last not in accepted(relay, batch)


def test_next_claim_withholds_it_and_the_one_after_records_it(
    make_batch: MakeBatch, open_ledger: OpenLedger, run: Run
) -> None:
    batch = make_batch(10)
    ledger = open_ledger(batch)
    first = run(ledger.cycle(4))
    suppress(address_of(batch, 7), reason=SuppressionReason.MANUAL)
    suppress(address_of(batch, 2), reason=SuppressionReason.MANUAL)  # claimed already, so it is sent
    second = run(ledger.cycle(4))
    assert (rows_of(first), rows_of(second)) == ([2, 3, 4, 5], [6, 8, 9])
    assert (len(ledger.in_flight), ledger.undecided_count, ledger.decision_count) == (8, 7, 1)
    for claimed in (*first, *second):
        ledger.add(sent(claimed))
    run(ledger.cycle(0))
    assert statuses(batch) == {EmailStatus.SENT: 7, EmailStatus.SUPPRESSED: 1, EmailStatus.PENDING: 2}
    snapshot = read_snapshot(batch.pk)
    assert snapshot is not None
    assert (snapshot["suppressed"], snapshot["sent"], snapshot["pending"]) == (1, 7, 2)


def test_route_with_a_quota_withholds_it_too(make_batch: MakeBatch, open_ledger: OpenLedger, run: Run) -> None:
    batch = make_batch(6)
    ledger = open_ledger(batch, routes=(make_route("a", quotas=((100, 3600),)), make_route("b")))
    suppress(address_of(batch, 3), reason=SuppressionReason.MANUAL)
    claimed = run(ledger.cycle(6))
    assert rows_of(claimed) == [2, 4, 5, 6, 7]
    for email in claimed:
        ledger.add(sent(email))
    run(ledger.cycle(0))
    assert statuses(batch) == {EmailStatus.SENT: 5, EmailStatus.SUPPRESSED: 1}


def test_retry_is_withheld_when_the_address_was_suppressed_after_the_first_attempt(
    make_batch: MakeBatch, open_ledger: OpenLedger, run: Run
) -> None:
    batch = make_batch(1)
    ledger = open_ledger(batch)
    [claimed] = run(ledger.cycle(4))
    suppress(claimed.address, reason=SuppressionReason.MANUAL)
    ledger.add(deferred(claimed, seconds=0))
    run(ledger.cycle(0))
    assert run(ledger.cycle(4)) == []
    run(ledger.cycle(0))
    email = batch.emails.get()
    assert (email.status, email.attempts) == (EmailStatus.SUPPRESSED, 1)


@pytest.mark.parametrize("is_carried_out", [True, False])
def test_lost_claim_is_withheld_when_it_is_found_again(
    make_batch: MakeBatch, open_ledger: OpenLedger, run: Run, is_carried_out: bool
) -> None:
    batch = make_batch(4)
    ledger = open_ledger(batch)
    suppress(address_of(batch, 3), reason=SuppressionReason.MANUAL)
    ledger.line.lose(1, is_carried_out=is_carried_out)
    with pytest.raises(OUTAGES):
        run(ledger.cycle(4))
    assert rows_of(run(ledger.recover(window=4))) == [2, 4, 5]
    run(ledger.cycle(0))
    assert statuses(batch) == {EmailStatus.SUPPRESSED: 1, EmailStatus.PENDING: 3}


def test_no_claim_is_lost_when_postgresql_goes_away_while_the_list_is_read(
    make_batch: MakeBatch, open_ledger: OpenLedger, run: Run
) -> None:
    batch = make_batch(4)
    ledger = open_ledger(batch)
    suppress(address_of(batch, 3), reason=SuppressionReason.MANUAL)
    ledger.line.lose(1, statement=sql.SUPPRESSIONS_AFTER)
    with pytest.raises(OUTAGES):
        run(ledger.cycle(4))
    assert rows_of(run(ledger.recover(window=4))) == [2, 4, 5]
    run(ledger.cycle(0))
    assert statuses(batch) == {EmailStatus.SUPPRESSED: 1, EmailStatus.PENDING: 3}


def test_nobody_is_withheld_when_the_suppression_was_undone_before_the_claim(
    make_batch: MakeBatch, open_ledger: OpenLedger, run: Run
) -> None:
    batch = make_batch(6)
    ledger = open_ledger(batch)
    digest = find_digest(address_of(batch, 6))
    suppress(address_of(batch, 3), reason=SuppressionReason.MANUAL)
    suppress(address_of(batch, 6), reason=SuppressionReason.UNSUBSCRIBED)
    suppress(address_of(batch, 6), reason=SuppressionReason.MANUAL)
    assert rows_of(run(ledger.cycle(3))) == [2, 4]  # the lane knows both digests now
    assert lift_digest(digest, topic=None, reasons=[SuppressionReason.MANUAL]) == 1
    assert rows_of(run(ledger.cycle(3))) == [5, 6, 7]


def test_erased_email_is_withheld_when_the_person_was_taken_off_the_list(
    make_batch: MakeBatch, open_ledger: OpenLedger, run: Run
) -> None:
    batch = make_batch(4)
    ledger = open_ledger(batch)
    batch.emails.filter(row=3).update(address="")  # as an erasure does while a lane has the batch
    assert rows_of(run(ledger.cycle(4))) == [2, 4, 5]


def test_sent_email_stays_sent_when_a_replay_of_all_withholds_it(relay: RunningServer, send_all: SendAll) -> None:
    batch = send_all(5)
    suppress(address_of(batch, 4), reason=SuppressionReason.MANUAL)
    job = run_to_end(replay(batch, JobKind.ALL))
    assert statuses(batch) == {EmailStatus.SENT: 5}
    assert job.sent_count == 4
    assert accepted(relay, batch)[address_of(batch, 4)] == 1
    snapshot = read_snapshot(batch.pk)
    assert snapshot is not None
    assert (snapshot["sent"], snapshot["pending"], snapshot["suppressed"]) == (5, 0, 0)


def test_replay_of_the_failed_withholds_it(relay: RunningServer, send_all: SendAll) -> None:
    batch = send_all(addresses=["fail-550-ann@example.org", "fail-550-bo@example.org"])
    suppress("fail-550-ann@example.org", reason=SuppressionReason.MANUAL)
    run_to_end(replay(batch, JobKind.FAILED))
    assert statuses(batch) == {EmailStatus.SUPPRESSED: 1, EmailStatus.FAILED: 1}


def test_job_is_completed_when_everybody_was_suppressed_since(
    relay: RunningServer, make_batch: MakeBatch, template: EmailTemplate
) -> None:
    batch = make_batch(2)
    job = creation.create_job(batch, template=template, user=None)
    for email in batch.emails.all():
        suppress(email.address, reason=SuppressionReason.MANUAL)
    job = run_to_end(job)
    batch.refresh_from_db()
    assert (job.status, batch.status, batch.suppressed_count) == (JobStatus.COMPLETED, BatchStatus.COMPLETED, 2)
    assert not Email.objects.filter(batch=batch).exclude(status=EmailStatus.SUPPRESSED).exists()


def test_unsubscription_is_withheld_from_news_alone(
    make_batch: MakeBatch, open_ledger: OpenLedger, run: Run, template: EmailTemplate
) -> None:
    news = Topic.objects.create(key="letter", name="Letter", kind=TopicKind.NEWS)
    other = Topic.objects.create(key="other", name="Other", kind=TopicKind.NEWS)
    claimed = []
    for topic in (None, news):
        batch = make_batch(4)
        creation.create_job(batch, template=template, user=None)
        batch.jobs.update(topic=topic)
        ledger = open_ledger(batch)
        suppress(address_of(batch, 2), reason=SuppressionReason.UNSUBSCRIBED)
        suppress(address_of(batch, 3), reason=SuppressionReason.UNSUBSCRIBED, topic=other)
        suppress(address_of(batch, 4), reason=SuppressionReason.COMPLAINED, topic=news)
        claimed.append(rows_of(run(ledger.cycle(4))))
    assert claimed == [[2, 3, 4, 5], [3, 5]]


def test_every_window_is_asked_about_when_too_many_were_added_to_keep(
    make_batch: MakeBatch, open_ledger: OpenLedger, run: Run
) -> None:
    batch = make_batch(4)
    ledger = open_ledger(batch)
    suppress_digests((number.to_bytes(16) for number in range(KNOWN_MAX + 1)), reason=SuppressionReason.IMPORTED)
    assert rows_of(run(ledger.cycle(1))) == [2]
    suppress(address_of(batch, 4), reason=SuppressionReason.MANUAL)
    assert rows_of(run(ledger.cycle(4))) == [3, 5]


def test_lanes_find_the_suppressed_when_no_digest_was_stored(
    relay: RunningServer, make_batch: MakeBatch, template: EmailTemplate
) -> None:
    batch = make_batch(5)
    batch.emails.update(address_digest=None)
    suppress(address_of(batch, 4), reason=SuppressionReason.BOUNCED)
    run_to_end(creation.create_job(batch, template=template, user=None))
    assert statuses(batch) == {EmailStatus.SENT: 4, EmailStatus.SUPPRESSED: 1}
    assert batch.emails.get(row=4).reply == REPLIES[SuppressionReason.BOUNCED]
