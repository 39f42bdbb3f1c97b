"""The retry policy decides the same for the same reply, whatever lane or sweep asks it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from batches.delivery.policy import (
    DEATHS_MAX,
    JITTER,
    RETRY_MAX_SECONDS,
    SPREAD_SECONDS,
    RetryPolicy,
    decide_deaths,
    decide_reply,
    requeue,
    retry_delay,
)
from batches.delivery.terms import ClaimedEmail, Decision
from batches.models import CrashPolicy, EmailStatus
from batches.models.sql import InterruptedEmail
from batches.outcomes import Outcome
from batches.smtp.verdicts import Verdict

RESEND = RetryPolicy(max_attempts=3, retry_seconds=60, crash_policy=CrashPolicy.RESEND)
HOLD = replace(RESEND, crash_policy=CrashPolicy.HOLD)


def claimed(*, attempts: int = 1) -> ClaimedEmail:
    return ClaimedEmail(7, 2, "ann@example.org", "[]", attempts)


def decide(outcome: Outcome, *, attempts: int = 1, policy: RetryPolicy = RESEND) -> Decision:
    return decide_reply(claimed(attempts=attempts), Verdict(outcome, 250, "So it said."), policy)


@pytest.mark.parametrize("policy", [RESEND, HOLD])
@pytest.mark.parametrize("outcome", [Outcome.SENT, Outcome.FAILED])
def test_email_ends_at_once_when_the_reply_is_final(outcome: Outcome, policy: RetryPolicy) -> None:
    assert decide(outcome, policy=policy) == Decision(7, outcome.value, outcome.value, 250, "So it said.")


@pytest.mark.parametrize("policy", [RESEND, HOLD])
@pytest.mark.parametrize("attempts", [1, 2])
def test_email_is_retried_after_a_wait_when_it_is_deferred(attempts: int, policy: RetryPolicy) -> None:
    decision = decide(Outcome.DEFERRED, attempts=attempts, policy=policy)
    assert decision[:5] == (7, EmailStatus.PENDING, Outcome.DEFERRED, 250, "So it said.")
    assert decision.delay_seconds >= 60


@pytest.mark.parametrize("policy", [RESEND, HOLD])
def test_email_fails_when_its_last_attempt_is_deferred(policy: RetryPolicy) -> None:
    decision = decide(Outcome.DEFERRED, attempts=3, policy=policy)
    assert (decision.status, decision.outcome, decision.delay_seconds) == (EmailStatus.FAILED, Outcome.DEFERRED, 0)


@pytest.mark.parametrize(
    ("policy", "attempts", "status"),
    [
        (RESEND, 1, EmailStatus.PENDING),
        (RESEND, 3, EmailStatus.FAILED),
        (HOLD, 1, EmailStatus.UNKNOWN),
        (HOLD, 3, EmailStatus.UNKNOWN),
    ],
)
def test_email_follows_the_crash_policy_when_no_reply_came(
    policy: RetryPolicy, attempts: int, status: EmailStatus
) -> None:
    decision = decide(Outcome.UNKNOWN, attempts=attempts, policy=policy)
    assert (decision.status, decision.outcome) == (status, Outcome.UNKNOWN)
    assert (decision.delay_seconds > 0) == (status == EmailStatus.PENDING)


def test_no_attempt_is_counted_when_the_relay_refuses_us() -> None:
    decision = decide(Outcome.REQUEUED, attempts=3)
    assert decision == requeue(claimed(), "So it said.")
    assert (decision.status, decision.outcome, decision.delay_seconds) == (EmailStatus.PENDING, "", 0)


@pytest.mark.parametrize(("attempts", "least", "most"), [(1, 60, 90), (2, 300, 450), (3, 1500, 2250)])
def test_wait_is_five_times_as_long_and_never_shorter_when_another_attempt_failed(
    attempts: int, least: float, most: float
) -> None:
    waits = [retry_delay(attempts, 60) for _ in range(200)]
    assert least <= min(waits) <= max(waits) <= most


def test_wait_is_capped_when_attempts_are_many() -> None:
    assert RETRY_MAX_SECONDS <= retry_delay(12, 60) <= RETRY_MAX_SECONDS * (1 + JITTER)


def test_waits_differ_when_emails_fail_together() -> None:
    assert len({retry_delay(1, 60) for _ in range(20)}) > 1


def deaths(*attempts: int, policy: RetryPolicy = RESEND) -> dict[int, tuple[str, float]]:
    """The status and the wait of each email, by its id: emails 1, 2, ... with these attempts."""
    decisions = decide_deaths([InterruptedEmail(id_, count) for id_, count in enumerate(attempts, start=1)], policy)
    assert len(decisions) == len(attempts)
    return {decision.email_id: (decision.status, decision.delay_seconds) for decision in decisions}


def test_interrupted_emails_go_again_at_once_when_the_policy_is_resend() -> None:
    assert deaths(1, 2, 1) == dict.fromkeys((1, 2, 3), (EmailStatus.PENDING, 0))


def test_interrupted_emails_end_unknown_when_the_policy_is_hold() -> None:
    assert deaths(1, 3, 99, policy=HOLD) == dict.fromkeys((1, 2, 3), (EmailStatus.UNKNOWN, 0))


def test_email_fails_when_it_alone_has_used_up_its_attempts() -> None:
    assert deaths(1, 3, 2) == {
        1: (EmailStatus.PENDING, 0),
        2: (EmailStatus.FAILED, 0),
        3: (EmailStatus.PENDING, 0),
    }


def test_emails_go_one_after_another_and_those_of_most_deaths_last_when_each_may_be_the_culprit() -> None:
    waits = deaths(5, 3, 4, 1)
    assert {status for status, _ in waits.values()} == {EmailStatus.PENDING}
    assert waits[4][1] == 0
    assert [waits[id_][1] for id_ in (2, 3, 1)] == pytest.approx([SPREAD_SECONDS * third / 3 for third in (1, 2, 3)])


def test_chance_decides_who_goes_first_when_deaths_are_equal() -> None:
    first = {min(waits := deaths(3, 3), key=lambda id_: waits[id_][1]) for _ in range(100)}
    assert first == {1, 2}


def test_email_fails_when_it_died_too_often_though_another_may_be_the_culprit() -> None:
    below, above = 3 + DEATHS_MAX - 1, 3 + DEATHS_MAX
    assert deaths(3, above)[1] == (EmailStatus.PENDING, SPREAD_SECONDS / 2)
    assert deaths(3, above)[2] == (EmailStatus.FAILED, 0)
    assert {status for status, _ in deaths(3, below).values()} == {EmailStatus.PENDING}


def test_nothing_is_decided_when_the_dead_lane_had_nothing_in_flight() -> None:
    assert deaths() == {}
