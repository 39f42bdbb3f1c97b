"""A lane's connections to the relay: how many, opened when there is work, fewer when the relay is crowded.

A relay that says 421, or "too many connections", keeps those that it took and is asked for more later, one at
first. No email loses an attempt by it. A lane that gets none at all ends, and is rung again by the sweep: if
other lanes of its job have theirs, nothing is wrong; if none has, the job says why and waits. What crowds a
relay is SEND_CONNECTIONS for each worker: jobs do not give up connections to each other.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import Protocol

from batches.delivery.terms import LaneSpec
from batches.smtp.backend import Backend, open_backend
from batches.smtp.connection import Connection, Loss, Source
from batches.smtp.relay import RelayError, open_session

logger = logging.getLogger(__name__)

CONNECTION_RECOVERY_SECONDS = 10
"""After a 421 one more connection is dared in each such span, then two, then four, until one is refused."""

REOPEN_SECONDS = 2
"""After a failed opening, or a connection that delivered nothing, none is opened for this long."""


CLOSE_SECONDS = 2
"""How long to wait for the connections' end; the kernel does the rest."""


class Owner(Source, Protocol):
    """The lane, as its pool sees it."""

    def on_connected(self) -> None:
        """The relay takes our connections: pump, and the rest of them are opened."""

    def on_relay_error(self, reason: str, *, has_too_many_connections: bool) -> None:
        """No connection can be had: the relay takes no mail now, or only that of others."""


class Pool:
    """Up to ``target`` sessions. Only lives in its lane's loop."""

    def __init__(self, owner: Owner, spec: LaneSpec) -> None:
        self._owner, self._spec = owner, spec
        self._loop = asyncio.get_running_loop()
        self._openings: set[asyncio.Task[None]] = set()
        self._sessions: set[Connection] = set()
        self._reopen_at = 0.0
        self._target = spec.connections
        self._grow_at, self._grow_by = 0.0, 1
        self._has_connected = False
        self._is_closed = False
        self._is_one_gone = asyncio.Event()
        # With CHUNKING the window is spread over the connections.
        self._depth = max(2, -(-spec.window // spec.connections))

    def pump(self, ready_count: int) -> None:
        """Let the sessions take what is ready, and open more if there are fewer than that calls for."""
        for session in list(self._sessions):
            session.pump()
        if self._is_closed or self._loop.time() < self._reopen_at:
            return
        idle = sum(session.is_idle for session in self._sessions)
        missing = min(self._target - len(self._sessions), ready_count - idle) - len(self._openings)
        if not self._has_connected:
            missing = min(missing, 1 - len(self._openings))  # a relay that is away or full is asked once
        for _ in range(missing):
            task = self._loop.create_task(self._open())
            self._openings.add(task)
            task.add_done_callback(self._openings.discard)

    async def _open(self) -> None:
        try:
            session = await self._open_session()
        except RelayError as exc:
            self._openings.discard(asyncio.current_task())
            self._on_no_connection(str(exc), has_too_many_connections=exc.has_too_many_connections)
            return
        if self._is_closed:
            session.quit()
            return
        self._sessions.add(session)
        session.pump()
        if not self._has_connected:
            self._has_connected = True
            self._owner.on_connected()

    async def _open_session(self) -> Connection:
        relay, timeouts = self._spec.relay, self._spec.timeouts
        if isinstance(relay, Backend):
            return await open_backend(relay, source=self._owner, timeouts=timeouts)
        return await open_session(relay, source=self._owner, timeouts=timeouts, depth=self._depth)

    def _on_no_connection(self, reason: str, *, has_too_many_connections: bool) -> None:
        self._reopen_at = self._loop.time() + REOPEN_SECONDS
        if has_too_many_connections:
            self._shrink()
        if not self._sessions and not self._openings and not self._is_closed:
            self._owner.on_relay_error(reason, has_too_many_connections=has_too_many_connections)

    def on_session_lost(self, session: Connection, loss: Loss) -> None:
        """Forget a session that is gone; if it did no good and it was the last, the relay is in trouble."""
        self._sessions.discard(session)
        self._is_one_gone.set()
        if self._is_closed:
            return
        logger.info("A connection to %s ended: %s", self._spec.relay, loss.reason)
        if loss.is_relay_error:
            self._owner.on_relay_error(loss.reason, has_too_many_connections=False)
        elif not session.sent_count:
            # One that delivered may have used up what it was allowed: opening another will tell.
            self._on_no_connection(loss.reason, has_too_many_connections=loss.has_too_many_connections)

    def _shrink(self) -> None:
        self._target = max(1, len(self._sessions))
        self._grow_at, self._grow_by = self._loop.time() + CONNECTION_RECOVERY_SECONDS, 1
        logger.info("The relay is crowded: %s connections from now on.", self._target)

    def tick(self, seconds: float) -> None:
        """So much time has passed: cut sessions that wait too long; dare one more connection when it is time."""
        now = self._loop.time()
        for session in list(self._sessions):
            session.tick(seconds)
        if self._target < self._spec.connections and now > self._grow_at:
            self._target = max(self._target, len(self._sessions)) + self._grow_by
            self._target = min(self._target, self._spec.connections)
            self._grow_at, self._grow_by = now + CONNECTION_RECOVERY_SECONDS, self._grow_by * 2

    async def close(self, *, abort_reason: str = "") -> None:
        """End every connection and wait until they are gone.

        With a reason at once, whatever is in flight; else with a QUIT, and none may have anything in flight.
        """
        self._is_closed = True
        openings = list(self._openings)
        for task in openings:
            task.cancel()
        await asyncio.gather(*openings, return_exceptions=True)
        for session in list(self._sessions):
            if abort_reason:
                session.abort(Loss(reason=abort_reason))
            else:
                session.quit()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_SECONDS):
                while self._sessions:
                    self._is_one_gone.clear()
                    await self._is_one_gone.wait()
