"""What the pages say in words."""

from __future__ import annotations

import pytest

from batches.jobs.queues import Fleet
from batches.models import BatchStatus
from batches.wording import NO_REDIS, NO_WORKER, WAITING, say_duration, say_why_waiting

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
def test_duration_is_rounded_as_people_round(seconds: float, words: str) -> None:
    assert say_duration(seconds) == words


@pytest.mark.parametrize("status", WAITING)
def test_nothing_is_wrong_when_a_worker_runs(status: BatchStatus) -> None:
    assert say_why_waiting(status, FLEET) == ""


@pytest.mark.parametrize("status", WAITING)
def test_missing_worker_is_named_when_the_batch_waits_for_one(status: BatchStatus) -> None:
    assert say_why_waiting(status, Fleet(redis=True, workers=0, queued=1)) == NO_WORKER


def test_redis_is_named_when_it_is_away() -> None:
    assert say_why_waiting(BatchStatus.PENDING, Fleet(redis=False, workers=0, queued=0)) == NO_REDIS


@pytest.mark.parametrize("status", [status for status in BatchStatus if status not in WAITING])
def test_missing_worker_is_no_news_when_the_batch_needs_none(status: BatchStatus) -> None:
    assert say_why_waiting(status, Fleet(redis=True, workers=0, queued=0)) == ""
