"""Messages are made a few at a time, in the order of their claims, and none is lost."""

from __future__ import annotations

from dataclasses import replace
from itertools import count

import pytest

from batches.delivery.outbox import AHEAD_MAX, Outbox
from batches.delivery.terms import ClaimedEmail
from batches.outcomes import Outcome
from batches.rendering.plain import MessageWriter
from batches.smtp.connection import Capabilities
from batches.smtp.verdicts import Verdict
from tests.unit.delivery.specs import SPEC, claim

EIGHT_BIT = Capabilities.of({"pipelining": "", "8bitmime": "", "smtputf8": ""})
SEVEN_BIT = Capabilities.of({"pipelining": ""})


class Recorded(list[tuple[int, Verdict]]):
    def __call__(self, claimed: ClaimedEmail, verdict: Verdict) -> None:
        self.append((claimed.id, verdict))


@pytest.fixture
def recorded() -> Recorded:
    return Recorded()


@pytest.fixture
def count_made(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return the ids of the emails whose messages were made, in order. The list grows."""
    made: list[int] = []
    write_row = MessageWriter.write_row

    def count(writer: MessageWriter, email_id: int, *args: object, **kwargs: object) -> object:
        made.append(email_id)
        return write_row(writer, email_id, *args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(MessageWriter, "write_row", count)
    return made


def take_all(outbox: Outbox, capabilities: Capabilities = EIGHT_BIT) -> list[int]:
    taken = []
    while (outgoing := outbox.take(capabilities)) is not None:
        taken.append(outgoing.tag.id)
    return taken


def test_each_is_taken_once_in_order_when_more_are_claimed_than_are_made_ahead(recorded: Recorded) -> None:
    outbox = Outbox(SPEC, record=recorded)
    outbox.extend(claim(number) for number in range(100))
    first = outbox.take(EIGHT_BIT)
    assert first is not None and first.tag.id == 0
    assert len(outbox) == 99
    outbox.extend([claim(100)])
    assert take_all(outbox) == list(range(1, 101))
    assert (len(outbox), recorded) == (0, [])


def test_each_email_that_was_not_taken_comes_out_when_the_outbox_is_cleared(recorded: Recorded) -> None:
    outbox = Outbox(SPEC, record=recorded)
    outbox.extend(claim(number) for number in range(50))
    taken = outbox.take(EIGHT_BIT)
    assert taken is not None
    outbox.put_back(taken.tag)
    assert sorted(claimed.id for claimed in outbox.clear()) == list(range(50))
    assert len(outbox) == 0
    assert outbox.take(EIGHT_BIT) is None


def test_message_is_made_again_when_the_relay_offers_something_else(recorded: Recorded) -> None:
    outbox = Outbox(SPEC, record=recorded)
    outbox.extend(claim(number) for number in range(3))
    contents = [outbox.take(capabilities) for capabilities in (EIGHT_BIT, SEVEN_BIT, EIGHT_BIT)]
    assert [each and (each.tag.id, each.is_8bit, each.content.isascii()) for each in contents] == [
        (0, True, False),
        (1, False, True),
        (2, True, False),
    ]


def test_next_is_taken_when_no_message_can_be_made_of_some(recorded: Recorded) -> None:
    outbox = Outbox(SPEC, record=recorded)
    small = replace(SEVEN_BIT, size=True, size_max_bytes=2000)
    outbox.extend([claim(1, fields=()), claim(2, address="zoë@example.org"), claim(3, fields=("x" * 3000,)), claim(4)])
    assert take_all(outbox, small) == [4]
    assert [(number, verdict.outcome) for number, verdict in recorded] == [
        (1, Outcome.FAILED),
        (2, Outcome.FAILED),
        (3, Outcome.FAILED),
    ]
    assert "non-ASCII" in recorded[1][1].reply
    assert "the relay takes 2000" in recorded[2][1].reply


def test_several_are_made_ahead_when_none_has_to_wait(recorded: Recorded, count_made: list[int]) -> None:
    outbox = Outbox(SPEC, record=recorded, clock=lambda: 0.0)
    outbox.extend(claim(number) for number in range(100))
    outbox.take(EIGHT_BIT)
    assert len(count_made) == AHEAD_MAX


def test_no_more_are_made_ahead_when_they_are_big(recorded: Recorded, count_made: list[int]) -> None:
    big = replace(SPEC, text="y" * 76 + "\n{{ name }}" + ("z" * 76 + "\n") * 1500)
    outbox = Outbox(big, record=recorded, clock=lambda: 0.0)
    outbox.extend(claim(number) for number in range(10))
    outbox.take(EIGHT_BIT)
    assert len(count_made) == 3  # of 115 kB each


@pytest.mark.parametrize("why", ["slow", "rate"])
def test_one_is_made_at_a_time_when_others_would_have_to_wait(
    recorded: Recorded, count_made: list[int], why: str
) -> None:
    seconds = count()
    clock = (lambda: float(next(seconds))) if why == "slow" else (lambda: 0.0)
    outbox = Outbox(SPEC, record=recorded, is_paced=why == "rate", clock=clock)
    outbox.extend(claim(number) for number in range(10))
    outbox.take(EIGHT_BIT)
    assert count_made == [0]


def test_each_email_fails_with_the_reason_when_the_template_is_no_longer_accepted(recorded: Recorded) -> None:
    outbox = Outbox(replace(SPEC, text="{{ name ! }} {{ a b | }}"), record=recorded)
    outbox.extend([claim(1), claim(2)])
    assert take_all(outbox) == []
    assert [(number, verdict.outcome) for number, verdict in recorded] == [(1, Outcome.FAILED), (2, Outcome.FAILED)]
    assert "can't be used" in recorded[0][1].reply


def test_nothing_is_given_out_when_big_messages_fill_the_connections(recorded: Recorded) -> None:
    big = replace(SPEC, text="{{ name }}" * 6)
    outbox = Outbox(big, record=recorded, clock=lambda: 0.0)
    outbox.extend(claim(number, fields=("x" * 1_000_000,)) for number in range(9))
    taken = []
    while (outgoing := outbox.take(EIGHT_BIT)) is not None:
        taken.append(outgoing)
    assert 2 <= len(taken) < 5 and len(outbox) == 9 - len(taken)
    outbox.release(taken[0])
    assert outbox.take(EIGHT_BIT) is not None


def test_email_fails_when_its_message_is_too_long(recorded: Recorded) -> None:
    big = replace(SPEC, html="{{ name }}" * 6, text="{{ name }}" * 6)
    outbox = Outbox(big, record=recorded)
    outbox.extend([claim(1, fields=("x" * 1_000_000,)), claim(2, fields=("x" * 2_000_000,)), claim(3)])
    assert take_all(outbox) == [3]
    assert ["more than 10,000,000 characters" in verdict.reply for _, verdict in recorded] == [True, True]
