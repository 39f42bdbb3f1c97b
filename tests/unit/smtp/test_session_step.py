"""Replies out of step: where they can be, and acceptances that only look like them."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from batches.outcomes import Outcome
from tests.unit.smtp.fakes import ENVELOPE, WAYS, Conversation, FakeLane, outcomes, talk
from tests.unit.smtp.relay_model import CONTENT, QUEUED, Relay, RelayConnection, converse, send_all

RECIPIENTS = [f"r{number}@x.org" for number in range(60)]
ACCEPTED = "250 2.1.5 Ok"


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    "reply", ["250 2.1.5 Ok", "250 2.1.0 Ok", "250 2.0.0 Reset", "250 2.1.5 <a@x.org> taken", "299"]
)
@pytest.mark.parametrize("help_reply", ["214 2.0.0 See RFC 5321", "502 5.5.1 Not implemented", "250 Ok", "550 No"])
@pytest.mark.parametrize(
    "is_meant",
    [
        lambda number: number == 1,
        lambda number: number == 2,
        lambda number: number == 10,
        lambda number: number > 40,
        lambda number: True,
    ],
    ids=["first", "second", "tenth", "at full depth", "always"],
)
def test_message_is_sent_when_a_relay_accepts_it_in_the_words_of_another_reply(
    way: str, reply: str, help_reply: str, is_meant: Callable[[int], bool]
) -> None:
    """The first digit decides (RFC 5321 section 4.2), whatever the relay says to HELP."""
    relay = Relay(say_accepted=lambda number: reply if is_meant(number) else QUEUED, knows_help=help_reply)
    lane, _ = send_all(relay, RECIPIENTS, way)
    assert outcomes(lane) == dict.fromkeys(RECIPIENTS, Outcome.SENT)
    assert [relay.count_copies(each) for each in RECIPIENTS] == [1] * len(RECIPIENTS)


@pytest.mark.parametrize("help_reply", ["214 2.0.0 See RFC 5321", "502 5.5.1 Not implemented"])
def test_one_question_is_enough_when_a_relay_always_accepts_in_those_words(help_reply: str) -> None:
    relay = Relay(say_accepted=lambda number: ACCEPTED, knows_help=help_reply)
    send_all(relay, RECIPIENTS)
    assert relay.connections == 1


@pytest.mark.parametrize("way", ["pipelined", "lockstep"])
def test_no_question_is_asked_when_a_354_comes_before_each_content(way: str) -> None:
    lane = FakeLane("a@x.org")
    conversation = Conversation(lane, WAYS[way])
    assert b"HELP" not in talk(conversation, *ENVELOPE[way], ACCEPTED)
    assert outcomes(lane) == {"a@x.org": Outcome.SENT}


def drop_reply(wanted: int) -> Callable[[int, str], tuple[str, ...]]:
    return lambda number, reply: () if number == wanted else (reply,)


def repeat_reply(wanted: int) -> Callable[[int, str], tuple[str, ...]]:
    return lambda number, reply: (reply, reply) if number == wanted else (reply,)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("edit", [drop_reply, repeat_reply])
@pytest.mark.parametrize("wanted", [*range(1, 12), 66, 67, 68, 69, 150, 151, 152, 153])
def test_nothing_is_falsely_sent_when_a_relay_drops_or_repeats_a_reply(
    way: str, edit: Callable[[int], Callable[[int, str], tuple[str, ...]]], wanted: int
) -> None:
    """No message is sent that the relay has not taken. One whose reply cannot be told apart is in doubt."""
    refused = {f"r{number}@x.org" for number in range(1, 60, 7)}

    def refuse(recipient: str) -> str:
        return "550 5.1.1 No" if recipient in refused else ""

    for relay in (Relay(), Relay(at_rcpt=refuse), Relay(at_end=refuse)):
        relay.edit = edit(wanted)
        lane = send_until_silent(relay, way)
        for recipient, outcome in outcomes(lane).items():
            if outcome is Outcome.SENT:
                assert relay.count_copies(recipient) == 1, recipient


def send_until_silent(relay: Relay, way: str) -> FakeLane:
    """Send over one connection. If both sides wait for each other, the session's time runs out."""
    lane = FakeLane(*RECIPIENTS, content=CONTENT)
    conversation = Conversation(lane, WAYS[way], depth=13)
    converse(conversation, RelayConnection(relay))
    if lane.loss is None:
        conversation.session.tick(600)
        conversation.lose()
    return lane


def test_message_is_in_doubt_when_a_late_reply_to_its_envelope_comes_in_place_of_its_own() -> None:
    """A second reply to MAIL makes RCPT's reply look like the message's, which the relay may still refuse."""
    lane = FakeLane("a@x.org")
    conversation = Conversation(lane, WAYS["bdat"])
    talk(conversation, "250 2.1.0 Ok", "250 2.1.0 Ok")
    assert conversation.reply("250 2.1.5 Ok") == b"HELP\r\n"
    assert conversation.reply("250 2.0.0 Ok: queued") == b"QUIT\r\n"
    conversation.reply("214 2.0.0 See RFC 5321")
    assert outcomes(lane) == {"a@x.org": Outcome.UNKNOWN}
    assert lane.loss is not None
    assert "out of step" in lane.loss.reason


def test_message_is_in_doubt_when_the_relay_never_answers_the_question() -> None:
    lane = FakeLane("a@x.org", "b@x.org")
    conversation = Conversation(lane, WAYS["bdat"])
    talk(conversation, *ENVELOPE["bdat"], ACCEPTED, "250 2.0.0 Reset", *ENVELOPE["bdat"], QUEUED)
    assert not conversation.session.is_idle
    conversation.session.tick(6)
    conversation.lose()
    assert outcomes(lane) == {"a@x.org": Outcome.UNKNOWN, "b@x.org": Outcome.UNKNOWN}
