"""What a session and its callers have in common: the message on its way, whom it came from, how an end is told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Protocol

from batches.smtp.replies import Reply
from batches.smtp.verdicts import Stage, Verdict


class Outgoing:
    """One message on its way: what SMTP needs of it, and how far it has come. ``tag`` is the caller's."""

    __slots__ = ("content", "has_dots", "is_8bit", "recipient", "refusal", "sender", "stage", "tag")

    def __init__(
        self, *, tag: Any, sender: str, recipient: str, content: bytes, is_8bit: bool, has_dots: bool = True
    ) -> None:
        self.tag, self.sender, self.recipient = tag, sender, recipient
        self.content, self.is_8bit, self.has_dots = content, is_8bit, has_dots
        self.stage = Stage.MAIL
        """The command whose reply it waits for."""
        self.refusal: tuple[Stage, Reply] | None = None
        """The first refusal it met."""


class Source(Protocol):
    """Whom a session asks for messages and tells what became of them."""

    def take(self, capabilities: Capabilities) -> Outgoing | None:
        """The next message, or None if there is none now; the session is pumped when there is."""

    def may_send(self) -> bool:
        """Whether the lease still holds; asked right before a message's content is written."""

    def on_verdict(self, outgoing: Outgoing, verdict: Verdict) -> None:
        """Take the verdict on a message that was taken."""

    def on_session_lost(self, session: Connection, loss: Loss) -> None:
        """The connection is gone; every message it held has been settled."""


class Connection(Protocol):
    """What a pool asks of a session, here or of another kind (``backend.BackendSession``)."""

    sent_count: int

    @property
    def is_idle(self) -> bool:
        """Whether no message is in flight."""

    def pump(self) -> None:
        """Take messages and send as many as may be in flight."""

    def quit(self) -> None:
        """End politely; for an idle session."""

    def abort(self, loss: Loss) -> None:
        """End at once; what is in flight is settled by how far it came."""

    def tick(self, seconds: float) -> None:
        """So much time has passed: abort if the other side has been silent for too long."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Loss:
    """Why a connection ended."""

    reason: str
    is_relay_error: bool = False
    """A 5xx that speaks of us or the relay: another connection would fare no better."""
    has_too_many_connections: bool = False
    """A 421: fewer connections may do."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Timeouts:
    """How long to wait for each reply, in seconds (the defaults: RFC 5321 section 4.5.3.2)."""

    connect_seconds: float = 300
    command_seconds: float = 300
    final_seconds: float = 600


@dataclass(frozen=True, kw_only=True, slots=True)
class Capabilities:
    """What EHLO offered: one object for all relays that offer the same."""

    pipelining: bool = False
    chunking: bool = False
    eight_bit: bool = False
    smtputf8: bool = False
    size: bool = False
    size_max_bytes: int = 0
    """0: no limit was named (RFC 1870)."""

    @classmethod
    def of(cls, extensions: Mapping[str, str]) -> Capabilities:
        """From EHLO's lines: keyword, lower case, to parameters."""
        size = extensions.get("size", "").strip()
        found = cls(
            pipelining="pipelining" in extensions,
            # RFC 3030 section 2 lets BDAT be pipelined only where PIPELINING is offered too.
            chunking="chunking" in extensions and "pipelining" in extensions,
            eight_bit="8bitmime" in extensions,
            smtputf8="smtputf8" in extensions,
            size="size" in extensions,
            size_max_bytes=int(size) if size.isdigit() else 0,
        )
        return _same(found)


@cache
def _same(capabilities: Capabilities) -> Capabilities:
    """One object for all that are equal, so that they can be compared by identity."""
    return capabilities
