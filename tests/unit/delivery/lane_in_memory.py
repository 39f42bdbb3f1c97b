"""A lane run without services: its table of emails is in memory, its relays follow a script, its time is the loop's."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from batches.delivery.lane_run import LaneRun
from batches.delivery.pool import OpenConnection
from batches.delivery.terms import ClaimedEmail, Decision, LaneEnd
from batches.models import EmailStatus, sql
from batches.outcomes import Outcome, ReplyMeaning
from batches.smtp.backend import Backend
from batches.smtp.connection import Capabilities, Connection, LaneEvents, Loss, Outgoing, Timeouts
from batches.smtp.relay import RelayAddress, parse_relay
from batches.smtp.replies import Reply
from batches.smtp.verdicts import Stage, Verdict
from tests.unit.delivery.specs import ROUTE, SPEC, claim

OFFERED = Capabilities.of({"pipelining": "", "chunking": "", "8bitmime": ""})
RUNS_MAX = 400

SENT = Verdict(Outcome.SENT, 250, "2.0.0 Ok")
GONE = Verdict(Outcome.FAILED, 550, "5.1.1 User unknown", ReplyMeaning.RECIPIENT)
DENIED = Verdict(Outcome.FAILED, 554, "5.7.1 Not for you", is_recognised=False)
LATER = Verdict(Outcome.DEFERRED, 451, "4.7.9 Not now", is_recognised=False)
TOO_FAST = Verdict(Outcome.REQUEUED, 450, "4.7.1 Too fast", ReplyMeaning.RATE)
USED_UP = Verdict(Outcome.REQUEUED, 554, "5.2.0 Quota", ReplyMeaning.QUOTA, 30.0)
STRIKE = Verdict(Outcome.REQUEUED, 421, "4.7.0 Not this one", is_recognised=False, is_strike=True)
IN_DOUBT = Verdict(Outcome.UNKNOWN, 0, "The connection was lost.")
NOT_TAKEN = Verdict(Outcome.REQUEUED, 0, "The connection was lost.")

Script = Callable[[int, int], Verdict]
"""The verdict on an email, by its id and the place of its route."""


@dataclass
class Row:
    """An email as the table has it."""

    attempts: int = 0
    status: str = EmailStatus.PENDING.value
    due_at: float = 0.0
    pin: int | None = None
    """The route that alone may carry it."""
    decisions: list[Decision] = field(default_factory=list)


@dataclass
class Pause:
    until: float
    failure_count: int


class Cursor:
    def __init__(self, rows: list[tuple[Any, ...]]) -> None:
        self.rows = rows

    async def fetchall(self) -> list[tuple[Any, ...]]:
        return self.rows


class Table:
    """The emails of one job, and the pauses of its relays. It outlives lane runs."""

    def __init__(self, count: int, *, clock: Callable[[], float]) -> None:
        self.rows = {number: Row() for number in range(1, count + 1)}
        self.clock = clock
        self.pauses: dict[int, Pause] = {}
        self.is_paused = False
        self.retry_at = 0.0
        self.sentences: list[str] = []
        self.sent_count = 0

    def execute(self, statement: str, arguments: Mapping[str, Any]) -> list[tuple[Any, ...]]:
        now = self.clock()
        if statement is sql.PAUSE_RELAY:
            before = self.pauses.get(arguments["relay"])
            count = before.failure_count + 1 if before is not None else 1
            wait = arguments["wait_seconds"] or min(arguments["cap_seconds"], 2.0 ** (count - 1))
            self.pauses[arguments["relay"]] = Pause(now + wait, count)
            return [(wait, count)]
        if statement is sql.NOTE_SUCCESS:
            for relay in arguments["relays"]:
                if relay in self.pauses and self.pauses[relay].until <= now:
                    del self.pauses[relay]
        elif statement is sql.REPORT_WAIT:
            self.sentences.append(arguments["sentence"])
            self.retry_at = now + arguments["seconds"]
        elif statement is sql.PAUSE_JOB:
            self.sentences.append(arguments["sentence"])
            self.is_paused, self.refusal = True, arguments["refusal"]
        elif statement is sql.HAS_JOB_SENT:
            return [(self.sent_count > 0,)]
        return []


class MemoryLedger:
    """What a lane run asks of its ledger, over a table in memory. It checks that each decision is about a claim."""

    def __init__(self, table: Table, route_count: int, *, clock: Callable[[], float]) -> None:
        self.table, self._places, self._clock = table, range(route_count), clock
        self.space, self.space_returns_at = 10**9, 0.0
        self.in_flight: dict[int, ClaimedEmail] = {}
        self._decisions: list[Decision] = []
        self.is_halted = self.is_dry = False
        self.is_up, self.deadline = True, float("inf")
        self.space_at: float | None = None
        self.space_sentence = ""
        self._turn = 0

    def add(self, decision: Decision) -> None:
        assert decision.email_id in self.in_flight, "a decision about an email that is not in flight"
        assert all(each.email_id != decision.email_id for each in self._decisions), "two decisions about one claim"
        self._decisions.append(decision)

    @property
    def decision_count(self) -> int:
        return len(self._decisions)

    @property
    def undecided_count(self) -> int:
        return len(self.in_flight) - len(self._decisions)

    async def cycle(self, places: int, usable: Sequence[int] | None = None) -> list[ClaimedEmail]:
        open_places = list(self._places if usable is None else usable)
        recording, self._decisions = self._decisions, []
        if self._clock() >= self.space_returns_at:
            self.space = 10**9
        asked, places = places, min(places, self.space)
        due = self._find_due(places, open_places)  # one snapshot: before the decisions are recorded
        await asyncio.sleep(0)
        for decision in recording:
            self._record(decision)
        claimed = [self._claim(number, open_places) for number in due]
        self.is_halted = self.table.is_paused
        self.space -= len(claimed)
        is_full = asked > places == len(claimed)
        self.space_at = self.space_returns_at if is_full else None
        self.space_sentence = "The limit is used up." if is_full else ""
        if len(claimed) < places and not claimed:
            self.is_dry = True
        elif claimed:
            self.is_dry = False
        return claimed

    def _find_due(self, places: int, open_places: list[int]) -> list[int]:
        if not open_places or self.table.is_paused:
            return []
        now = self.table.clock()
        due = [
            (row.due_at, number)
            for number, row in self.table.rows.items()
            if number not in self.in_flight
            and row.status == EmailStatus.PENDING
            and row.due_at <= now
            and (row.pin is None or row.pin in open_places)
        ]
        return [number for _, number in sorted(due)[:places]]

    def _claim(self, number: int, open_places: list[int]) -> ClaimedEmail:
        row = self.table.rows[number]
        claimed = claim(number)
        claimed.attempts = row.attempts + 1
        self._turn += 1
        claimed.route = row.pin if row.pin is not None else open_places[self._turn % len(open_places)]
        self.in_flight[number] = claimed
        return claimed

    def _record(self, decision: Decision) -> None:
        claimed, row = self.in_flight.pop(decision.email_id), self.table.rows[decision.email_id]
        row.decisions.append(decision)
        row.status, row.attempts = decision.status, row.attempts + bool(decision.outcome)
        row.due_at = self.table.clock() + decision.delay_seconds
        self.table.sent_count += decision.outcome == Outcome.SENT.value
        is_in_doubt = decision.outcome == Outcome.UNKNOWN.value and decision.status == EmailStatus.PENDING
        if is_in_doubt:
            row.pin = claimed.route
        elif decision.status != EmailStatus.PENDING:  # a later attempt that is deferred leaves the doubt
            row.pin = None

    async def execute(self, statement: str, arguments: Mapping[str, Any]) -> Cursor:
        await asyncio.sleep(0)
        return Cursor(self.table.execute(statement, arguments))

    async def read_snapshot_row(self) -> None:
        return None

    async def count_lanes(self) -> int:
        return 1

    async def release(self, *, wait_seconds: float = 0) -> None:
        assert not self.in_flight, "the lane was released with emails in flight"

    async def find_pinned(self, usable: Sequence[int]) -> None:
        """Nothing else looks at the table's retries when the lane has ended, so it need not be told why they wait."""

    async def report_relay_error(self, error: str, *, has_too_many_connections: bool) -> None:
        self.table.sentences.append(error)

    async def close(self) -> None: ...


class ScriptedConnection:
    """Give each message the verdict of the script, one after another. A strike and a doubt end the connection."""

    def __init__(self, lane: LaneEvents[ClaimedEmail], world: World, place: int) -> None:
        self.lane, self.world, self.place = lane, world, place
        self.sent_count = self.answered_count = 0
        self.outgoing: Outgoing[ClaimedEmail] | None = None
        self.is_over = False

    @property
    def is_idle(self) -> bool:
        return self.outgoing is None

    def pump(self) -> None:
        if self.outgoing is not None or self.is_over:
            return
        self.outgoing = self.lane.take(OFFERED)
        if self.outgoing is not None:
            self.world.carried.append((self.outgoing.tag.id, self.place))
            # The relay reads at once what the connection writes, and answers later.
            verdict = self.world.script(self.outgoing.tag.id, self.place)
            asyncio.get_running_loop().call_later(self.world.find_delay(), self.answer, verdict)

    def answer(self, verdict: Verdict) -> None:
        outgoing, self.outgoing = self.outgoing, None
        if outgoing is None:
            return
        if verdict.code >= 400:
            stage = Stage.MAIL if "MAIL" in verdict.reply else Stage.RCPT
            outgoing.refusal = None if verdict.is_strike else (stage, Reply(verdict.code, verdict.reply.encode()))
        self.sent_count += verdict.outcome is Outcome.SENT
        self.answered_count += verdict.is_strike or verdict.outcome not in (Outcome.REQUEUED, Outcome.UNKNOWN)
        self.lane.on_verdict(outgoing, verdict)
        if verdict.is_strike or not verdict.code:
            self.abort(Loss(reason=verdict.reply))
        else:
            self.pump()

    def send_one_at_a_time(self) -> None: ...

    def quit(self) -> None:
        self.abort(Loss(reason="We closed the connection."))

    def abort(self, loss: Loss) -> None:
        if not self.is_over:
            self.is_over = True
            self.lane.on_connection_lost(self, loss)

    def tick(self, seconds: float) -> None: ...


class World:
    """A job with relays that follow a script, sent by as many lane runs as it takes."""

    def __init__(self, count: int, script: Script, *, routes: int = 1, connections: int = 4, window: int = 16) -> None:
        self.script, self.window = script, window
        self.find_delay: Callable[[], float] = lambda: 0.001
        """How many seconds the relay takes for its next answer."""
        self.loop_time = asyncio.get_running_loop().time
        self.table = Table(count, clock=self.loop_time)
        self.carried: list[tuple[int, int]] = []
        """The ids of the messages in the order in which they went out, each with the place of its route."""
        self.ends: list[LaneEnd] = []
        self.routes = tuple(
            replace(
                ROUTE,
                relay_id=place + 1,
                name=f"relay{place}",
                address=parse_relay(f"smtp://127.0.0.1:{2500 + place}"),
                connections=connections,
            )
            for place in range(routes)
        )
        self.lane_run: LaneRun | None = None
        self.should_end: LaneEnd | None = None
        self.space, self.space_returns_at = 10**9, 0.0
        """How many emails a quota lets the lane claim before the time at which it has space again."""

    def make_opener(self) -> OpenConnection:
        async def open_connection(
            relay: RelayAddress | Backend,
            *,
            lane: LaneEvents[ClaimedEmail],
            timeouts: Timeouts,
            depth: int,
            closes_after_refusals: bool,
        ) -> Connection:
            place = next(place for place, route in enumerate(self.routes) if route.address == relay)
            return ScriptedConnection(lane, self, place)

        return open_connection

    async def run_once(self, **changes: Any) -> LaneEnd:
        """Run the lane once. ``changes`` are fields of its spec."""
        ledger = MemoryLedger(self.table, len(self.routes), clock=self.loop_time)
        ledger.space, ledger.space_returns_at = self.space, self.space_returns_at
        now = self.loop_time()
        pauses = [self.table.pauses.get(route.relay_id, Pause(0.0, 0)) for route in self.routes]
        routes = tuple(
            replace(route, paused_seconds=max(route.paused_seconds, pause.until - now))
            for route, pause in zip(self.routes, pauses, strict=True)
        )
        spec = replace(SPEC, routes=routes, window=self.window, **changes)
        self.lane_run = LaneRun(
            spec,
            ledger,  # type: ignore[arg-type]  # a ledger in memory
            publish=_publish,
            should_end=lambda: self.should_end,
            open_connection=self.make_opener(),
            clock=self.loop_time,
        )
        end = await self.lane_run.run()
        assert not any(route.outbox for route in self.lane_run._routes.all), "an email stayed in an outbox"
        self.ends.append(end)
        return end

    async def run_until_over(self, **changes: Any) -> None:
        """Run the lane again and again, as the sweep does, until no email is pending or the job is paused."""
        for _ in range(RUNS_MAX):
            await self.run_once(**changes)
            pending = [row for row in self.table.rows.values() if row.status == EmailStatus.PENDING]
            if not pending or self.table.is_paused:
                return
            next_at = max(min(row.due_at for row in pending), self.table.retry_at, self.loop_time() + 2)
            await asyncio.sleep(next_at - self.loop_time())
        raise AssertionError(f"The job does not end. Its ends: {self.ends[-10:]}")

    def statuses(self) -> dict[str, int]:
        found = [row.status for row in self.table.rows.values()]
        return {status: found.count(status) for status in sorted(set(found))}

    def charged(self) -> dict[int, int]:
        """The attempts of each email that has any."""
        return {number: row.attempts for number, row in self.table.rows.items() if row.attempts}


async def _publish(row: sql.SnapshotRow) -> None: ...
