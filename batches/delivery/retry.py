"""From a relay's verdict to what is recorded: the retry policy of DESIGN.md section 6."""

from __future__ import annotations

import random

from batches.delivery.spec import Claimed, LaneSpec, Outcome
from batches.models import AttemptOutcome, EmailStatus
from batches.smtp.verdicts import Delivery, Verdict

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
_DELIVERED = Verdict.SENT
_TRIED_SENT, _TRIED_FAILED = AttemptOutcome.SENT.value, AttemptOutcome.FAILED.value


def decide(claimed: Claimed, delivery: Delivery, spec: LaneSpec) -> Outcome:
    """What to record of an email, given the relay's verdict."""
    verdict, code, reply = delivery
    if verdict is _DELIVERED:
        return Outcome(claimed.id, _SENT, _TRIED_SENT, code, reply)
    if verdict is Verdict.RETURNED:
        return give_back(claimed, reply)
    if verdict is Verdict.FAILED:
        return Outcome(claimed.id, _FAILED, _TRIED_FAILED, code, reply)
    is_unknown = verdict is Verdict.UNKNOWN
    tried = AttemptOutcome.UNKNOWN.value if is_unknown else AttemptOutcome.DEFERRED.value
    if is_unknown and spec.hold:
        return Outcome(claimed.id, _UNKNOWN, tried, code, reply)
    if claimed.attempts >= spec.max_attempts:
        return Outcome(claimed.id, _FAILED, tried, code, reply)
    return Outcome(claimed.id, _PENDING, tried, code, reply, retry_delay(claimed.attempts, spec.retry_seconds))


def give_back(claimed: Claimed, reason: str = "") -> Outcome:
    """Return an email to pending, due at once, without counting the attempt."""
    return Outcome(claimed.id, _PENDING, "", 0, reason)


def retry_delay(attempts: int, base_seconds: float) -> float:
    """Seconds to wait after this many attempts: exponential, with jitter, capped."""
    delay: float = min(base_seconds * RETRY_FACTOR ** (attempts - 1), RETRY_MAX_SECONDS)
    return delay * random.uniform(1, 1 + JITTER)  # noqa: S311  (jitter is no secret)
