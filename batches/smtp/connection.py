"""What all kinds of connections share: the message on its way, the events of their lane, and why they end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Generic, Protocol, TypeVar

from batches.smtp.replies import Reply
from batches.smtp.verdicts import Stage, Verdict

_MAIL = Stage.MAIL  # looked up once: finding a member of an enum searches its class

Tag = TypeVar("Tag")
"""What the caller keeps with a message. The lane keeps the email it claimed."""


class Outgoing(Generic[Tag]):
    """One message on its way: what SMTP needs of it, and how far it has come.

    ``tag`` is the caller's. ``sender`` is the address in MAIL FROM, as octets.
    """

    __slots__ = ("content", "has_dots", "is_8bit", "recipient", "refusal", "sender", "stage", "tag")

    def __init__(
        self, *, tag: Tag, sender: bytes, recipient: str, content: bytes, is_8bit: bool, has_dots: bool = True
    ) -> None:
        self.tag, self.sender, self.recipient = tag, sender, recipient
        self.content, self.is_8bit, self.has_dots = content, is_8bit, has_dots
        self.stage = _MAIL
        """The command whose reply the message waits for."""
        self.refusal: tuple[Stage, Reply] | None = None
        """The first refusal that the message met."""


class LaneEvents(Protocol[Tag]):
    """The lane, as its connections see it: it gives them messages and hears what became of each."""

    def take(self, capabilities: Capabilities) -> Outgoing[Tag] | None:
        """Return the next message, or None if there is none now. The connection is pumped when there is one again."""

    def may_send(self) -> bool:
        """Whether the lease still holds. A connection asks right before it writes a message's content."""

    def can_record(self) -> bool:
        """Whether PostgreSQL is there, so that what is sent can be recorded. The pool opens no connection otherwise."""

    def on_verdict(self, outgoing: Outgoing[Tag], verdict: Verdict) -> None:
        """Hear the verdict on a message that was taken. Each one gets exactly one verdict."""

    def on_connection_lost(self, connection: Connection, loss: Loss) -> None:
        """Hear that a connection is gone. Every message that it had taken has its verdict."""


class Connection(Protocol):
    """What a pool asks of a connection, whether it is a ``Session`` or a ``BackendSession``."""

    sent_count: int

    @property
    def answered_count(self) -> int:
        """How many messages the relay has answered: accepted, refused for their own sake, or ended the connection for.

        Unless there is one, the connection did no good, and another one would do none.
        """

    @property
    def is_idle(self) -> bool:
        """Whether no message is in flight."""

    def pump(self) -> None:
        """Take messages, and send as many as may be in flight."""

    def send_one_at_a_time(self) -> None:
        """From now on, write nothing of a message before the one before it is answered.

        For a relay that closes connections after refusals: what is in flight then would be in doubt.
        """

    def quit(self) -> None:
        """End politely. Only for an idle connection."""

    def abort(self, loss: Loss) -> None:
        """End at once. How far each message in flight has come decides its verdict."""

    def tick(self, seconds: float) -> None:
        """Note that this much time has passed, and abort if the other side has been silent for too long."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Loss:
    """Why a connection ended."""

    reason: str
    is_relay_error: bool = False
    """The email backend refused us, for every recipient. It would refuse another connection too."""
    has_too_many_connections: bool = False
    """The relay said 421. It may take mail over fewer connections."""
    follows_refusal: bool = False
    """The relay closed the connection right after it had refused a message, or refused the RSET that a refusal needs.

    The next connections should send one message at a time.
    """


@dataclass(frozen=True, kw_only=True, slots=True)
class Timeouts:
    """How long to wait for each reply, in seconds. The defaults are those of RFC 5321 section 4.5.3.2."""

    connect_seconds: float = 300
    command_seconds: float = 300
    final_seconds: float = 600


@dataclass(frozen=True, kw_only=True, slots=True)
class Capabilities:
    """What EHLO offered. Equal capabilities are one object, so that they can be compared by identity."""

    pipelining: bool = False
    chunking: bool = False
    eight_bit: bool = False
    smtputf8: bool = False
    size: bool = False
    size_max_bytes: int = 0
    """0: the relay named no limit (RFC 1870)."""

    @classmethod
    def of(cls, extensions: Mapping[str, str]) -> Capabilities:
        """Read the extensions of an EHLO reply: keyword, in lower case, to parameters."""
        size = extensions.get("size", "").strip()
        offered = cls(
            pipelining="pipelining" in extensions,
            # RFC 3030 section 2 allows pipelined BDAT only where the relay offers PIPELINING too.
            chunking="chunking" in extensions and "pipelining" in extensions,
            eight_bit="8bitmime" in extensions,
            smtputf8="smtputf8" in extensions,
            size="size" in extensions,
            size_max_bytes=int(size) if size.isdigit() else 0,
        )
        return _intern(offered)


@cache
def _intern(capabilities: Capabilities) -> Capabilities:
    return capabilities
