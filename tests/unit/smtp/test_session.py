"""A session's verdicts, stage by stage. The test speaks for the relay."""

from __future__ import annotations

import pytest

from batches.outcomes import Outcome
from batches.smtp.connection import Capabilities
from batches.smtp.verdicts import Verdict
from tests.unit.smtp.fakes import CONTENT, ENVELOPE, WAYS, Conversation, FakeLane, outcomes, talk


def test_message_goes_out_by_bdat_when_the_relay_offers_chunking() -> None:
    conversation = Conversation(FakeLane("a@x.org"), WAYS["bdat"])
    assert conversation.transport.read_written() == b"MAIL FROM:<s@x.org>\r\nRCPT TO:<a@x.org>\r\n"
    assert talk(conversation, *ENVELOPE["bdat"]) == b"BDAT %d LAST\r\n%s" % (len(CONTENT), CONTENT)


def test_next_envelope_follows_the_final_dot_when_the_relay_offers_pipelining() -> None:
    conversation = Conversation(FakeLane("a@x.org", "b@x.org"), WAYS["pipelined"])
    assert conversation.transport.read_written() == b"MAIL FROM:<s@x.org>\r\nRCPT TO:<a@x.org>\r\nDATA\r\n"
    assert talk(conversation, *ENVELOPE["pipelined"]) == (
        CONTENT + b".\r\n" + b"MAIL FROM:<s@x.org>\r\nRCPT TO:<b@x.org>\r\nDATA\r\n"
    )


def test_commands_go_one_by_one_when_the_relay_offers_nothing() -> None:
    conversation = Conversation(FakeLane("a@x.org"), WAYS["lockstep"])
    assert conversation.transport.read_written() == b"MAIL FROM:<s@x.org>\r\n"
    assert conversation.reply("250 2.1.0 Ok") == b"RCPT TO:<a@x.org>\r\n"
    assert conversation.reply("250 2.1.5 Ok") == b"DATA\r\n"
    assert conversation.reply("354 Go on") == CONTENT + b".\r\n"


@pytest.mark.parametrize("way", WAYS)
def test_message_is_sent_only_when_the_relay_has_accepted_its_content(way: str) -> None:
    lane = FakeLane("a@x.org")
    conversation = Conversation(lane, WAYS[way])
    talk(conversation, *ENVELOPE[way])
    assert lane.verdicts == {}
    conversation.reply("250 2.0.0 Ok: queued")
    assert lane.verdicts["a@x.org"] == Verdict(Outcome.SENT, 250, "2.0.0 Ok: queued")


@pytest.mark.parametrize(
    ("way", "count", "outcome", "is_strike"),
    [
        *((way, 0, Outcome.REQUEUED, False) for way in WAYS),
        *((way, 1, Outcome.REQUEUED, True) for way in WAYS),
        ("bdat", 2, Outcome.UNKNOWN, False),
        *((way, 2, Outcome.REQUEUED, True) for way in ("pipelined", "lockstep")),
        *((way, 3, Outcome.UNKNOWN, False) for way in ("pipelined", "lockstep")),
    ],
)
def test_message_is_in_doubt_only_when_a_connection_is_lost_after_its_content(
    way: str, count: int, outcome: Outcome, is_strike: bool
) -> None:
    """After its MAIL was accepted, the loss may be about the message, so it is a strike."""
    lane = FakeLane("a@x.org")
    conversation = Conversation(lane, WAYS[way])
    talk(conversation, *ENVELOPE[way][:count])
    conversation.lose()
    assert outcomes(lane) == {"a@x.org": outcome}
    assert lane.verdicts["a@x.org"].is_strike == is_strike
    assert conversation.session.answered_count == is_strike


@pytest.mark.parametrize("way", WAYS)
def test_no_content_is_written_when_the_lease_has_run_out(way: str) -> None:
    lane = FakeLane("a@x.org")
    lane.is_leased = False
    conversation = Conversation(lane, WAYS[way])
    written = conversation.transport.read_written()
    if not conversation.transport.is_aborted:
        written += talk(conversation, *ENVELOPE[way][:-1])
        conversation.session.data_received(ENVELOPE[way][-1].encode() + b"\r\n")
        written += conversation.transport.read_written()
    assert conversation.transport.is_aborted
    assert CONTENT not in written
    conversation.lose()
    assert outcomes(lane) == {"a@x.org": Outcome.REQUEUED}
    assert not lane.verdicts["a@x.org"].is_strike


@pytest.mark.parametrize("way", ["bdat", "pipelined"])
def test_no_content_is_written_when_the_lease_runs_out_while_the_next_message_is_made(way: str) -> None:
    """The process may be frozen for minutes between the reply that asks for a content and its write."""
    lane = FakeLane("a@x.org")
    conversation = Conversation(lane, WAYS[way])
    talk(conversation, *ENVELOPE[way][:-1])
    lane.waiting.append("b@x.org")
    lane.on_take = lambda: setattr(lane, "is_leased", False)
    assert conversation.reply(ENVELOPE[way][-1]) == b""
    assert conversation.transport.is_aborted
    assert outcomes(lane) == {"a@x.org": Outcome.REQUEUED, "b@x.org": Outcome.REQUEUED}
    assert not any(verdict.is_strike for verdict in lane.verdicts.values())


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("replies", "reason"),
    [
        (("354 Go on",), "out of step"),
        (("hello",), "not an SMTP reply"),
        (("250-a", "550 b"), "changes its code"),
    ],
)
def test_connection_ends_when_a_reply_cannot_be_right(way: str, replies: tuple[str, ...], reason: str) -> None:
    lane = FakeLane("a@x.org")
    Conversation(lane, WAYS[way]).reply(*replies)
    assert lane.loss is not None
    assert reason in lane.loss.reason
    assert Outcome.SENT not in outcomes(lane).values()


def test_connection_ends_when_a_reply_answers_no_command() -> None:
    lane = FakeLane()
    Conversation(lane, WAYS["bdat"]).reply("250 2.0.0 Ok")
    assert lane.loss is not None
    assert "to no command" in lane.loss.reason


def test_connection_ends_when_data_is_answered_with_2xx() -> None:
    lane = FakeLane("a@x.org")
    talk(Conversation(lane, WAYS["pipelined"]), "250 2.1.0 Ok", "250 2.1.5 Ok", "250 2.0.0 Ok")
    assert outcomes(lane) == {"a@x.org": Outcome.REQUEUED}
    assert lane.loss is not None
    assert "out of step" in lane.loss.reason


@pytest.mark.parametrize("way", WAYS)
def test_none_costs_an_attempt_when_the_relay_says_421(way: str) -> None:
    lane = FakeLane("a@x.org", "b@x.org")
    conversation = Conversation(lane, WAYS[way])
    conversation.reply("421 4.3.2 Going down")
    assert set(outcomes(lane).values()) == {Outcome.REQUEUED}
    assert lane.loss is not None
    assert lane.loss.has_too_many_connections


@pytest.mark.parametrize("way", WAYS)
def test_verdict_says_what_it_means_when_the_relay_refuses_the_sender(way: str) -> None:
    """Whether the connection still gets messages is the route's decision. No RSET is needed: no MAIL is open."""
    lane = FakeLane("a@x.org", "b@x.org")
    conversation = Conversation(lane, WAYS[way])
    follow_ups = {"bdat": 1, "pipelined": 2, "lockstep": 0}[way]
    written = conversation.reply("550 5.7.1 Not you", *["503 5.5.1 No MAIL"] * follow_ups)
    assert written.startswith(b"MAIL FROM:<s@x.org>\r\n")
    talk(conversation, *ENVELOPE[way], "250 2.0.0 Ok: queued")
    assert outcomes(lane) == {"a@x.org": Outcome.REQUEUED, "b@x.org": Outcome.SENT}
    assert lane.verdicts["a@x.org"].meaning is not None


def test_open_mail_is_ended_before_the_next_when_the_relay_refuses_a_recipient() -> None:
    lane = FakeLane("a@x.org", "b@x.org")
    conversation = Conversation(lane, WAYS["lockstep"])
    conversation.reply("250 2.1.0 Ok")
    assert conversation.reply("550 5.1.1 No such user") == b"RSET\r\n"
    assert conversation.reply("250 2.0.0 Ok") == b"MAIL FROM:<s@x.org>\r\n"
    assert outcomes(lane) == {"a@x.org": Outcome.FAILED}


def test_connection_ends_when_the_relay_refuses_to_end_an_open_mail() -> None:
    """The next RCPT would join that MAIL."""
    lane = FakeLane("a@x.org", "b@x.org")
    conversation = Conversation(lane, WAYS["lockstep"])
    talk(conversation, "250 2.1.0 Ok", "550 5.1.1 No such user", "502 5.5.1 No such command")
    assert lane.loss is not None
    assert lane.loss.reason == "The relay refused RSET (502 5.5.1 No such command)."
    assert lane.loss.follows_refusal
    assert outcomes(lane) == {"a@x.org": Outcome.FAILED, "b@x.org": Outcome.REQUEUED}
    assert lane.verdicts["b@x.org"].meaning is None


def test_connection_is_dropped_when_no_reply_comes_in_time() -> None:
    lane = FakeLane("a@x.org")
    conversation = Conversation(lane, WAYS["lockstep"])
    conversation.session.tick(5)
    assert not conversation.transport.is_aborted
    conversation.session.tick(0.1)
    assert conversation.transport.is_aborted
    conversation.lose()
    assert lane.loss is not None
    assert lane.loss.reason == "The relay did not answer MAIL in time."


def test_waiting_begins_again_when_a_reply_comes() -> None:
    conversation = Conversation(FakeLane("a@x.org"), WAYS["lockstep"])
    conversation.session.tick(4)
    conversation.reply("250 2.1.0 Ok")
    conversation.session.tick(4)
    assert not conversation.transport.is_aborted


def test_dots_are_doubled_at_the_start_of_lines_when_the_content_goes_by_data() -> None:
    lane = FakeLane("a@x.org", content=b".a\r\n..b\r\nc.\r\n")
    conversation = Conversation(lane, WAYS["pipelined"])
    assert talk(conversation, *ENVELOPE["pipelined"]) == b"..a\r\n...b\r\nc.\r\n.\r\n"


def test_mail_command_names_size_and_letters_when_the_relay_offers_it() -> None:
    capabilities = Capabilities.of({"size": "1000", "smtputf8": "", "8bitmime": ""})
    conversation = Conversation(FakeLane("zoë@x.org"), capabilities)
    assert conversation.transport.read_written() == b"MAIL FROM:<s@x.org> SIZE=%d SMTPUTF8\r\n" % len(CONTENT)


def test_nothing_is_taken_while_the_socket_is_full() -> None:
    lane = FakeLane("a@x.org")
    conversation = Conversation(FakeLane(), WAYS["bdat"])
    conversation.session.pause_writing()
    conversation.lane.waiting = lane.waiting
    conversation.session.pump()
    assert conversation.transport.read_written() == b""
    conversation.session.resume_writing()
    assert b"RCPT TO:<a@x.org>" in conversation.transport.read_written()
