"""The listening side: connections, the record, the state of the rules, and the control socket."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import random
import re
import ssl
from collections import deque
from pathlib import Path
from typing import Any

from tests.smtpserver.behaviour import Behaviour, Rule, address_rule
from tests.smtpserver.certificate import write_certificate
from tests.smtpserver.dialogue import Dialogue
from tests.smtpserver.record import Recorder
from tests.smtpserver.session import Session


@dataclasses.dataclass(kw_only=True, slots=True)
class Stats:
    """The server's counters."""

    connections: int = 0
    connections_open: int = 0
    connections_peak: int = 0
    commands: int = 0
    accepted: int = 0
    strikes: int = 0
    """How often the fault of a rule or of an address was carried out."""
    greylisted: int = 0
    logins: int = 0
    clear_logins: int = 0
    """Logins without TLS."""
    injections: int = 0
    """Connections on which replies were added in the clear before TLS."""
    early_commands: int = 0
    """Commands that came before the reply to the previous one, although PIPELINING was not offered."""
    early_contents: int = 0
    """Messages whose content began before the 354."""
    bare_newlines: int = 0
    """Messages with a CR or an LF alone."""
    undeclared_eightbit: int = 0
    """Messages with octets above 127 without BODY=8BITMIME or SMTPUTF8."""
    long_lines: int = 0
    """Messages with a line of more than 998 octets; counted only if the server keeps messages."""


class Listener:
    """A recording SMTP server in the running event loop. Start it with ``async with Listener(...) as server``."""

    def __init__(
        self,
        behaviour: Behaviour | None = None,
        *,
        record: Path | None = None,
        port: int = 0,
        keep_raw: bool = False,
        fsync: bool = False,
        certificate: Path | None = None,
    ) -> None:
        self.behaviour = behaviour or Behaviour()
        self.port = port
        self.recorder = Recorder(record, fsync=fsync, keep_raw=keep_raw)
        self.certificate = certificate
        self.stats = Stats()
        self.sessions: set[Session] = set()
        self.unanswered: dict[Session, None] = {}
        self.struck: set[tuple[Rule, str]] = set()
        self.strikes: dict[Rule, int] = {}
        self.spared: dict[Rule, deque[float]] = {}
        self.first_seen: dict[str, float] = {}
        self.closed_in_blackhole: list[Session] = []
        self.next_slot = 0.0
        self.server: asyncio.Server | None = None
        self.tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Listener:
        self.loop = asyncio.get_running_loop()
        self.context = write_certificate(self.certificate) if self.certificate else None
        self.configure(self.behaviour)
        await self.listen()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.unlisten()
        for session in list(self.sessions):
            if session.transport is not None:
                session.transport.abort()
        self.recorder.close()

    # --- Behaviour -------------------------------------------------------------------------------------

    def configure(self, behaviour: Behaviour) -> None:
        """Replace the behaviour. The state of the rules (once, limit, greylist) is kept."""
        self.behaviour = behaviour
        self.random = random.Random(behaviour.seed)
        self.rules: dict[str, list[tuple[Rule, re.Pattern[str]]]] = {}
        for rule in behaviour.rules:
            self.rules.setdefault(rule.stage, []).append((rule, re.compile(rule.recipient)))
        if not behaviour.blackhole:
            closed_in_blackhole, self.closed_in_blackhole = self.closed_in_blackhole, []
            for session in [*self.sessions, *closed_in_blackhole]:
                session.end_blackhole()

    async def apply(self, behaviour: Behaviour) -> None:
        """Replace the behaviour, and open or close the listening socket."""
        self.configure(behaviour)
        if behaviour.refuse:
            await self.unlisten()
        else:
            await self.listen()

    def strike(self, session: Session, stage: str, *, recipient: str) -> Rule | None:
        """Return the rule that strikes now, if one does."""
        for rule, pattern in self.rules.get(stage, ()):
            if pattern.match(recipient) and self.hits(rule, who=recipient or str(session.number)):
                return rule
        if recipient and self.behaviour.address_faults:
            asked = address_rule(recipient)
            if asked is not None and asked.stage == stage and self.hits(asked, who=recipient):
                return asked
        return None

    def hits(self, rule: Rule, *, who: str) -> bool:
        """Return whether a rule strikes now, and count the strike."""
        if rule.once and (rule, who) in self.struck:
            return False
        if rule.limit and self.strikes.get(rule, 0) >= rule.limit:
            return False
        if self.stats.accepted < rule.after or self.is_spared(rule):
            return False
        if rule.probability < 1 and self.random.random() >= rule.probability:
            return False
        if rule.once:
            self.struck.add((rule, who))
        self.strikes[rule] = self.strikes.get(rule, 0) + 1
        self.stats.strikes += 1
        return True

    def is_spared(self, rule: Rule) -> bool:
        """Return whether a rule that limits the rate allows this use of its stage, and count the use if so."""
        if not rule.above:
            return False
        spared, now = self.spared.setdefault(rule, deque()), self.loop.time()
        while spared and spared[0] <= now - rule.per_seconds:
            spared.popleft()
        if len(spared) >= rule.above:
            return False
        spared.append(now)
        return True

    def is_greylisted(self, recipient: str) -> bool:
        wait = self.behaviour.greylist_seconds
        if not wait:
            return False
        now = self.loop.time()
        is_early = now < self.first_seen.setdefault(recipient, now) + wait
        self.stats.greylisted += is_early
        return is_early

    # --- Connections -----------------------------------------------------------------------------------

    async def listen(self) -> None:
        if self.server is not None or self.behaviour.refuse:
            return
        context = self.context if self.behaviour.tls else None
        self.server = await self.loop.create_server(
            self.make_session, "127.0.0.1", self.port, ssl=context, backlog=1024, reuse_address=True
        )
        self.port = self.server.sockets[0].getsockname()[1]

    async def unlisten(self) -> None:
        if self.server is not None:
            self.server.close()
            self.server = None

    def make_session(self) -> Session:
        self.stats.connections += 1
        return Dialogue(self, number=self.stats.connections)

    def opened(self, session: Session) -> None:
        self.sessions.add(session)
        self.stats.connections_open = len(self.sessions)
        self.stats.connections_peak = max(self.stats.connections_peak, len(self.sessions))

    def closed(self, session: Session) -> None:
        self.sessions.discard(session)
        self.stats.connections_open = len(self.sessions)
        if session.waiting:
            self.closed_in_blackhole.append(session)

    def kick(self, reply: str = "") -> int:
        """Send a reply, such as a 421, on every connection, unasked, and close it. Return the number of connections."""
        sessions = list(self.sessions)
        for session in sessions:
            if reply:
                session.say(reply.encode())
            session.drop()
            session.flush()
        return len(sessions)

    def secure(self, session: Session) -> None:
        """Answer STARTTLS with 220 and start the handshake."""
        task = self.loop.create_task(self._secure(session))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def _secure(self, session: Session) -> None:
        assert self.context is not None, "Give the server a path for its certificate to offer STARTTLS."
        transport = session.transport
        assert transport is not None
        # Written directly and not through queue_replies: a delay could put this 220 after the start of the handshake.
        injected = self.behaviour.injected.encode()
        self.stats.injections += bool(injected)
        transport.write(b"220 2.0.0 Go ahead\r\n" + injected)
        try:
            upgraded = await self.loop.start_tls(transport, session, self.context, server_side=True)
        except (ssl.SSLError, OSError):
            transport.abort()
            return
        session.transport = upgraded
        session.is_secure = True

    # --- Accepting -------------------------------------------------------------------------------------

    def accept(self, session: Session, *, recipients: list[str], sender: str, content: bytes) -> None:
        """Record a message. Its reply leaves only after the record has been written: see ``queue_replies``."""
        stats, behaviour = self.stats, self.behaviour
        stats.accepted += 1
        newlines = content.count(b"\r\n")
        if newlines != content.count(b"\n") or newlines != content.count(b"\r"):
            stats.bare_newlines += 1
        if not content.isascii() and not (session.is_eightbit or session.is_utf8):
            stats.undeclared_eightbit += 1
        if self.recorder.keep_raw and any(len(line) > 998 for line in content.split(b"\r\n")):
            stats.long_lines += 1
        self.recorder.add(
            recipients=recipients, sender=sender, content=content, connection=session.number, port=session.client_port
        )
        if behaviour.rate:
            self.next_slot = max(self.next_slot, self.loop.time()) + 1 / behaviour.rate
            session.output_due = max(session.output_due, self.next_slot)

    def queue_replies(self, session: Session) -> None:
        """Release a connection's replies once the record is written. One write serves all messages of one loop turn."""
        if not self.unanswered:
            self.loop.call_soon(self.release_replies)
        self.unanswered[session] = None

    def release_replies(self) -> None:
        self.recorder.flush()
        unanswered, self.unanswered = self.unanswered, {}
        for session in unanswered:
            session.flush()

    # --- Control ---------------------------------------------------------------------------------------

    async def serve_control(self, path: Path) -> None:
        """Take orders on a unix socket, one line of JSON each, and answer each with the statistics.

        An order is ``{"behaviour": {...}}``, ``{"kick": "421 ..."}`` or ``{}``.
        """
        # The attribute keeps a reference: uvloop closes a server that has none.
        self.control = await asyncio.start_unix_server(self._control, path)

    async def _control(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            answer = await self._carry_out(json.loads(line))
            writer.write(json.dumps(answer).encode() + b"\n")
            await writer.drain()
        writer.close()

    async def _carry_out(self, order: dict[str, Any]) -> dict[str, Any]:
        if "behaviour" in order:
            await self.apply(Behaviour.load(order["behaviour"]))
        if "kick" in order:
            self.kick(order["kick"])
        self.release_replies()
        return dataclasses.asdict(self.stats)
