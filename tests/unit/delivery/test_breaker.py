"""Which refusals are alike, when the breaker trips, and what a success says about those before it."""

from __future__ import annotations

import pytest

from batches.delivery.breaker import FIRST_COUNT, LATER_COUNT, UNLIKE_FACTOR, Breaker, is_about_recipient, make_key
from batches.outcomes import Outcome, ReplyMeaning
from batches.smtp.verdicts import Stage, Verdict
from tests.unit.delivery.specs import claim

WINDOW = 128


def refuse(reply: str, *, code: int = 554, meaning: ReplyMeaning | None = None) -> Verdict:
    outcome = Outcome.FAILED if code >= 500 else Outcome.DEFERRED
    return Verdict(outcome, code, reply, meaning, is_recognised=False)


def fill(breaker: Breaker, count: int, *, reply: str = "5.7.1 <{}>: Not for you", code: int = 554) -> None:
    first = len(breaker.suspended)
    for number in range(first, first + count):
        claimed = claim(number)
        verdict = refuse(reply.format(claimed.address), code=code)
        breaker.suspend(claimed, verdict, stage=Stage.RCPT, place=number, free_place=number + 1)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("5.7.1 <ann@x.org>: Relay access denied", "5.7.1 <bob@y.example>: Relay access denied"),
        ("5.7.1 Not permitted, id 4XyZ12", "5.7.1 Not permitted, id 9AbC34"),
        ("5.7.1 Client [192.0.2.7] blocked", "5.7.1 Client [192.0.2.99] blocked"),
        ("Access denied - ann", "Access denied - bob"),
        ("Access denied for x.org.", "Access denied for y.example."),
        ("Denied at Thu, 26 Nov 2026 16:20:01 +0000", "Denied at Thu, 26 Nov 2026 16:21:59 +0000"),
        ("5.7.1  Not   you", "5.7.1 Not you"),
        ("Denied qWeRtYuIoPaS", "Denied zXcVbNmAsDfG"),
    ],
)
def test_refusals_are_alike_when_only_names_ids_and_numbers_differ(one: str, other: str) -> None:
    keys = {
        make_key(refuse(one), stage=Stage.RCPT, address="ann@x.org"),
        make_key(refuse(other), stage=Stage.RCPT, address="bob@y.example"),
    }
    assert len(keys) == 1


@pytest.mark.parametrize(
    "other",
    [
        {"code": 550},
        {"reply": "5.7.2 Not you"},
        {"reply": "5.7.1 Not them"},
        {"stage": Stage.FINAL},
    ],
)
def test_refusals_are_not_alike_when_stage_code_or_words_differ(other: dict[str, object]) -> None:
    def key(*, reply: str = "5.7.1 Not you", code: int = 554, stage: Stage = Stage.RCPT) -> str:
        return make_key(refuse(reply, code=code), stage=stage, address="ann@x.org")

    assert key() != key(**other)  # type: ignore[arg-type]  # the values of one argument each


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("no such user here", True),
        ("mailbox unavailable", True),
        ("recipient address rejected: unknown", True),
        ("relay access denied", False),
        ("sender address rejected: not owned by user", False),
        ("authentication required to send to this account", False),
        ("go away", False),
    ],
)
def test_words_name_the_recipient_or_not(words: str, expected: bool) -> None:
    assert is_about_recipient(f"RCPT 550 {words}") is expected


@pytest.mark.parametrize(("has_sent", "limit"), [(False, FIRST_COUNT), (True, LATER_COUNT)])
def test_breaker_trips_at_its_limit_when_refusals_are_alike(has_sent: bool, limit: int) -> None:
    breaker = Breaker("", window=WINDOW)
    fill(breaker, limit - 1)
    assert breaker.find_trip(has_sent=has_sent, is_last=False) is None
    fill(breaker, 1)
    trip = breaker.find_trip(has_sent=has_sent, is_last=False)
    assert trip is not None
    assert (trip.refusal_count, trip.is_alike, trip.is_first, trip.is_temporary) == (limit, True, not has_sent, False)
    assert trip.refusal == "RCPT 554 5.7.1 *: not for you"


def test_breaker_trips_later_when_each_refusal_differs() -> None:
    breaker = Breaker("", window=WINDOW)
    words = [f"{first}{second} is wrong" for first in "abcdef" for second in "ghijkl"]
    limit = UNLIKE_FACTOR * FIRST_COUNT
    for number, reply in enumerate(words[:limit]):
        assert not breaker.is_full(has_sent=False)
        claimed = claim(number)
        breaker.suspend(claimed, refuse(reply), stage=Stage.RCPT, place=number, free_place=number + 1)
    trip = breaker.find_trip(has_sent=False, is_last=False)
    assert trip is not None
    assert (trip.refusal_count, trip.is_alike, len(trip.refusal.splitlines())) == (limit, False, limit)


def test_breaker_trips_sooner_when_the_window_is_small() -> None:
    breaker = Breaker("", window=8)
    fill(breaker, 4)
    assert breaker.is_full(has_sent=True)


def test_refusal_is_charged_when_a_person_has_accepted_it() -> None:
    breaker = Breaker("RCPT 554 5.7.1 *: not for you\nRCPT 550 no", window=WINDOW)
    fill(breaker, 3)
    assert breaker.suspended == []
    fill(breaker, 3, reply="5.7.1 Another reason")
    assert len(breaker.suspended) == 3


def test_success_charges_what_came_before_it_was_taken() -> None:
    """The places: emails 0 to 4 are refused, each after the email with the next place was taken."""
    breaker = Breaker("", window=WINDOW)
    fill(breaker, 5)
    charged = breaker.on_success(3)
    assert [each.claimed.id for each in charged] == [0, 1, 2]
    assert [each.claimed.id for each in breaker.suspended] == [3, 4]


def test_row_of_refusals_ends_when_an_email_that_was_taken_later_is_accepted() -> None:
    breaker = Breaker("", window=WINDOW)
    for number in range(FIRST_COUNT):
        breaker.suspend(claim(number), refuse("5.7.1 No"), stage=Stage.RCPT, place=number, free_place=100)
    assert breaker.is_full(has_sent=False)
    assert breaker.on_success(50) == [], "it was on its way when they were refused"
    assert not breaker.is_full(has_sent=False)


def test_row_goes_on_after_a_pause_until_there_is_a_success() -> None:
    breaker = Breaker("", window=WINDOW)
    fill(breaker, FIRST_COUNT)
    assert len(breaker.release()) == FIRST_COUNT
    assert not breaker.is_full(has_sent=False)
    fill(breaker, 1)
    assert breaker.is_full(has_sent=False)
    breaker.forget_run()
    assert not breaker.is_full(has_sent=False)


@pytest.mark.parametrize("meaning", [ReplyMeaning.RATE, ReplyMeaning.QUOTA, ReplyMeaning.RELAY])
def test_trip_is_temporary_when_its_meaning_passes_by_itself(meaning: ReplyMeaning) -> None:
    breaker = Breaker("", window=WINDOW)
    for number in range(FIRST_COUNT):
        verdict = refuse("5.4.5 Enough", meaning=meaning)
        breaker.suspend(claim(number), verdict, stage=Stage.RCPT, place=number, free_place=number + 1)
    trip = breaker.find_trip(has_sent=False, is_last=False)
    assert trip is not None and trip.is_temporary
