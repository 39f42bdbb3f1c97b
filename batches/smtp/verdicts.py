"""What a relay's reply, or its silence, says of one message."""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

from batches.smtp.replies import Reply


class Stage(Enum):
    """Which command's reply a transaction waits for; the value is for people."""

    CLEAR = "RSET"
    """Before a BDAT message: what the one before may have left open is dropped."""
    MAIL = "MAIL"
    RCPT = "RCPT"
    DATA = "DATA"
    FINAL = "the message"
    RESET = "RSET after a refusal"


class Verdict(Enum):
    """What became of one message."""

    SENT = "sent"
    """The relay took it: a 2xx after the message."""
    DEFERRED = "deferred"
    """Not now: a 4xx, or the connection was lost before the message was complete."""
    FAILED = "failed"
    """Never: a 5xx for the recipient or the content."""
    UNKNOWN = "unknown"
    """The whole message went out and no reply came: accepted or not, nobody can know."""
    RETURNED = "returned"
    """It was not its turn: the relay's trouble, which costs the email no attempt."""


class Delivery(NamedTuple):
    """A verdict with the relay's code, or 0 where there was no reply, and its text or our reason."""

    verdict: Verdict
    code: int
    reply: str


def is_relay_trouble(stage: Stage, reply: Reply) -> bool:
    """Whether a refusal speaks of us or the relay and not of this email: a 5xx to MAIL FROM or RSET.

    552 and 5.3.4 at MAIL answer its SIZE (RFC 1870 section 6.1), so they speak of the message.
    """
    is_size = reply.code == 552 or reply.text.startswith("5.3.4")
    return stage in (Stage.CLEAR, Stage.MAIL) and reply.code >= 500 and not is_size


def judge(stage: Stage, reply: Reply) -> Delivery:
    """The verdict on a message that was refused with this reply at this stage."""
    if is_relay_trouble(stage, reply):
        return Delivery(Verdict.RETURNED, reply.code, reply.text)
    return Delivery(Verdict.DEFERRED if reply.code < 500 else Verdict.FAILED, reply.code, reply.text)


def judge_lost(stage: Stage, *, is_content_out: bool, reason: str) -> Delivery:
    """The verdict on a message whose connection was lost at this stage."""
    if is_content_out:
        return Delivery(Verdict.UNKNOWN, 0, f"{reason} The message was out, so the relay may have taken it.")
    if stage is Stage.MAIL:
        return Delivery(Verdict.RETURNED, 0, reason)  # nothing was said of it: often an idle connection's end
    return Delivery(Verdict.DEFERRED, 0, reason)
