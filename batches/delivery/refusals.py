"""What kind of refusal a verdict is, for the route that has to act on it. These functions decide nothing else."""

from __future__ import annotations

from batches.delivery.pauses import NEEDS_PERSON
from batches.delivery.terms import ClaimedEmail
from batches.outcomes import Outcome, ReplyMeaning
from batches.smtp.connection import Outgoing
from batches.smtp.reply_rules import CHARGED, OF_ONE_EMAIL
from batches.smtp.verdicts import Verdict

MAIL_COUNT = 5
"""So many passing refusals at MAIL in a row pause the relay. A relay that puts off one message in five, because it has
many connections or little memory, meets that once in three thousand messages."""


def is_ours(verdict: Verdict) -> bool:
    """Whether a reply rule says that a refusal is about us or the relay."""
    return verdict.is_recognised and verdict.meaning not in (*CHARGED, None)


def may_be_about_one(outgoing: Outgoing[ClaimedEmail], verdict: Verdict) -> bool:
    """Whether a refusal whose words are about us or the relay may nevertheless be about this email alone.

    A refusal at MAIL names no recipient. That of an email backend has no stage: then its meaning decides.
    """
    if outgoing.refusal is not None:
        return outgoing.refusal[0] in OF_ONE_EMAIL
    return verdict.meaning not in NEEDS_PERSON


def may_pass_at_once(verdict: Verdict) -> bool:
    """Whether the next message may be accepted although this one was put off: a 4xx that states no rate and no wait."""
    is_vague = not verdict.is_recognised or verdict.meaning is ReplyMeaning.RELAY
    return verdict.code < 500 and verdict.wait_seconds is None and is_vague


def charge(verdict: Verdict) -> Verdict:
    """Make a refusal that was to be requeued the email's own: its first digit decides (RFC 5321 section 4.2.1)."""
    outcome = Outcome.FAILED if verdict.code >= 500 else Outcome.DEFERRED
    return verdict._replace(outcome=outcome, is_strike=False, is_recognised=False)
