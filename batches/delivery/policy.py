"""The retry policy: what follows from the relay's reply to one email, and from the death of a worker.

A verdict, or the emails that a dead worker had in flight, go in. Decisions come out. The functions are pure, except
for the random part of each wait: they read no database and no clock.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

from django.conf import settings

from batches.delivery.terms import ClaimedEmail, Decision
from batches.models import CrashPolicy, EmailStatus
from batches.models.sql import InterruptedEmail
from batches.outcomes import Outcome
from batches.smtp.verdicts import Verdict

RETRY_FACTOR = 5
"""Each wait is this many times as long as the one before. The default waits are 1, 5 and 25 minutes, so the third
attempt comes after the 5 minutes that greylisting relays usually ask for."""

RETRY_MAX_SECONDS = 4 * 60 * 60
JITTER = 0.5
"""Each wait is longer by a random part, up to this share of it. Emails that failed together are then not retried
together. No wait is shorter, because a greylisting relay refuses an attempt that comes too early."""

DEATHS_MAX = 16
"""An email fails when its attempts, interrupted ones included, reach ``max_attempts`` plus this many, whatever else was
in flight."""

SPREAD_SECONDS = 10.0
"""The emails that may have killed a worker are retried one after another within this time."""

# Looked up once: on Python 3.11 a search in an enum's class costs more than the rest of a decision.
_PENDING, _SENT, _FAILED, _UNKNOWN = (
    EmailStatus.PENDING.value,
    EmailStatus.SENT.value,
    EmailStatus.FAILED.value,
    EmailStatus.UNKNOWN.value,
)
_OUTCOME_SENT = Outcome.SENT
_make_decision = partial(tuple.__new__, Decision)  # its constructor, without the part that is written in Python
_OUTCOME_SENT_VALUE, _OUTCOME_FAILED_VALUE = Outcome.SENT.value, Outcome.FAILED.value


class DeathDecision(NamedTuple):
    """What the sweep records of one email whose worker died. Its attempt counts as interrupted."""

    email_id: int
    status: str
    delay_seconds: float
    """The wait before the next attempt, if ``status`` is pending."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RetryPolicy:
    """How often an email is attempted, how long it waits in between, and what a worker's death means for it."""

    max_attempts: int
    retry_seconds: float
    """The wait after the first attempt. Each further wait is RETRY_FACTOR times as long."""
    crash_policy: CrashPolicy

    @classmethod
    def from_settings(cls) -> RetryPolicy:
        """Build the policy that the ``SEND_`` settings describe.

        Raises:
            ValueError: SEND_ON_CRASH names no crash policy. The system check E005 refuses it at start.
        """
        return cls(
            max_attempts=settings.SEND_MAX_ATTEMPTS,
            retry_seconds=settings.SEND_RETRY_SECONDS,
            crash_policy=CrashPolicy(settings.SEND_ON_CRASH),
        )


def decide_reply(claimed: ClaimedEmail, verdict: Verdict, policy: RetryPolicy) -> Decision:
    """Decide what to record for one email after SMTP's verdict on it."""
    outcome, code, reply = verdict.outcome, verdict.code, verdict.reply
    if outcome is _OUTCOME_SENT:
        return _make_decision((claimed.id, _SENT, _OUTCOME_SENT_VALUE, code, reply, 0.0))
    if outcome is Outcome.REQUEUED:
        return requeue(claimed, reply)
    if outcome is Outcome.FAILED:
        return Decision(claimed.id, _FAILED, _OUTCOME_FAILED_VALUE, code, reply)
    if outcome is Outcome.UNKNOWN and policy.crash_policy is CrashPolicy.HOLD:
        return Decision(claimed.id, _UNKNOWN, outcome.value, code, reply)
    if claimed.attempts >= policy.max_attempts:
        return Decision(claimed.id, _FAILED, outcome.value, code, reply)
    delay_seconds = retry_delay(claimed.attempts, policy.retry_seconds)
    return Decision(claimed.id, _PENDING, outcome.value, code, reply, delay_seconds)


def requeue(claimed: ClaimedEmail, reason: str = "", *, delay_seconds: float = 0.0) -> Decision:
    """Decide that an email is pending again, due at once or after a delay, and that no attempt is counted."""
    return Decision(claimed.id, _PENDING, "", 0, reason, delay_seconds)


def decide_deaths(emails: Sequence[InterruptedEmail], policy: RetryPolicy) -> list[DeathDecision]:
    """Decide about all emails that one dead worker had in flight in one lane.

    Nobody can know whether the relay accepted them. The crash policy *hold* ends all of them as unknown. *Resend*
    attempts them again, with one exception: an email that has used up its attempts fails if no other email has.

    If several emails have used up their attempts, one of them may be the culprit that kills the workers. Nobody can
    know which one. They are retried one after another. The emails that were in flight at the most deaths come last. So
    the innocent emails are sent before the culprit, and fewer emails may be the culprit at the next death. An email
    whose attempts reach ``max_attempts`` plus DEATHS_MAX fails in any case.
    """
    if policy.crash_policy is CrashPolicy.HOLD:
        return [DeathDecision(email.id, _UNKNOWN, 0.0) for email in emails]
    used_up = [email for email in emails if email.attempts >= policy.max_attempts]
    # Chance decides among equals, so that the same email is not first each time.
    used_up.sort(key=lambda email: (email.attempts, random.random()))  # noqa: S311  (no secret)
    decisions = [DeathDecision(email.id, _PENDING, 0.0) for email in emails if email.attempts < policy.max_attempts]
    for place, email in enumerate(used_up, start=1):
        if len(used_up) == 1 or email.attempts >= policy.max_attempts + DEATHS_MAX:
            decisions.append(DeathDecision(email.id, _FAILED, 0.0))
        else:
            decisions.append(DeathDecision(email.id, _PENDING, SPREAD_SECONDS * place / len(used_up)))
    return decisions


def retry_delay(attempts: int, base_seconds: float) -> float:
    """Return the seconds to wait after this many attempts: exponential, capped, with jitter."""
    delay_seconds: float = min(base_seconds * RETRY_FACTOR ** (attempts - 1), RETRY_MAX_SECONDS)
    return delay_seconds * random.uniform(1, 1 + JITTER)  # noqa: S311  (jitter is no secret)
