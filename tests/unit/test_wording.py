"""The words for durations, waiting, relay errors and states."""

from __future__ import annotations

import pytest

from batches.jobs.queues import Fleet
from batches.models import BatchStatus, EmailStatus
from batches.wording import (
    NO_REDIS,
    NO_WORKER,
    STATE_MEANINGS,
    WAITING,
    say_duration,
    say_relay_error,
    say_why_waiting,
)

FLEET = Fleet(redis=True, workers=2, queued=0)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.2, "less than a second"),
        (9.4, "about 9 s"),
        (89, "about 89 s"),
        (90, "about 2 min"),
        (3599, "about 60 min"),
        (7800, "about 2 h 10 min"),
        (7200, "about 2 h"),
        (3600 * 1500, "about 1,500 h"),
    ],
)
def test_duration_is_rounded_to_a_unit_that_people_use(seconds: float, words: str) -> None:
    assert say_duration(seconds) == words


@pytest.mark.parametrize("status", WAITING)
def test_nothing_is_said_when_a_worker_runs(status: BatchStatus) -> None:
    assert say_why_waiting(status, FLEET) == ""


@pytest.mark.parametrize("status", WAITING)
def test_missing_worker_is_named_when_the_batch_waits_for_one(status: BatchStatus) -> None:
    assert say_why_waiting(status, Fleet(redis=True, workers=0, queued=1)) == NO_WORKER


def test_redis_is_named_when_it_cannot_be_reached() -> None:
    assert say_why_waiting(BatchStatus.PENDING, Fleet(redis=False, workers=0, queued=0)) == NO_REDIS


@pytest.mark.parametrize("status", [status for status in BatchStatus if status not in WAITING])
def test_missing_worker_is_not_named_when_the_batch_needs_none(status: BatchStatus) -> None:
    assert say_why_waiting(status, Fleet(redis=True, workers=0, queued=0)) == ""


def test_relay_error_is_a_sentence_with_its_reason() -> None:
    assert say_relay_error("It refuses the login.") == "The mail server accepts no mail now: It refuses the login."
    assert say_relay_error("") == ""


def test_every_state_has_a_meaning() -> None:
    assert set(STATE_MEANINGS) == set(EmailStatus)
