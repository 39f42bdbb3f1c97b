"""What a lane run makes of the relays' replies: whom it charges, and when it pauses a relay or the job."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Coroutine
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batches.delivery.terms import LaneEnd
from batches.models import EmailStatus
from batches.outcomes import Outcome, ReplyMeaning
from batches.smtp.verdicts import Verdict
from tests.unit.delivery import time_loop
from tests.unit.delivery.lane_in_memory import (
    DENIED,
    GONE,
    IN_DOUBT,
    LATER,
    NOT_TAKEN,
    SENT,
    STRIKE,
    TOO_FAST,
    USED_UP,
    World,
)

SENT_STATUS, FAILED_STATUS = EmailStatus.SENT.value, EmailStatus.FAILED.value
PENDING_STATUS = EmailStatus.PENDING.value


def run(coroutine: Coroutine[Any, Any, None]) -> None:
    time_loop.run(coroutine)


def test_nobody_is_charged_and_job_is_paused_when_relay_denies_everybody() -> None:
    async def go() -> None:
        world = World(200, lambda number, place: DENIED, window=128, connections=10)
        await world.run_until_over()
        assert world.ends == [LaneEnd.TRIPPED]
        assert (world.statuses(), world.charged()) == ({PENDING_STATUS: 200}, {})
        [sentence] = world.table.sentences
        assert "refused the first" in sentence
        assert "554 5.7.1 Not for you" in sentence
        assert "Nobody was charged" in sentence

    run(go())


def test_refusals_are_charged_when_a_person_has_accepted_them() -> None:
    async def go() -> None:
        world = World(30, lambda number, place: DENIED)
        await world.run_until_over()
        world.table.is_paused = False
        await world.run_until_over(accepted_refusal=world.table.refusal)
        assert world.statuses() == {FAILED_STATUS: 30}
        assert set(world.charged().values()) == {1}

    run(go())


@pytest.mark.parametrize("count", [3, 5, 9])
def test_small_job_is_paused_when_relay_denies_everybody(count: int) -> None:
    async def go() -> None:
        world = World(count, lambda number, place: DENIED)
        await world.run_until_over()
        assert (world.ends, world.charged()) == ([LaneEnd.TRIPPED], {})

    run(go())


@pytest.mark.parametrize("verdict", [GONE, DENIED._replace(code=550, reply="No such user here")])
@pytest.mark.parametrize("count", [1, 2, 3, 9])
def test_small_job_fails_when_each_recipient_is_unknown(count: int, verdict: Verdict) -> None:
    async def go() -> None:
        world = World(count, lambda number, place: verdict, window=128)
        await world.run_until_over()
        assert (world.statuses(), world.ends) == ({FAILED_STATUS: count}, [LaneEnd.DRY])

    run(go())


def test_refusals_are_charged_when_others_are_accepted() -> None:
    """One in three is refused in words that no rule knows."""

    async def go() -> None:
        world = World(90, lambda number, place: DENIED if number % 3 == 0 else SENT)
        await world.run_until_over()
        assert world.statuses() == {FAILED_STATUS: 30, SENT_STATUS: 60}
        assert set(world.charged().values()) == {1}

    run(go())


def test_others_go_on_over_another_relay_when_one_denies_everybody() -> None:
    async def go() -> None:
        world = World(100, lambda number, place: DENIED if place == 0 else SENT, routes=2)
        await world.run_until_over()
        assert world.statuses() == {SENT_STATUS: 100}
        assert set(world.charged().values()) == {1}

    run(go())


@pytest.mark.parametrize("verdict", [LATER, TOO_FAST, USED_UP, STRIKE, TOO_FAST._replace(reply="4.7.1 MAIL too fast")])
@pytest.mark.parametrize("count", [5, 60])
def test_nobody_is_charged_when_relay_takes_nothing_for_a_while(count: int, verdict: Verdict) -> None:
    """The relay recovers after ten minutes, which is longer than three attempts would last."""

    async def go() -> None:
        world = World(count, lambda number, place: verdict if world.loop_time() < 600 else SENT)
        await world.run_until_over()
        assert world.statuses() == {SENT_STATUS: count}
        assert set(world.charged().values()) == {1}
        assert world.table.sentences

    run(go())


@pytest.mark.parametrize("verdict", [LATER, TOO_FAST, USED_UP, STRIKE])
def test_nobody_is_charged_when_relay_takes_nothing_in_the_middle(verdict: Verdict) -> None:
    async def go() -> None:
        def script(number: int, place: int) -> Verdict:
            is_away = len(world.carried) > 100 and world.loop_time() < 600
            return verdict if is_away else SENT

        world = World(300, script)
        await world.run_until_over()
        assert world.statuses() == {SENT_STATUS: 300}
        assert set(world.charged().values()) == {1}

    run(go())


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32), taken_before=st.integers(5, 150), verdict=st.sampled_from([DENIED, LATER, STRIKE]))
def test_nobody_is_charged_when_messages_are_on_their_way_while_the_relay_changes(
    seed: int, taken_before: int, verdict: Verdict
) -> None:
    """The answers to messages that the relay read before come after its first refusals, in any order."""

    async def go() -> None:
        rng = random.Random(seed)

        def script(number: int, place: int) -> Verdict:
            return SENT if len(world.carried) <= taken_before else verdict

        world = World(300, script, window=128, connections=32)
        world.find_delay = lambda: rng.uniform(0.001, 0.05)
        await world.run_once()
        charged = {row.decisions[-1].outcome for row in world.table.rows.values() if row.attempts}
        assert charged == {Outcome.SENT.value}
        assert world.statuses()[SENT_STATUS] == taken_before

    run(go())


def test_no_job_is_paused_when_a_third_of_what_is_on_its_way_is_refused_alike() -> None:
    async def go() -> None:
        rng = random.Random(1)
        unknown = {number for number in range(1, 601) if rng.random() < 0.3}
        world = World(600, lambda number, place: DENIED if number in unknown else SENT, window=128, connections=128)
        world.find_delay = lambda: rng.uniform(0.001, 0.05)
        await world.run_until_over()
        assert world.statuses() == {FAILED_STATUS: len(unknown), SENT_STATUS: 600 - len(unknown)}
        assert world.ends == [LaneEnd.DRY]

    run(go())


@pytest.mark.parametrize("verdict", [STRIKE, LATER, TOO_FAST, USED_UP])
def test_job_ends_when_one_recipient_is_always_put_off(verdict: Verdict) -> None:
    """The 421 of a policy service, or a refusal that a rule takes to be about us."""

    async def go() -> None:
        world = World(200, lambda number, place: verdict if number == 77 else SENT)
        await world.run_until_over()
        assert world.statuses()[SENT_STATUS] == 199
        row = world.table.rows[77]
        assert row.status == FAILED_STATUS
        assert row.decisions[-1].reply == verdict.reply

    run(go())


def test_others_do_not_wait_when_one_in_ten_is_always_struck() -> None:
    async def go() -> None:
        world = World(600, lambda number, place: STRIKE if number % 10 == 0 else SENT, window=128, connections=10)
        await world.run_once()
        assert world.statuses()[SENT_STATUS] == 540
        assert world.loop_time() < 10
        await world.run_until_over()
        assert world.statuses() == {FAILED_STATUS: 60, SENT_STATUS: 540}

    run(go())


def test_emails_go_over_other_relays_when_the_quota_of_one_is_used_up() -> None:
    async def go() -> None:
        def script(number: int, place: int) -> Verdict:
            return USED_UP if place == 0 and sum(each == 0 for _, each in world.carried) > 20 else SENT

        world = World(200, script, routes=2)
        await world.run_once()
        assert world.statuses() == {SENT_STATUS: 200}
        assert set(world.charged().values()) == {1}

    run(go())


def test_relay_is_probed_with_one_email_when_a_short_pause_ends() -> None:
    """The pauses of one and two seconds are awaited in one lane run."""

    async def go() -> None:
        probes: list[float] = []

        def script(number: int, place: int) -> Verdict:
            if world.loop_time() < 2:
                probes.append(world.loop_time())
                return TOO_FAST._replace(reply="4.7.1 MAIL too fast")
            return SENT

        world = World(300, script, window=128)
        await world.run_until_over()
        assert len(world.ends) == 1
        assert len([at for at in probes if at > 0.5]) == 1
        assert world.statuses() == {SENT_STATUS: 300}

    run(go())


def test_no_relay_is_paused_when_it_puts_off_one_mail_in_five() -> None:
    """The refusals name no rate and no recipient, and the messages between them are accepted."""

    async def go() -> None:
        rng = random.Random(62456)
        busy = Verdict(Outcome.REQUEUED, 451, "4.3.0 MAIL later", ReplyMeaning.RATE, is_recognised=False)
        world = World(2000, lambda number, place: busy if rng.random() < 0.2 else SENT, window=128, connections=10)
        assert await world.run_once() is LaneEnd.DRY
        assert world.statuses() == {SENT_STATUS: 2000}
        assert set(world.charged().values()) == {1}
        assert world.loop_time() < 10

    run(go())


@pytest.mark.parametrize("count", [1, 200])
def test_relay_is_paused_when_it_puts_off_every_mail(count: int) -> None:
    async def go() -> None:
        busy = Verdict(Outcome.REQUEUED, 451, "4.3.0 MAIL later", ReplyMeaning.RATE, is_recognised=False)
        world = World(count, lambda number, place: busy if world.loop_time() < 900 else SENT)
        await world.run_until_over()
        assert world.statuses() == {SENT_STATUS: count}
        assert set(world.charged().values()) == {1}
        assert any("451 4.3.0" in sentence for sentence in world.table.sentences)

    run(go())


@pytest.mark.parametrize("seconds", [2, 4.5])
def test_lane_waits_in_its_place_when_a_pause_ends_soon(seconds: float) -> None:
    async def go() -> None:
        world = World(30, lambda number, place: SENT)
        world.routes = (replace(world.routes[0], paused_seconds=seconds),)
        assert await world.run_once() is LaneEnd.DRY
        assert seconds <= world.loop_time() < seconds + 1
        assert world.statuses() == {SENT_STATUS: 30}

    run(go())


def test_rest_goes_over_another_relay_when_the_window_of_the_day_closes() -> None:
    async def go() -> None:
        world = World(400, lambda number, place: SENT, routes=2, connections=1)
        world.find_delay = lambda: 0.05
        world.routes = (replace(world.routes[0], closes_in_seconds=2.0), world.routes[1])
        assert await world.run_once() is LaneEnd.DRY
        assert world.statuses() == {SENT_STATUS: 400}
        carried = [place for _, place in world.carried]
        assert carried.count(0) < 50
        assert set(carried[-300:]) == {1}

    run(go())


def test_lane_ends_for_new_routes_when_the_only_window_closes() -> None:
    """The next lane run reads why no relay is open, and when one is."""

    async def go() -> None:
        world = World(400, lambda number, place: SENT, connections=1)
        world.find_delay = lambda: 0.05
        world.routes = (replace(world.routes[0], closes_in_seconds=2.0),)
        assert await world.run_once() is LaneEnd.REROUTED
        assert set(world.statuses()) == {PENDING_STATUS, SENT_STATUS}

    run(go())


@pytest.mark.parametrize(("seconds", "end"), [(3.0, LaneEnd.DRY), (3600.0, LaneEnd.NO_SPACE)])
def test_lane_waits_for_a_quota_or_ends_by_how_long_it_takes(seconds: float, end: LaneEnd) -> None:
    async def go() -> None:
        world = World(100, lambda number, place: SENT)
        world.space, world.space_returns_at = 40, seconds
        assert await world.run_once() is end
        if end is LaneEnd.DRY:
            assert world.statuses() == {SENT_STATUS: 100}
            return
        assert world.statuses() == {PENDING_STATUS: 60, SENT_STATUS: 40}
        assert world.table.sentences == ["The limit is used up."]

    run(go())


@pytest.mark.parametrize("verdict", [DENIED, LATER])
def test_job_goes_on_when_turns_are_short_and_the_relay_is_slow(verdict: Verdict) -> None:
    """Each turn ends before ten refusals in a row have come."""

    async def go() -> None:
        world = World(40, lambda number, place: verdict if world.loop_time() < 60 else SENT, connections=1)
        world.find_delay = lambda: 0.7
        world.should_end = LaneEnd.YIELDED
        await world.run_until_over()
        assert world.charged() == {} or world.statuses() == {SENT_STATUS: 40}

    run(go())


@pytest.mark.parametrize("end", [LaneEnd.STOPPED, LaneEnd.REROUTED])
def test_nobody_is_charged_when_the_lane_is_asked_to_end_while_refusals_are_suspended(end: LaneEnd) -> None:
    async def go() -> None:
        world = World(40, lambda number, place: DENIED, connections=1)
        world.find_delay = lambda: 0.7
        world.should_end = end
        assert await world.run_once() is end
        assert (world.statuses(), world.charged()) == ({PENDING_STATUS: 40}, {})

    run(go())


VERDICTS = (SENT, SENT, SENT, GONE, DENIED, LATER, TOO_FAST, USED_UP, STRIKE, IN_DOUBT, NOT_TAKEN)


@settings(max_examples=150, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    count=st.integers(1, 40),
    routes=st.integers(1, 3),
    connections=st.integers(1, 4),
    window=st.sampled_from([1, 4, 16]),
)
def test_each_email_gets_one_decision_when_relays_say_anything(
    seed: int, count: int, routes: int, connections: int, window: int
) -> None:
    """The ledger in memory checks that each claim gets one decision, and that no outbox keeps an email."""

    async def go() -> None:
        rng = random.Random(seed)
        given_verdicts: dict[int, list[tuple[int, Verdict]]] = {}

        def script(number: int, place: int) -> Verdict:
            said = given_verdicts.setdefault(number, [])
            said.append((place, rng.choice(VERDICTS) if len(said) < 6 else SENT))
            return said[-1][1]

        world = World(count, script, routes=routes, connections=connections, window=window)
        await world.run_until_over()
        if not world.table.is_paused:
            assert PENDING_STATUS not in world.statuses()
        for number, row in world.table.rows.items():
            said = given_verdicts.get(number, [])
            outcomes = Counter(decision.outcome for decision in row.decisions if decision.outcome)
            verdicts = Counter(verdict.outcome.value for _, verdict in said)
            for outcome in (Outcome.SENT.value, Outcome.UNKNOWN.value):
                assert outcomes[outcome] == verdicts[outcome]
            places = [place for place, _ in said]
            doubts = [turn for turn, (_, verdict) in enumerate(said) if verdict is IN_DOUBT]
            if doubts:  # an attempt that is deferred after that leaves the doubt
                assert len(set(places[doubts[0] :])) == 1, "an email in doubt went over another relay"

    run(go())
