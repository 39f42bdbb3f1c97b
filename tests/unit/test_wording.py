"""The words for durations, waiting, relay errors and states."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from batches.jobs.forecasts import Forecast
from batches.jobs.letter_checks import LetterCheck
from batches.jobs.queues import Fleet
from batches.models import BatchStatus, EmailStatus, LetterCheckState
from batches.progress import Snapshot
from batches.rendering.letters import LetterFault
from batches.waiting import NOT_KNOWN, NOT_KNOWN_WHILE_REFUSED
from batches.wording import (
    NO_REDIS,
    NO_WORKER,
    STATE_MEANINGS,
    WAITING,
    outline,
    say_added,
    say_duration,
    say_letter_check,
    say_rate,
    say_sending,
    say_why_waiting,
)

FLEET = Fleet(redis=True, workers=2, queued=0)


@pytest.mark.parametrize(
    ("counts", "sentence"),
    [
        ((1, 0, 0), "1 recipient was added."),
        ((2, 1, 0), "2 recipients were added. 1 row was rejected."),
        ((0, 0, 2), "0 recipients were added. 2 rows were duplicates."),
        ((1, 3, 1), "1 recipient was added. 3 rows were rejected. 1 row was a duplicate."),
    ],
)
def test_rejected_rows_and_duplicates_are_counted_apart_when_rows_are_added(
    counts: tuple[int, int, int], sentence: str
) -> None:
    added, rejected, duplicates = counts
    assert say_added(added, rejected=rejected, duplicates=duplicates) == sentence


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


def say_rate_of(per_second: float, *, eta: float | None = None, finish: str = "") -> str:
    now = {"status": BatchStatus.PROCESSING, "ratePerSecond": per_second, "etaSeconds": eta, "finish": finish}
    return say_rate(Snapshot(**now))  # type: ignore[typeddict-item]


@pytest.mark.parametrize(
    ("per_second", "words"),
    [
        (0.005, "less than 1 a minute"),
        (0.167, "10 a minute"),
        (0.5, "30 a minute"),
        (9.9, "594 a minute"),
        (10, "10 a second"),
        (1413.2, "1,413 a second"),
    ],
)
def test_slow_rate_is_said_by_the_minute(per_second: float, words: str) -> None:
    assert say_rate_of(per_second) == words


def test_time_by_the_rate_is_not_said_beside_a_finish_time() -> None:
    assert say_rate_of(0.5, eta=89) == "30 a minute, about 89 s left"
    assert say_rate_of(0.5, eta=89, finish="Done at about 20:25.") == "30 a minute"


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


@pytest.mark.parametrize(
    ("seconds", "words", "sentence"),
    [
        (30.0, "Done in less than a minute.", "Sending will take about 30 s."),
        (5400.0, "Done at about 17:30.", "Sending will take about 1 h 30 min. Done at about 17:30."),
        (250_000.0, "Done on Sunday 29 November.", "Done on Sunday 29 November, if it is sent now."),
    ],
)
def test_review_says_the_time_of_the_clock_when_sending_takes_long(seconds: float, words: str, sentence: str) -> None:
    assert say_sending(Forecast(done_at=datetime.now(UTC), seconds=seconds, words=words)) == sentence


def test_review_says_that_nothing_is_known_when_no_job_has_shown_a_speed() -> None:
    assert say_sending(Forecast(done_at=None, seconds=900.0, words=NOT_KNOWN)) == NOT_KNOWN
    assert say_sending(Forecast(done_at=None, seconds=None, words=NOT_KNOWN_WHILE_REFUSED)) == NOT_KNOWN_WHILE_REFUSED


def test_every_state_has_a_meaning() -> None:
    assert set(STATE_MEANINGS) == set(EmailStatus)


@pytest.mark.parametrize(
    ("state", "total", "checked", "faulty", "words"),
    [
        (LetterCheckState.WAITING, 4300, 0, 0, "0 of 4,300 letters were checked so far. The check waits for a worker."),
        (LetterCheckState.RUNNING, 4300, 2000, 1, "2,000 of 4,300 letters were checked so far."),
        (LetterCheckState.DONE, 4300, 4300, 12, "12 of 4,300 letters have a fault."),
        (LetterCheckState.DONE, 4300, 4300, 1, "1 of 4,300 letters has a fault."),
        (LetterCheckState.DONE, 1, 1, 1, "The letter was checked. It has a fault."),
        (LetterCheckState.DONE, 4300, 4300, 0, "All 4,300 letters were checked. None has a fault."),
        (LetterCheckState.DONE, 1, 1, 0, "The letter was checked. It has no fault."),
        (
            LetterCheckState.DONE,
            *(4300, 2000, 1),
            "The first 2,000 of 4,300 letters were checked, then the time was up. 1 letter has a fault.",
        ),
        (
            LetterCheckState.DONE,
            *(4300, 2000, 0),
            "The first 2,000 of 4,300 letters were checked, then the time was up. None of them has a fault.",
        ),
    ],
)
def test_letter_check_is_said(state: LetterCheckState, total: int, checked: int, faulty: int, words: str) -> None:
    faults = (LetterFault(reason="x", count=faulty, rows=(2,)),) if faulty else ()
    check = LetterCheck(run="x", batch_id=1, total=total, state=state, checked=checked, faults=faults)
    assert say_letter_check(check, FLEET) == words


def test_letter_check_says_what_to_do_when_it_was_killed_or_nobody_works() -> None:
    killed = LetterCheck(run="x", batch_id=1, total=9, checked=4, state=LetterCheckState.KILLED)
    assert say_letter_check(killed, FLEET).startswith("The check stopped after 4 of 9 letters.")
    waiting = LetterCheck(run="x", batch_id=1, total=9)
    assert "No worker is running" in say_letter_check(waiting, Fleet(redis=True, workers=0, queued=1))
    assert "Redis can't be used" in say_letter_check(None, Fleet(redis=False, workers=0, queued=0))
    assert say_letter_check(None, FLEET) == ""


@pytest.mark.parametrize(
    ("subject", "words"),
    [
        ("Summer party", "Summer party"),
        ('Welcome, {{ name | default("friend", true) }}!', "Welcome, …!"),
        ("{% if town %}In {{ town }}{# where #}{% endif %}", "In …"),
        ("{{ open", "{{ open"),
    ],
)
def test_line_of_a_template_is_shown_with_an_ellipsis_for_each_field(subject: str, words: str) -> None:
    assert outline(subject) == words
