"""What a relay's reply, or its silence, says of one message."""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

from batches.outcomes import Outcome
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


class Verdict(NamedTuple):
    """The outcome of one message, the relay's code (0 without a reply), and the reply's text or our reason."""

    outcome: Outcome
    code: int
    reply: str


def is_relay_error(stage: Stage, reply: Reply) -> bool:
    """Whether a refusal speaks of us or the relay and not of this email: a 5xx to MAIL FROM or RSET.

    552 and 5.3.4 at MAIL answer its SIZE (RFC 1870 section 6.1), so they speak of the message.
    """
    is_size = reply.code == 552 or reply.text.startswith("5.3.4")
    return stage in (Stage.CLEAR, Stage.MAIL) and reply.code >= 500 and not is_size


def judge(stage: Stage, reply: Reply) -> Verdict:
    """The verdict on a message that was refused with this reply at this stage."""
    if is_relay_error(stage, reply):
        return Verdict(Outcome.REQUEUED, reply.code, reply.text)
    return Verdict(Outcome.DEFERRED if reply.code < 500 else Outcome.FAILED, reply.code, reply.text)


def judge_lost(stage: Stage, *, is_content_out: bool, reason: str) -> Verdict:
    """The verdict on a message whose connection was lost at this stage."""
    if is_content_out:
        return Verdict(Outcome.UNKNOWN, 0, f"{reason} The message was out, so the relay may have taken it.")
    if stage is Stage.MAIL:
        return Verdict(Outcome.REQUEUED, 0, reason)  # nothing was said of it: often an idle connection's end
    return Verdict(Outcome.DEFERRED, 0, reason)
