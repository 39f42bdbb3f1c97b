"""Several relays and quotas, as the ledgers of several lanes keep them in the real PostgreSQL."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass
from datetime import timedelta
from itertools import chain

import pytest
from django.utils import timezone

from batches.delivery.ledger import OUTAGES
from batches.delivery.spec import RouteSpec
from batches.delivery.terms import ClaimedEmail, Decision
from batches.jobs import queues
from batches.jobs import sweep as sweep_module
from batches.jobs.sweep import sweep
from batches.models import (
    Batch,
    EmailStatus,
    Lane,
    Relay,
    RelayPause,
    RelayQuota,
    RelayUse,
    Reservation,
    sql,
)
from batches.outcomes import Outcome, ReplyMeaning
from tests.integration.jobs.conftest import MakeBatch
from tests.integration.jobs.ledgers import LedgerOnLine, OpenLedger, Run, deferred, make_route, sent

HOUR = 3600


def unknown(claimed: ClaimedEmail, *, seconds: float = 0.0) -> Decision:
    return Decision(claimed.id, EmailStatus.PENDING.value, Outcome.UNKNOWN.value, 0, "No reply came.", seconds)


def requeued(claimed: ClaimedEmail) -> Decision:
    return Decision(claimed.id, EmailStatus.PENDING.value, "", 0, "")


@dataclass(frozen=True, kw_only=True)
class Lanes:
    """Opens the ledgers of a batch's lanes, with the routes of the test."""

    run: Run
    open_ledger: OpenLedger

    def open(self, batch: Batch, *routes: RouteSpec, lane: int = 0) -> LedgerOnLine:
        return self.open_ledger(batch, lane_number=lane, routes=routes)


@pytest.fixture
def lanes(run: Run, open_ledger: OpenLedger) -> Lanes:
    return Lanes(run=run, open_ledger=open_ledger)


def count_routes(claimed: list[ClaimedEmail]) -> dict[int, int]:
    return dict(Counter(email.route for email in claimed))


def reserved() -> dict[str, int]:
    return dict(Reservation.objects.filter(count__gt=0).values_list("relay__name", "count"))


def used() -> int:
    return sum(RelayUse.objects.values_list("count", flat=True))


# --- several relays --------------------------------------------------------------------------------------


def test_emails_are_shared_by_weight_when_two_relays_are_usable(lanes: Lanes, make_batch: MakeBatch) -> None:
    ledger = lanes.open(make_batch(40), make_route("a", weight=3), make_route("b"))
    assert count_routes(lanes.run(ledger.cycle(12))) == {0: 9, 1: 3}
    assert count_routes(lanes.run(ledger.cycle(12, [1]))) == {1: 12}
    assert count_routes(lanes.run(ledger.cycle(40, [0]))) == {0: 16}
    lanes.run(ledger.cycle(4))
    assert ledger.is_dry


def test_second_order_gets_nothing_when_the_first_is_usable(lanes: Lanes, make_batch: MakeBatch) -> None:
    ledger = lanes.open(make_batch(20), make_route("a"), make_route("b", order=1))
    assert count_routes(lanes.run(ledger.cycle(10))) == {0: 10}
    assert count_routes(lanes.run(ledger.cycle(5, [1]))) == {1: 5}
    assert lanes.run(ledger.cycle(5, [])) == []
    assert not ledger.is_dry


def test_attempts_name_their_relay_when_several_carry_the_mail(lanes: Lanes, make_batch: MakeBatch) -> None:
    batch = make_batch(10)
    ledger = lanes.open(batch, make_route("a"), make_route("b"))
    claimed = lanes.run(ledger.cycle(10))
    for email in claimed:
        ledger.add(sent(email))
    lanes.run(ledger.cycle(0))
    labels = dict(batch.emails.values_list("pk", "recorded_attempts__relay"))
    assert labels == {email.id: f"{'ab'[email.route]}.example:25" for email in claimed}
    assert ledger.in_flight == {}


def test_email_in_doubt_stays_with_its_relay_when_another_is_usable(lanes: Lanes, make_batch: MakeBatch) -> None:
    batch = make_batch(4)
    ledger = lanes.open(batch, make_route("a"), make_route("b"))
    claimed = lanes.run(ledger.cycle(4, [0]))
    ledger.add(unknown(claimed[0]))
    ledger.add(requeued(claimed[1]))
    ledger.add(sent(claimed[2]))
    ledger.add(sent(claimed[3]))
    lanes.run(ledger.cycle(0))
    [other] = lanes.run(ledger.cycle(4, [1]))
    assert (other.id, other.route) == (claimed[1].id, 1)
    assert lanes.run(ledger.cycle(4, [1])) == []
    lanes.run(ledger.cycle(4, [1]))
    assert ledger.is_dry
    pinned = lanes.run(ledger.find_pinned([1]))
    assert pinned.route == 0
    assert "relay a" in pinned.sentence
    assert lanes.run(ledger.find_pinned([0, 1])) is None
    [doubtful] = lanes.run(ledger.cycle(4))
    assert (doubtful.id, doubtful.route) == (claimed[0].id, 0)
    # A requeue and a deferral leave the doubt, and so the pin.
    ledger.add(requeued(doubtful))
    lanes.run(ledger.cycle(0))
    assert lanes.run(ledger.cycle(4, [1])) == []
    [doubtful] = lanes.run(ledger.cycle(4, [0]))
    ledger.add(deferred(doubtful, seconds=0))
    lanes.run(ledger.cycle(0))
    assert lanes.run(ledger.cycle(4, [1])) == []
    [doubtful] = lanes.run(ledger.cycle(4))
    ledger.add(sent(doubtful))
    lanes.run(ledger.cycle(0))
    assert batch.emails.get(pk=doubtful.id).relay_id is None


def test_claims_keep_their_routes_when_the_reply_to_a_commit_was_lost(lanes: Lanes, make_batch: MakeBatch) -> None:
    ledger = lanes.open(make_batch(6), make_route("a", quotas=((5, HOUR),)), make_route("b"))
    ledger.line.lose(1, statement="COMMIT")
    with pytest.raises(OUTAGES):
        lanes.run(ledger.cycle(6))
    claimed = lanes.run(ledger.recover(window=6))
    assert count_routes(claimed) == {0: 3, 1: 3}
    assert reserved() == {"a": 3}


# --- quotas ----------------------------------------------------------------------------------------------


def test_quota_is_shared_and_never_exceeded_when_three_lanes_claim_at_once(lanes: Lanes, make_batch: MakeBatch) -> None:
    batch = make_batch(300)
    route = make_route("a", quotas=((50, HOUR), (70, 24 * HOUR)))
    ledgers = [lanes.open(batch, route, lane=number) for number in range(3)]

    async def claim() -> list[list[ClaimedEmail]]:
        # A lane that finds the job locked, because another takes its row range, claims in its next cycle.
        claims = [await asyncio.gather(*(ledger.cycle(30) for ledger in ledgers)) for _ in range(3)]
        return [list(chain.from_iterable(of_lane)) for of_lane in zip(*claims, strict=True)]

    claims = lanes.run(claim())
    assert sum(map(len, claims)) == 50
    assert sum(reservation.count for reservation in Reservation.objects.all()) == 50
    for ledger, claimed in zip(ledgers, claims, strict=True):
        for email in claimed:
            ledger.add(sent(email))
        lanes.run(ledger.cycle(30))
        assert not ledger.is_dry
    assert (used(), reserved()) == (2 * 50, {})
    assert lanes.run(ledgers[0].cycle(30)) == []
    ledgers[0].space_at = None
    assert lanes.run(ledgers[0].cycle(30)) == []
    assert ledgers[0].space_at is not None
    seconds = ledgers[0].space_at - ledgers[0]._clock()
    assert HOUR - 10 < seconds < HOUR + 10
    assert "50 in" in ledgers[0].space_sentence


def test_space_comes_back_when_uses_are_a_period_old(lanes: Lanes, make_batch: MakeBatch) -> None:
    ledger = lanes.open(make_batch(20), make_route("a", quotas=((10, HOUR),)))
    for email in lanes.run(ledger.cycle(20)):
        ledger.add(sent(email))
    lanes.run(ledger.cycle(20))
    moment = timezone.now() - timedelta(seconds=HOUR)
    RelayUse.objects.update(at=moment)
    ledger.space_at = None
    assert len(lanes.run(ledger.cycle(20))) == 10


def test_requeued_email_frees_its_space_when_it_was_not_sent(lanes: Lanes, make_batch: MakeBatch) -> None:
    ledger = lanes.open(make_batch(20), make_route("a", quotas=((10, HOUR),)))
    claimed = lanes.run(ledger.cycle(20))
    for email in claimed[:3]:
        ledger.add(requeued(email))
    for email in claimed[3:]:
        ledger.add(unknown(email, seconds=60))
    assert len(lanes.run(ledger.cycle(20))) == 3
    assert (used(), reserved()) == (7, {"a": 3})


def test_rest_goes_to_the_next_order_when_a_quota_is_used_up(lanes: Lanes, make_batch: MakeBatch) -> None:
    ledger = lanes.open(make_batch(20), make_route("a", quotas=((5, HOUR),)), make_route("b", order=1))
    assert count_routes(lanes.run(ledger.cycle(12))) == {0: 5, 1: 7}
    assert ledger.space_at is None


def test_lane_is_dry_when_the_quota_was_just_enough_for_the_list(lanes: Lanes, make_batch: MakeBatch) -> None:
    ledger = lanes.open(make_batch(10), make_route("a", quotas=((10, HOUR),)))
    assert len(lanes.run(ledger.cycle(20))) == 10
    assert ledger.space_at is None
    lanes.run(ledger.cycle(20))
    assert ledger.is_dry


def test_pinned_retry_takes_no_more_than_the_space_of_its_relay(lanes: Lanes, make_batch: MakeBatch) -> None:
    batch = make_batch(30)
    first = make_route("a", quotas=((5, HOUR),))
    second = make_route("b")
    ledger = lanes.open(batch, first, second)
    relay = Relay.objects.get(name="a")
    retries = batch.emails.filter(row__lte=11)
    retries.update(relay=relay, next_attempt_at=timezone.now() - timedelta(seconds=5), attempts=1)
    claimed = lanes.run(ledger.cycle(20))
    assert count_routes(claimed) == {0: 5, 1: 15}
    pinned = {email.id for email in claimed if email.route == 0}
    assert pinned <= set(retries.values_list("pk", flat=True))
    assert reserved() == {"a": 5}
    assert batch.emails.filter(status=EmailStatus.SENDING).count() == 5


def test_reservation_becomes_uses_when_its_lane_is_reaped(
    lanes: Lanes, make_batch: MakeBatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweep_module, "SUSPECT_SECONDS", 0)
    batch = make_batch(20)
    ledger = lanes.open(batch, make_route("a", quotas=((10, HOUR),)), make_route("b", order=1))
    claimed = lanes.run(ledger.cycle(15))
    Lane.objects.update(lease_until="1970-01-01T00:00:00Z")
    assert sweep().reaped == 1
    assert (used(), reserved()) == (10, {})
    names = dict(batch.emails.values_list("pk", "relay__name"))
    assert {email.id: names[email.id] for email in claimed} == {email.id: "ab"[email.route] for email in claimed}


def test_reservation_becomes_uses_when_the_batch_is_deleted(lanes: Lanes, make_batch: MakeBatch) -> None:
    batch = make_batch(20)
    ledger = lanes.open(batch, make_route("a", quotas=((10, HOUR),)))
    lanes.run(ledger.cycle(15))
    batch.delete()
    sweep()
    assert (used(), Reservation.objects.count()) == (10, 0)


def test_lane_goes_on_when_a_quota_is_deleted_meanwhile(lanes: Lanes, make_batch: MakeBatch) -> None:
    ledger = lanes.open(make_batch(20), make_route("a", quotas=((10, HOUR),)))
    for email in lanes.run(ledger.cycle(15)):
        ledger.add(sent(email))
    RelayQuota.objects.all().delete()
    ledger.space_at = None  # It waits for the reservations of a moment ago.
    assert len(lanes.run(ledger.cycle(15))) == 10
    assert used() == 0


def test_old_uses_are_deleted_when_they_count_no_longer(lanes: Lanes) -> None:
    make_route("a", quotas=((10, HOUR),))
    quota = RelayQuota.objects.get()
    now = timezone.now()
    for age_seconds in (HOUR + 60, HOUR - 60):
        RelayUse.objects.create(quota=quota, at=now - timedelta(seconds=age_seconds), count=1)
    sweep()
    assert used() == 1


def test_other_lanes_go_on_when_one_stops_while_it_has_locked_a_relay(
    lanes: Lanes, make_batch: MakeBatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = make_batch(200)
    route = make_route("a", quotas=((100, HOUR),))
    stopped, other = (lanes.open(batch, route, lane=number) for number in range(2))
    lanes.run(stopped.cycle(10))
    lanes.run(stopped.execute("SET idle_in_transaction_session_timeout = 200", {}))
    lanes.run(stopped.execute("BEGIN", {}))
    lanes.run(stopped.execute(sql.LOCK_RELAYS, {"relays": [route.relay_id]}))
    assert len(lanes.run(other.cycle(10))) == 10
    with pytest.raises(OUTAGES):
        lanes.run(stopped.cycle(20))
    assert len(lanes.run(stopped.recover(window=20))) == 10
    assert (len(stopped.in_flight), len(other.in_flight)) == (20, 10)


# --- lanes that wait -------------------------------------------------------------------------------------


def test_lane_is_not_enqueued_when_it_waits_for_space(lanes: Lanes, make_batch: MakeBatch) -> None:
    batch = make_batch(20)
    ledger = lanes.open(batch, make_route("a", quotas=((10, HOUR),)))
    lanes.run(ledger.release(wait_seconds=100))
    queues.client().flushall()
    assert sweep().enqueued == 0
    Lane.objects.update(waits_until=timezone.now())
    assert sweep().enqueued == 1


def test_lane_is_not_enqueued_when_only_retries_of_a_paused_relay_are_left(lanes: Lanes, make_batch: MakeBatch) -> None:
    batch = make_batch(2)
    ledger = lanes.open(batch, make_route("a"), make_route("b"))
    for email in lanes.run(ledger.cycle(5, [0])):
        ledger.add(unknown(email))
    lanes.run(ledger.cycle(5, [1]))
    lanes.run(ledger.release())
    queues.client().flushall()
    pause = RelayPause.objects.create(
        relay=Relay.objects.get(name="a"),
        meaning=ReplyMeaning.RATE,
        sentence="Too fast.",
        until=timezone.now() + timedelta(hours=1),
    )
    assert sweep().enqueued == 0
    pause.delete()
    assert sweep().enqueued == 1
