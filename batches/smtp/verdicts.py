"""What a relay's reply, or its silence, says about one message."""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

from batches.outcomes import Outcome, ReplyMeaning
from batches.smtp.replies import Reply


class Stage(Enum):
    """The SMTP command whose reply a message waits for. The value is for people."""

    CLEAR = "RSET"
    """RSET before a BDAT message: it ends what the message before may have left open."""
    MAIL = "MAIL"
    RCPT = "RCPT"
    DATA = "DATA"
    FINAL = "the message"
    RESET = "RSET after a refusal"
    CONNECT = "the connection"
    """The greeting and EHLO, before the first message."""
    LOGIN = "AUTH"

    # Each reply looks its stage up in a table, and Enum's own hash is written in Python. Members are singletons, so the
    # hash of their identity is correct.
    __hash__ = object.__hash__


class Verdict(NamedTuple):
    """The outcome of one message, the relay's code (0 without a reply), and the reply's text or our reason.

    ``meaning`` is what a refusal is about, or None. Unless it is the recipient or the content, the outcome is
    ``requeued``, and the relay is paused for ``wait_seconds`` (None: as long as the back-off says).
    ``is_recognised`` is false if no rule names the reply, so that it may as well be about everybody.
    ``is_strike`` says that the relay ended the connection because of this very message.
    """

    outcome: Outcome
    code: int
    reply: str
    meaning: ReplyMeaning | None = None
    wait_seconds: float | None = None
    is_recognised: bool = True
    is_strike: bool = False


def is_relay_error(stage: Stage, reply: Reply) -> bool:
    """Whether a refusal is about us or the relay, and not about this email: a 5xx to MAIL FROM or RSET.

    552 and 5.3.4 at MAIL answer its SIZE parameter (RFC 1870 section 6.1), so they are about the message.
    """
    is_about_size = reply.code == 552 or reply.text.startswith("5.3.4")
    return stage in (Stage.CLEAR, Stage.MAIL) and reply.code >= 500 and not is_about_size


def judge(stage: Stage, reply: Reply) -> Verdict:
    """Return the verdict on a message that the relay refused with this reply at this stage."""
    if is_relay_error(stage, reply):
        return Verdict(Outcome.REQUEUED, reply.code, reply.text)
    return Verdict(Outcome.DEFERRED if reply.code < 500 else Outcome.FAILED, reply.code, reply.text)


def judge_lost(stage: Stage, *, is_content_out: bool, reason: str) -> Verdict:
    """Return the verdict on a message whose connection was lost at this stage."""
    if is_content_out:
        return Verdict(Outcome.UNKNOWN, 0, f"{reason} The message was out, so the relay may have taken it.")
    if stage is Stage.MAIL:
        # The relay has said nothing about the message. Often an idle connection had just reached its time limit.
        return Verdict(Outcome.REQUEUED, 0, reason)
    return Verdict(Outcome.DEFERRED, 0, reason)
