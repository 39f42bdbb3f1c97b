"""A lane's connections to one relay: opened when there is work, and fewer when the relay refuses some.

A relay that says 421, or "too many connections", keeps the connections that it accepted. Later it is asked for more:
one at first. No email loses an attempt by it. A lane that gets no connection at all ends, and the sweep enqueues it
again. If other lanes of its job have connections, nothing is wrong; if none has, the job says why and waits.

SEND_CONNECTIONS for each worker is what the relay has to bear. Lanes do not give up connections to each other.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Sized
from typing import Protocol

from batches.delivery.spec import LaneSpec, RouteSpec
from batches.delivery.terms import ClaimedEmail
from batches.outcomes import ReplyMeaning
from batches.smtp.backend import Backend, open_backend
from batches.smtp.connection import Connection, LaneEvents, Loss, Timeouts
from batches.smtp.relay import RelayAddress, RelayError, open_session

logger = logging.getLogger(__name__)

CONNECTION_RECOVERY_SECONDS = 10
"""After a 421, one more connection is tried in each interval of this length, then two, then four, until one is
refused."""

REOPEN_SECONDS = 2
"""After a connection that could not be opened, or delivered nothing, none is opened for this long."""

CLOSE_SECONDS = 2
"""How long to wait for the connections to end. After that the kernel ends them with the process."""


class OpenConnection(Protocol):
    """Opens a connection that is ready for its first message; raises ``RelayError`` if none can be had."""

    def __call__(
        self,
        relay: RelayAddress | Backend,
        *,
        lane: LaneEvents[ClaimedEmail],
        timeouts: Timeouts,
        depth: int,
        closes_after_refusals: bool,
    ) -> Awaitable[Connection]: ...


class PoolOwner(LaneEvents[ClaimedEmail], Protocol):
    """The route, as its pool sees it."""

    def on_relay_down(self, error: RelayError) -> None:
        """Hear that no connection can be had: the relay accepts no mail now, or only other senders' mail."""


async def open_connection(
    relay: RelayAddress | Backend,
    *,
    lane: LaneEvents[ClaimedEmail],
    timeouts: Timeouts,
    depth: int,
    closes_after_refusals: bool,
) -> Connection:
    """Open a session with the relay, or with the email backend that takes its place.

    Raises:
        RelayError: no connection can be had.
    """
    if isinstance(relay, Backend):
        return await open_backend(relay, lane=lane, timeouts=timeouts)
    return await open_session(
        relay, lane=lane, timeouts=timeouts, depth=depth, closes_after_refusals=closes_after_refusals
    )


class Pool:
    """The connections of one lane, in the lane's event loop.

    The length of ``outbox`` is the number of messages that wait for a connection.
    """

    def __init__(
        self,
        spec: LaneSpec,
        route: RouteSpec,
        *,
        lane: PoolOwner,
        outbox: Sized,
        clock: Callable[[], float],
        open_connection: OpenConnection = open_connection,
    ) -> None:
        self._route, self._timeouts, self._lane, self._outbox = route, spec.timeouts, lane, outbox
        self._clock, self._open_connection = clock, open_connection
        self._openings: set[asyncio.Task[None]] = set()
        self._connections: set[Connection] = set()
        self._leaving: set[Connection] = set()  # those that have said QUIT
        self._reopen_at = 0.0
        self._target = route.connections
        self._grow_at, self._grow_by = 0.0, 1
        self._is_accepted = False
        self._is_closed = self._is_paused = self._is_probing = False
        self.closes_after_refusals = route.closes_after_refusals
        self._is_one_gone = asyncio.Event()
        # With CHUNKING, the window is spread over the connections.
        self._depth = max(2, -(-spec.window // route.connections))

    def pump(self) -> None:
        """Let the connections take what is ready, and open more if there is work for them."""
        ready_count = len(self._outbox)
        for connection in list(self._connections):
            connection.pump()
        if self._is_closed or self._is_paused or self._clock() < self._reopen_at or not self._lane.can_record():
            return
        for _ in range(self._count_missing(ready_count)):
            task = asyncio.get_running_loop().create_task(self._open())
            self._openings.add(task)
            task.add_done_callback(self._openings.discard)

    def _count_missing(self, ready_count: int) -> int:
        """Count the connections to open: one for each message that was ready and that no idle connection takes.

        The target bounds them.
        """
        idle = sum(connection.is_idle for connection in self._connections)
        target = 1 if self._is_probing else self._target
        missing = min(target - len(self._connections), ready_count - idle) - len(self._openings)
        if not self._is_accepted:
            # Ask a relay that is away, or has too many connections, only once: not with all connections at a time.
            # Otherwise some opening would always be under way, and the lane would not hear that all of them fail.
            missing = min(missing, 1 - len(self._openings))
        return missing

    async def _open(self) -> None:
        try:
            connection = await self._open_connection(
                self._route.address,
                lane=self._lane,
                timeouts=self._timeouts,
                depth=self._depth,
                closes_after_refusals=self.closes_after_refusals,
            )
        except Exception as exc:
            self._forget_opening()
            self._on_no_connection(exc if isinstance(exc, RelayError) else self._explain_fault(exc))
            return
        self._forget_opening()
        if self._is_closed or self._is_paused:
            connection.quit()
            return
        self._connections.add(connection)
        self._is_accepted = True
        if self.closes_after_refusals:  # perhaps learned while this connection was being opened
            connection.send_one_at_a_time()
        connection.pump()
        self.pump()  # The relay accepts us, so this connection takes messages and the others are opened.

    def _explain_fault(self, exc: Exception) -> RelayError:
        """Make a relay error of a fault of ours. Lost in this task, it would stop the mail without a word."""
        logger.exception("A connection to %s could not be opened.", self._route.address, exc_info=exc)
        kind = type(exc).__name__
        return RelayError(f"The relay {self._route.name} can't be used ({kind}). The worker's log says why.")

    def _forget_opening(self) -> None:
        """Count the current task no longer as an opening, although it still has to act on what it opened."""
        self._openings.discard(asyncio.current_task())

    def _on_no_connection(self, error: RelayError) -> None:
        self._reopen_at = self._clock() + REOPEN_SECONDS
        if error.has_too_many_connections:
            self._shrink()
        if self._connections:
            return
        self._is_accepted = False
        if not (self._openings or self._is_closed or self._is_paused):
            self._lane.on_relay_down(error)

    def note_closing_after_refusal(self) -> None:
        """Send one message at a time from now on, over the open connections too."""
        self.closes_after_refusals = True
        for connection in self._connections:
            connection.send_one_at_a_time()

    def on_connection_lost(self, connection: Connection, loss: Loss) -> None:
        """Forget a connection that is gone. Tell the route if the relay accepts no mail."""
        self._connections.discard(connection)
        self._leaving.discard(connection)
        self._is_one_gone.set()
        if self._is_closed or self._is_paused:
            return
        logger.info("A connection to %s ended: %s", self._route.address, loss.reason)
        if not self._connections:
            # Begin no opening beside those that are under way. Otherwise the lane would hear of a silent relay only
            # after as long as two openings take.
            self._is_accepted = False
            if not self._openings:
                # Ask at once, even if an opening failed a moment ago: only its answer tells why no mail goes out.
                self._reopen_at = 0.0
        if loss.is_relay_error:
            self._lane.on_relay_down(RelayError(loss.reason, meaning=ReplyMeaning.POLICY))
        elif not connection.answered_count:
            # A connection that delivered may have reached the relay's limit for one connection: another may do.
            self._on_no_connection(RelayError(loss.reason, has_too_many_connections=loss.has_too_many_connections))
        self.pump()  # The other connections take the messages that this one did not send.

    def pause(self) -> None:
        """Open no more connections, and end each one when nothing is in flight on it."""
        self._is_paused = True
        with contextlib.suppress(RuntimeError):  # no loop: the lane run begins with a pause
            # Not at once: a connection may be calling this while it still has replies to read.
            asyncio.get_running_loop().call_soon(self._quit_idle)

    def resume(self) -> None:
        """Open one connection, and more after ``end_probe``."""
        self._is_paused, self._is_accepted, self._is_probing = False, False, True
        self._reopen_at = 0.0

    def end_probe(self) -> None:
        """Open as many connections as there is work for."""
        self._is_probing = False

    def _quit_idle(self) -> None:
        if self._is_paused and not self._is_closed:
            for connection in [each for each in self._connections - self._leaving if each.is_idle]:
                self._leaving.add(connection)
                connection.quit()

    def _shrink(self) -> None:
        self._target = max(1, len(self._connections))
        self._grow_at, self._grow_by = self._clock() + CONNECTION_RECOVERY_SECONDS, 1
        logger.info("The relay has too many connections; %s of ours from now on.", self._target)

    def _grow_if_due(self) -> None:
        now = self._clock()
        if self._target >= self._route.connections or now <= self._grow_at:
            return
        self._target = min(max(self._target, len(self._connections)) + self._grow_by, self._route.connections)
        self._grow_at, self._grow_by = now + CONNECTION_RECOVERY_SECONDS, self._grow_by * 2

    def tick(self, seconds: float) -> None:
        """Note that this much time has passed: drop connections that wait too long, and try more when that is due."""
        for connection in list(self._connections):
            connection.tick(seconds)
        self._quit_idle()
        self._grow_if_due()

    async def close(self, *, abort_reason: str = "") -> None:
        """End every connection, and wait until each is gone.

        With a reason, abort them at once, whatever is in flight. Otherwise say QUIT; then nothing may be in flight.
        """
        self._is_closed = True
        openings = list(self._openings)
        for task in openings:
            task.cancel()
        await asyncio.gather(*openings, return_exceptions=True)
        for connection in list(self._connections):
            if abort_reason:
                connection.abort(Loss(reason=abort_reason))
            elif connection not in self._leaving:
                connection.quit()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_SECONDS):
                while self._connections:
                    self._is_one_gone.clear()
                    await self._is_one_gone.wait()
