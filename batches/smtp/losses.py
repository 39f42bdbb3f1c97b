"""What the end of a connection means for each message that was in flight on it.

Nothing is guessed. A message is in doubt if its content was written and the relay has not answered it, whatever the
relay said to the messages before it. The exception is a 421: it says that the relay processes nothing that follows.
"""

from __future__ import annotations

from typing import Any

from batches.outcomes import Outcome
from batches.smtp.connection import Loss, Outgoing
from batches.smtp.replies import Reply
from batches.smtp.verdicts import Stage, Verdict, judge

_ENVELOPE_STAGES = (Stage.RCPT, Stage.DATA)


def judge_lost(outgoing: Outgoing[Any], *, is_content_out: bool, reason: str) -> Verdict:
    """Return the verdict on a message whose connection was lost without a 421. ``reason`` is a sentence.

    If the relay had accepted its MAIL and was to get its content later, the loss is a strike: it may be about this
    message. The relay cannot have taken it.
    """
    refusal = outgoing.refusal
    if refusal is not None and refusal[0] is not Stage.CLEAR:
        return judge(*refusal)
    if is_content_out:
        return Verdict(Outcome.UNKNOWN, 0, f"{reason} The message was out, so the relay may have taken it.")
    return Verdict(Outcome.REQUEUED, 0, reason, is_strike=outgoing.stage in _ENVELOPE_STAGES)


def judge_closed(outgoing: Outgoing[Any], *, closing_reply: Reply | None, reason: str) -> Verdict:
    """Return the verdict on a message that was in flight when the relay said 421.

    ``closing_reply`` is the 421 if it came in place of a reply to this message, otherwise None. The relay processes
    nothing that follows a 421 (RFC 5321 section 3.8), so no message is in doubt.
    """
    refusal = outgoing.refusal
    if refusal is not None and refusal[0] is not Stage.CLEAR:
        return judge(*refusal)
    if closing_reply is None:
        return Verdict(Outcome.REQUEUED, 0, reason)
    if is_struck(outgoing):
        return judge(outgoing.stage, closing_reply)._replace(outcome=Outcome.REQUEUED, is_strike=True)
    verdict = judge(Stage.MAIL, closing_reply)
    if verdict.is_recognised and verdict.meaning is not None:
        return verdict._replace(outcome=Outcome.REQUEUED)
    # Often the relay's limit for one connection, or an idle connection that it was about to close.
    return Verdict(Outcome.REQUEUED, 0, reason)


def explain_closing(reply: Reply, head: Outgoing[Any] | None, *, follows_refusal: bool) -> Loss:
    """Return why a connection ended with a 421. ``head`` is the message that waited for a reply, if there was one."""
    is_about_message = head is not None and is_struck(head)
    return Loss(
        reason=f"The relay closed the connection (421 {reply.text}).",
        has_too_many_connections=not (follows_refusal or is_about_message),
        follows_refusal=follows_refusal,
    )


def is_struck(outgoing: Outgoing[Any]) -> bool:
    """Whether the relay had accepted the message's MAIL on this connection, so a 421 may be about the message."""
    return outgoing.refusal is None and outgoing.stage in (*_ENVELOPE_STAGES, Stage.FINAL)


def requeue_unreset(reply: Reply) -> Verdict:
    """Return the verdict on a message whose RSET was refused. The refusal is about the connection, not about it."""
    return Verdict(Outcome.REQUEUED, 0, f"The relay refused RSET ({reply.code} {reply.text}).")
