"""A relay that says 421, or closes the connection without a word: which message it was about."""

from __future__ import annotations

import pytest

from batches.outcomes import Outcome, ReplyMeaning
from batches.smtp.connection import Loss
from tests.unit.smtp.fakes import ENVELOPE, WAYS, Conversation, FakeLane, outcomes, talk
from tests.unit.smtp.relay_model import QUEUED, Relay, RelayConnection, converse, send_all

CLOSING = "421 4.3.2 Try again later"


def loss_of(lane: FakeLane) -> Loss:
    assert lane.loss is not None
    return lane.loss


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("count", [1, 2, 3])
def test_first_message_gets_a_strike_when_421_answers_it(way: str, count: int) -> None:
    """The others are requeued without doubt, because the relay processes nothing after a 421."""
    lane = FakeLane("a@x.org", "b@x.org", "c@x.org")
    conversation = Conversation(lane, WAYS[way])
    talk(conversation, *ENVELOPE[way][:count], CLOSING)
    taken = outcomes(lane)
    assert set(taken.values()) == {Outcome.REQUEUED}
    assert lane.verdicts["a@x.org"].is_strike
    assert (lane.verdicts["a@x.org"].code, lane.verdicts["a@x.org"].reply) == (421, "4.3.2 Try again later")
    assert not any(lane.verdicts[each].is_strike for each in taken if each != "a@x.org")
    assert not loss_of(lane).has_too_many_connections
    assert conversation.session.answered_count == 1


@pytest.mark.parametrize("way", WAYS)
def test_no_message_gets_a_strike_when_421_comes_before_its_mail_is_accepted(way: str) -> None:
    lane = FakeLane("a@x.org")
    conversation = Conversation(lane, WAYS[way])
    conversation.reply("421 4.7.0 Too many connections, try later")
    assert not lane.verdicts["a@x.org"].is_strike
    assert loss_of(lane).has_too_many_connections
    assert conversation.session.answered_count == 0


def test_verdict_says_what_it_means_when_a_rule_names_the_421_to_mail() -> None:
    lane = FakeLane("a@x.org")
    Conversation(lane, WAYS["bdat"]).reply("421 Throttling failure: Maximum sending rate exceeded.")
    verdict = lane.verdicts["a@x.org"]
    assert verdict.outcome is Outcome.REQUEUED
    assert verdict.meaning is ReplyMeaning.RATE


@pytest.mark.parametrize("way", WAYS)
def test_every_other_recipient_is_sent_when_421_always_meets_one(way: str) -> None:
    recipients = [f"r{number}@x.org" for number in range(200)]
    relay = Relay(at_rcpt=lambda recipient: CLOSING if recipient == "r77@x.org" else "")
    lane, _ = send_all(relay, recipients, way)
    assert lane.verdicts["r77@x.org"].is_strike
    del lane.verdicts["r77@x.org"]
    assert set(outcomes(lane).values()) == {Outcome.SENT}
    assert len(relay.accepted) == 199
    assert relay.connections <= 2 + 3


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("is_421", [True, False])
def test_refused_message_keeps_its_refusal_when_the_relay_closes_after_it(way: str, is_421: bool) -> None:
    lane = FakeLane("a@x.org", "b@x.org")
    conversation = Conversation(lane, WAYS[way])
    talk(conversation, "250 2.1.0 Ok", "550 5.1.1 No such user")
    if is_421:
        conversation.reply("421 4.7.0 Error: too many errors")
    else:
        conversation.lose()
    assert outcomes(lane)["a@x.org"] is Outcome.FAILED
    assert outcomes(lane).get("b@x.org", Outcome.REQUEUED) is Outcome.REQUEUED
    assert not any(verdict.is_strike for verdict in lane.verdicts.values())
    assert all(verdict.meaning is None for name, verdict in lane.verdicts.items() if name != "a@x.org")
    assert loss_of(lane).follows_refusal
    assert not loss_of(lane).has_too_many_connections


@pytest.mark.parametrize("way", WAYS)
def test_nothing_is_learned_when_the_relay_has_a_limit_for_one_connection(way: str) -> None:
    """The 421 answers the MAIL after a refused message whose RSET was accepted."""
    lane = FakeLane("a@x.org", "b@x.org")
    conversation = Conversation(lane, WAYS[way])
    talk(conversation, "250 2.1.0 Ok", "550 5.1.1 No such user")
    if way == "pipelined":
        conversation.reply("503 5.5.1 No recipients")
    talk(conversation, "250 2.0.0 Reset", "421 4.7.0 Too many messages in this connection")
    assert outcomes(lane) == {"a@x.org": Outcome.FAILED, "b@x.org": Outcome.REQUEUED}
    assert not loss_of(lane).follows_refusal


@pytest.mark.parametrize("way", WAYS)
def test_message_gets_a_strike_when_the_relay_does_not_answer_its_recipient(way: str) -> None:
    lane = FakeLane("a@x.org")
    conversation = Conversation(lane, WAYS[way])
    conversation.reply("250 2.1.0 Ok")
    conversation.session.tick(6)
    conversation.lose()
    assert lane.verdicts["a@x.org"].is_strike
    assert loss_of(lane).reason == "The relay did not answer RCPT in time."


@pytest.mark.parametrize("way", WAYS)
def test_no_message_gets_a_strike_when_the_connection_ends_for_our_reasons(way: str) -> None:
    lane = FakeLane("a@x.org")
    conversation = Conversation(lane, WAYS[way])
    conversation.reply("250 2.1.0 Ok")
    conversation.session.abort(Loss(reason="The worker stops."))
    conversation.lose()
    assert (lane.verdicts["a@x.org"].outcome, lane.verdicts["a@x.org"].is_strike) == (Outcome.REQUEUED, False)


def test_message_is_in_doubt_when_its_rset_was_refused_and_the_relay_then_closed() -> None:
    """Its content was written too, and a relay that knows no RSET may have taken it."""
    recipients = [f"r{number}@x.org" for number in range(40)]
    lane = FakeLane(*recipients)
    conversation = Conversation(lane, WAYS["bdat"])
    connection = RelayConnection(Relay())
    while len(lane.verdicts) < 32:
        written = conversation.transport.read_written()
        for reply in connection.read(written):
            conversation.session.data_received(f"{reply}\r\n".encode())
    accepted = dict(lane.verdicts)
    assert conversation.transport.read_written().startswith(b"RSET\r\nMAIL")
    talk(conversation, "250 2.0.0 Reset", *ENVELOPE["bdat"], QUEUED, "502 5.5.1 RSET is not known")
    conversation.lose()
    lost = [verdict.outcome for name, verdict in lane.verdicts.items() if name not in accepted]
    assert lost[0] is Outcome.SENT
    assert set(lost[1:]) == {Outcome.UNKNOWN}


def test_message_is_sent_when_its_rset_was_refused_and_the_relay_accepted_it() -> None:
    """The last reply to a message decides: it has been taken, and may not be sent again."""
    recipients = [f"r{number}@x.org" for number in range(60)]
    relay = Relay(edit=lambda number, reply: ("502 5.5.1 Not known" if "Reset" in reply else reply,))
    lane, _ = send_all(relay, recipients)
    assert set(outcomes(lane).values()) == {Outcome.SENT}
    assert [relay.count_copies(each) for each in recipients] == [1] * 60


def test_session_that_quits_says_that_we_closed_the_connection() -> None:
    lane = FakeLane("a@x.org")
    conversation = Conversation(lane, WAYS["bdat"])
    converse(conversation, RelayConnection(Relay()))
    conversation.session.quit()
    conversation.lose()
    assert loss_of(lane) == Loss(reason="We closed the connection.")
