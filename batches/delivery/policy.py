"""From a relay's verdict to what is recorded: the retry policy of DESIGN.md section 6."""

from __future__ import annotations

import random

from batches.delivery.terms import ClaimedEmail, Decision, LaneSpec
from batches.models import EmailStatus
from batches.outcomes import Outcome
from batches.smtp.verdicts import Verdict

RETRY_FACTOR = 5
"""1, 5, 25 minutes by default: the usual greylisting time of 5 minutes lies before the third attempt."""

RETRY_MAX_SECONDS = 4 * 60 * 60
JITTER = 0.5
"""Waits are longer by up to this part, so that what failed together does not come back together; never shorter,
so that the third attempt comes after a greylister's five minutes."""

_PENDING, _SENT, _FAILED, _UNKNOWN = (
    EmailStatus.PENDING.value,
    EmailStatus.SENT.value,
    EmailStatus.FAILED.value,
    EmailStatus.UNKNOWN.value,
)
_DELIVERED = Outcome.SENT
_TRIED_SENT, _TRIED_FAILED = Outcome.SENT.value, Outcome.FAILED.value


def decide(claimed: ClaimedEmail, verdict: Verdict, spec: LaneSpec) -> Decision:
    """What to record of an email, given the relay's verdict."""
    outcome, code, reply = verdict
    if outcome is _DELIVERED:
        return Decision(claimed.id, _SENT, _TRIED_SENT, code, reply)
    if outcome is Outcome.REQUEUED:
        return requeue(claimed, reply)
    if outcome is Outcome.FAILED:
        return Decision(claimed.id, _FAILED, _TRIED_FAILED, code, reply)
    is_unknown = outcome is Outcome.UNKNOWN
    tried = Outcome.UNKNOWN.value if is_unknown else Outcome.DEFERRED.value
    if is_unknown and spec.hold:
        return Decision(claimed.id, _UNKNOWN, tried, code, reply)
    if claimed.attempts >= spec.max_attempts:
        return Decision(claimed.id, _FAILED, tried, code, reply)
    return Decision(claimed.id, _PENDING, tried, code, reply, retry_delay(claimed.attempts, spec.retry_seconds))


def requeue(claimed: ClaimedEmail, reason: str = "") -> Decision:
    """Return an email to pending, due at once, without counting the attempt."""
    return Decision(claimed.id, _PENDING, "", 0, reason)


def retry_delay(attempts: int, base_seconds: float) -> float:
    """Seconds to wait after this many attempts: exponential, with jitter, capped."""
    delay: float = min(base_seconds * RETRY_FACTOR ** (attempts - 1), RETRY_MAX_SECONDS)
    return delay * random.uniform(1, 1 + JITTER)  # noqa: S311  (jitter is no secret)
