"""What a relay's refusal says about one message. What the end of a connection says is in losses.py."""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

from batches.outcomes import Outcome, ReplyMeaning
from batches.smtp import meanings
from batches.smtp.replies import Reply
from batches.smtp.reply_rules import CHARGED, OF_ONE_EMAIL
from batches.smtp.stages import Stage
from batches.smtp.stated_waits import find_stated_wait

__all__ = ["Stage", "Verdict", "accept", "judge"]


class Verdict(NamedTuple):
    """The outcome of one message, the relay's code (0 without a reply), and the reply's text or our reason.

    ``meaning`` is what a refusal is about, or None if no rule names the reply. If the outcome is ``requeued``, the
    relay is paused for ``wait_seconds`` (None: as long as the back-off says). ``is_recognised`` is false if the reply
    may as well be about everybody as about this email: no rule names it, or its rule cannot tell the two apart. Then
    ``meaning`` is what it means if everybody is refused alike, and the outcome is what it means for one recipient.
    ``is_strike`` says that the relay ended the connection because of this very message.
    """

    outcome: Outcome
    code: int
    reply: str
    meaning: ReplyMeaning | None = None
    wait_seconds: float | None = None
    is_recognised: bool = True
    is_strike: bool = False


_make_verdict = partial(tuple.__new__, Verdict)  # its constructor, without the part that is written in Python
_SENT = Outcome.SENT


def accept(reply: Reply) -> Verdict:
    """Return the verdict on a message that the relay accepted with this reply."""
    return _make_verdict((_SENT, reply.code, reply.text, None, None, True, False))


_UNNAMED = {
    Stage.CONNECT: ReplyMeaning.POLICY,
    Stage.LOGIN: ReplyMeaning.LOGIN,
    Stage.MAIL: ReplyMeaning.POLICY,
    Stage.CLEAR: ReplyMeaning.RELAY,
}
"""The meaning of a 5xx that no rule names, at the stages that name no recipient."""


def judge(stage: Stage, reply: Reply) -> Verdict:
    """Return the verdict on a message that the relay refused with this reply at this stage.

    A refusal about the recipient or the content defers or fails the message. Any other refusal is about us or the
    relay, so the message is requeued and no attempt is charged. So is a refusal at a stage that names no recipient.
    """
    code, text = reply.code, reply.text
    found = meanings.current_rules().find(stage, code, text)
    if found is None:
        return _judge_unnamed(stage, code, text)
    rule, wait_seconds = found
    is_about_one = rule.meaning in CHARGED
    if is_about_one or (rule.may_be_one_recipient and stage in OF_ONE_EMAIL):
        outcome = Outcome.DEFERRED if code < 500 else Outcome.FAILED
    else:
        outcome = Outcome.REQUEUED
    is_recognised = is_about_one or outcome is Outcome.REQUEUED
    return Verdict(outcome, code, text, rule.meaning, wait_seconds, is_recognised)


def _judge_unnamed(stage: Stage, code: int, text: str) -> Verdict:
    """Return the verdict on a reply that no rule names."""
    if stage in OF_ONE_EMAIL:
        outcome = Outcome.DEFERRED if code < 500 else Outcome.FAILED
        return Verdict(outcome, code, text, is_recognised=False)
    meaning = ReplyMeaning.RATE if code < 500 else _UNNAMED[stage]
    return Verdict(Outcome.REQUEUED, code, text, meaning, find_stated_wait(text), is_recognised=False)
