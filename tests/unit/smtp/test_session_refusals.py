"""What a session writes after a refusal, and what a relay that closes then leaves in doubt."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from batches.outcomes import Outcome
from batches.smtp.depth import REFUSALS_MAX, RESETS_MAX
from tests.unit.smtp.fakes import WAYS, Conversation, FakeLane, outcomes, talk
from tests.unit.smtp.relay_model import QUEUED, Relay, RelayConnection, converse, send_all

UNKNOWN_USER = "550 5.1.1 No such user"
SHARES = [0.0, 0.01, 0.1, 0.3, 0.6, 1.0]


def draw(count: int, share: float, *, seed: int) -> tuple[list[str], set[str]]:
    """Return recipients, and those of them that the relay does not know."""
    chance = random.Random(seed)
    recipients = [f"r{number}@x.org" for number in range(count)]
    return recipients, {recipient for recipient in recipients if chance.random() < share}


def refuse(unknown: set[str], reply: str = UNKNOWN_USER) -> dict[str, object]:
    return {"at_rcpt": lambda recipient: reply if recipient in unknown else ""}


def assert_no_wrong_person(relay: Relay) -> None:
    for recipients, content in relay.accepted:
        assert content == b"To: %s\r\n\r\nHello\r\n" % recipients[0].encode()
        assert len(recipients) == 1


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("share", SHARES)
@pytest.mark.parametrize("stage", ["at_rcpt", "at_end"])
@pytest.mark.parametrize("reply", [UNKNOWN_USER, "452 4.2.2 Mailbox full"])
def test_every_good_recipient_is_sent_once_when_the_relay_refuses_some(
    way: str, share: float, stage: str, reply: str
) -> None:
    recipients, refused = draw(400, share, seed=7)
    relay = Relay(**{stage: lambda recipient: reply if recipient in refused else ""})  # type: ignore[arg-type]
    lane, _ = send_all(relay, recipients, way)
    refusal = Outcome.FAILED if reply.startswith("5") else Outcome.DEFERRED
    assert outcomes(lane) == {each: refusal if each in refused else Outcome.SENT for each in recipients}
    assert Counter(each for envelope, _ in relay.accepted for each in envelope) == Counter(set(recipients) - refused)
    assert_no_wrong_person(relay)
    assert set(relay.endings) <= {"QUIT"}, "the relay never had to close a connection"


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("share", SHARES)
@pytest.mark.parametrize("stage", ["at_rcpt", "at_end"])
def test_next_to_nothing_is_in_doubt_when_the_relay_closes_after_each_refusal(
    way: str, share: float, stage: str
) -> None:
    """Only the first closing can meet messages that followed without knowing, and only after many acceptances."""
    recipients, refused = draw(400, share, seed=7)
    relay = Relay(**{stage: lambda recipient: UNKNOWN_USER if recipient in refused else ""}, closes=True)  # type: ignore[arg-type]
    lane, _ = send_all(relay, recipients, way)
    in_doubt = [each for each, verdict in lane.verdicts.items() if verdict.outcome is Outcome.UNKNOWN]
    assert len(in_doubt) < RESETS_MAX
    if share >= 0.3:
        assert in_doubt == []
    expected = {each: Outcome.FAILED if each in refused else Outcome.SENT for each in recipients}
    assert outcomes(lane) == expected | dict.fromkeys(in_doubt, Outcome.UNKNOWN)
    assert max(Counter(each for envelope, _ in relay.accepted for each in envelope).values(), default=0) <= 1
    assert_no_wrong_person(relay)


@pytest.mark.parametrize("run", [3, 9, 12, 40])
def test_commands_without_mail_are_never_used_up_when_many_refusals_follow_each_other(run: int) -> None:
    """At full depth everything in flight may be refused, as when a list holds a domain that is gone."""
    recipients, _ = draw(120 + run, 0, seed=1)
    unknown = set(recipients[80 : 80 + run])
    relay = Relay(**refuse(unknown))  # type: ignore[arg-type]
    lane, _ = send_all(relay, recipients, depth=64)
    assert Counter(outcomes(lane).values()) == {Outcome.SENT: 120, Outcome.FAILED: run}
    assert set(relay.endings) <= {"QUIT"}


def test_no_rset_is_written_when_nothing_was_refused_and_nothing_is_in_flight() -> None:
    lane = FakeLane("a@x.org")
    relay = Relay()
    conversation = Conversation(lane, WAYS["bdat"])
    connection = RelayConnection(relay)
    for number in range(5):
        converse(conversation, connection)
        lane.waiting.append(f"{number}@x.org")
        conversation.session.pump()
    converse(conversation, connection)
    assert (len(relay.accepted), relay.resets) == (6, 0)


def test_content_waits_for_its_recipient_when_a_connection_begins() -> None:
    conversation = Conversation(FakeLane("a@x.org", "b@x.org", "c@x.org"), WAYS["bdat"])
    assert conversation.transport.read_written().count(b"MAIL") == 1
    assert conversation.reply("250 2.1.0 Ok") == b""
    written = conversation.reply("250 2.1.5 Ok")
    assert written.startswith(b"BDAT ")
    assert written.endswith(b"RSET\r\nMAIL FROM:<s@x.org>\r\nRCPT TO:<b@x.org>\r\n")
    assert conversation.reply(QUEUED) == b""


def test_depth_doubles_to_its_limit_when_the_relay_accepts_everything() -> None:
    recipients, _ = draw(200, 0, seed=1)
    lane = FakeLane(*recipients)
    conversation = Conversation(lane, WAYS["bdat"], depth=8)
    connection = RelayConnection(Relay())
    found: dict[int, int] = {}
    while len(lane.verdicts) < 100:
        session = conversation.session
        found.setdefault(session._depth.in_flight_max * (not session._depth.holds_content), session.sent_count)
        for reply in connection.read(conversation.transport.read_written()):
            conversation.session.data_received(f"{reply}\r\n".encode())
    assert found == {0: 0, 2: 16, 4: 32, 8: 48}


def test_content_waits_again_when_the_relay_has_refused_a_recipient() -> None:
    recipients, _ = draw(200, 0, seed=1)
    lane = FakeLane(*recipients)
    conversation = Conversation(lane, WAYS["bdat"], depth=8)
    connection = RelayConnection(Relay(**refuse({"r90@x.org"})))  # type: ignore[arg-type]
    while "r90@x.org" not in lane.verdicts:
        for reply in connection.read(conversation.transport.read_written()):
            conversation.session.data_received(f"{reply}\r\n".encode())
    assert conversation.session._depth.holds_content


@pytest.mark.parametrize("way", WAYS)
def test_nothing_follows_a_message_when_the_relay_closes_after_refusals(way: str) -> None:
    conversation = Conversation(FakeLane("a@x.org", "b@x.org"), WAYS[way], closes_after_refusals=True)
    written = conversation.transport.read_written() + talk(conversation, "250 2.1.0 Ok", "250 2.1.5 Ok")
    if way != "bdat":
        written += conversation.reply("354 Go on")
    assert (written.count(b"MAIL"), written.count(b"b@x.org")) == (1, 0)
    assert b"Hello" in written
    assert conversation.reply(QUEUED).startswith(b"MAIL FROM")


@pytest.mark.parametrize("way", WAYS)
def test_connection_is_replaced_when_it_has_met_many_refusals(way: str) -> None:
    recipients, _ = draw(REFUSALS_MAX + 5, 0, seed=1)
    relay = Relay(**refuse(set(recipients)))  # type: ignore[arg-type]
    lane, conversations = send_all(relay, recipients, way)
    assert set(outcomes(lane).values()) == {Outcome.FAILED}
    assert relay.endings[0] == "QUIT"
    assert len(conversations) == 2
    assert conversations[0].session.answered_count in (REFUSALS_MAX, REFUSALS_MAX + 1)


@pytest.mark.parametrize("way", WAYS)
def test_loss_follows_a_refusal_only_when_the_relay_closes_right_after_one(way: str) -> None:
    lane = FakeLane("a@x.org", "b@x.org")
    conversation = Conversation(lane, WAYS[way])
    converse(conversation, RelayConnection(Relay(**refuse({"a@x.org"}), closes=True)))  # type: ignore[arg-type]
    assert lane.loss is not None
    assert lane.loss.follows_refusal
    assert outcomes(lane)["a@x.org"] is Outcome.FAILED

    lane = FakeLane("a@x.org", "b@x.org")
    conversation = Conversation(lane, WAYS[way])
    converse(conversation, RelayConnection(Relay(**refuse({"a@x.org"}))))  # type: ignore[arg-type]
    conversation.lose()  # after b was accepted
    assert lane.loss is not None
    assert not lane.loss.follows_refusal


def test_loss_does_not_follow_a_refusal_when_the_connection_was_idle_meanwhile() -> None:
    lane = FakeLane("a@x.org")
    conversation = Conversation(lane, WAYS["bdat"])
    converse(conversation, RelayConnection(Relay(**refuse({"a@x.org"}))))  # type: ignore[arg-type]
    conversation.session.tick(1)
    conversation.lose()
    assert lane.loss is not None
    assert not lane.loss.follows_refusal


def test_messages_are_in_doubt_when_the_relay_closes_after_their_content_whatever_it_said_before() -> None:
    """A clean end after a refusal does not prove that nothing after it was taken."""
    recipients, _ = draw(80, 0, seed=1)
    relay = Relay(**refuse({"r70@x.org"}), closes=True)  # type: ignore[arg-type]
    lane, _ = send_all(relay, recipients, depth=8)
    in_doubt = {each for each, outcome in outcomes(lane).items() if outcome is Outcome.UNKNOWN}
    assert in_doubt
    assert in_doubt <= {f"r{number}@x.org" for number in range(71, 79)}
    assert all(relay.count_copies(each) == 0 for each in in_doubt)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("seed", range(20))
def test_no_acceptance_is_lost_or_invented_whatever_the_relay_does(way: str, seed: int) -> None:
    """A random relay: refusals at both stages, 421, closings, and replies in segments of any size."""
    chance = random.Random(seed)
    recipients, unknown = draw(150, chance.choice([0.02, 0.2, 0.5]), seed=seed)
    at_end = {each for each in recipients if chance.random() < 0.1}
    closing = {each for each in recipients if chance.random() < 0.05}

    def at_rcpt(recipient: str) -> str:
        if recipient in closing and chance.random() < 0.7:
            return "421 4.7.0 Not now"
        return chance.choice([UNKNOWN_USER, "450 4.2.0 Greylisted"]) if recipient in unknown else ""

    relay = Relay(
        at_rcpt=at_rcpt,
        at_end=lambda recipient: "554 5.7.1 Spam" if recipient in at_end else "",
        closes=chance.random() < 0.5,
    )
    lane, _ = send_all(relay, recipients, way, one_by_one=chance.random() < 0.5)
    assert set(lane.verdicts) == set(recipients)
    for recipient, outcome in outcomes(lane).items():
        copies = relay.count_copies(recipient)
        assert copies <= 1
        if outcome is not Outcome.UNKNOWN:
            assert copies == (outcome is Outcome.SENT), (recipient, outcome)
    assert_no_wrong_person(relay)
