"""The SMTP session against a real server that misbehaves at each stage, in each of the three ways to send."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from batches.outcomes import Outcome
from batches.smtp.connection import Timeouts
from batches.smtp.relay import RelayError, open_session, parse_relay
from batches.smtp.session import Session
from tests.smtpserver import Behaviour, Rule, RunningServer
from tests.unit.smtp.fakes import FakeLane

WAYS = {
    "bdat": {},
    "pipelined": {"chunking": False},
    "lockstep": {"chunking": False, "pipelining": False},
}
FAST = Timeouts(connect_seconds=2, command_seconds=0.4, final_seconds=0.6)
CONTENT = b"Subject: x\r\n\r\n.dots\r\n..more\r\n\r\nend\r\n"


@pytest.fixture(scope="module")
def server() -> Iterator[RunningServer]:
    with RunningServer(keep_raw=True) as running:
        yield running


async def send(
    server: RunningServer, way: str, recipients: list[str], lane: FakeLane | None = None, **behaviour: Any
) -> FakeLane:
    """Send to all recipients over one connection, until each has its verdict or the connection is lost."""
    server.become(Behaviour(**{**WAYS[way], **behaviour}))
    lane = lane or FakeLane(*recipients, content=CONTENT)
    session = await open_session(parse_relay(server.url), lane=lane, timeouts=FAST, depth=8)
    session.pump()
    loop = asyncio.get_running_loop()
    until = loop.time() + 10
    while len(lane.verdicts) < len(recipients) and lane.loss is None:
        assert loop.time() < until, f"only {lane.verdicts}"
        await asyncio.sleep(0.005)
        session.tick(0.005)
    if lane.loss is None:
        session.quit()
        await asyncio.wait_for(lane.is_over.wait(), 5)
    return lane


def names(count: int, start: str) -> list[str]:
    return [f"{start}{number}@example.org" for number in range(count)]


def accepted(server: RunningServer, recipients: list[str]) -> list[str]:
    wanted = set(recipients)
    return [entry.recipient for entry in server.accepted() if entry.recipient in wanted]


@pytest.mark.parametrize("way", WAYS)
async def test_each_message_arrives_once_and_whole_when_relay_is_polite(server: RunningServer, way: str) -> None:
    recipients = names(50, f"polite-{way}-")
    lane = await send(server, way, recipients)
    assert {verdict.outcome for verdict in lane.verdicts.values()} == {Outcome.SENT}
    assert sorted(accepted(server, recipients)) == sorted(recipients)
    raw = [entry.raw for entry in server.accepted() if entry.recipient in recipients]
    assert raw == [CONTENT] * 50


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("stage", ["rcpt", "dot"])
@pytest.mark.parametrize(("code", "verdict"), [("550", Outcome.FAILED), ("450", Outcome.DEFERRED)])
async def test_only_that_recipient_is_refused_when_relay_refuses_one(
    server: RunningServer, way: str, stage: str, code: str, verdict: Outcome
) -> None:
    verb = "fail" if code == "550" else "defer"
    bad = f"{verb}-{code}-{stage}-{way}@example.org"
    good = names(6, f"good-{way}-{stage}-{code}-")
    lane = await send(server, way, [*good[:3], bad, *good[3:]])
    assert lane.verdicts[bad].outcome is verdict
    assert lane.verdicts[bad].code == int(code)
    assert [lane.verdicts[name].outcome for name in good] == [Outcome.SENT] * 6
    assert sorted(accepted(server, [*good, bad])) == good


@pytest.mark.parametrize("way", ["pipelined", "lockstep"])
@pytest.mark.parametrize(("code", "verdict"), [("554", Outcome.FAILED), ("451", Outcome.DEFERRED)])
async def test_only_that_message_is_refused_when_relay_refuses_data(
    server: RunningServer, way: str, code: str, verdict: Outcome
) -> None:
    good = names(4, f"data-{way}-{code}-")
    bad = f"refused-{way}-{code}@example.org"
    rule = Rule(stage="data", action=f"{code} 4.3.0 No", recipient="^refused-")
    lane = await send(server, way, [*good[:2], bad, *good[2:]], rules=(rule,))
    assert lane.verdicts[bad].outcome is verdict
    assert sorted(accepted(server, [*good, bad])) == good


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("code", ["550", "530"])
async def test_no_email_loses_an_attempt_when_relay_refuses_the_sender(
    server: RunningServer, way: str, code: str
) -> None:
    recipients = names(5, f"sender-{way}-{code}-")
    lane = await send(server, way, recipients, rules=(Rule(stage="mail", action=f"{code} 5.7.1 Not you"),))
    assert {(verdict.outcome, verdict.code) for verdict in lane.verdicts.values()} == {(Outcome.REQUEUED, int(code))}
    assert None not in {verdict.meaning for verdict in lane.verdicts.values()}
    assert accepted(server, recipients) == []


@pytest.mark.parametrize("way", WAYS)
async def test_message_is_in_doubt_when_relay_accepts_it_and_hangs_up(server: RunningServer, way: str) -> None:
    lost = f"lose-{way}@example.org"
    lane = await send(server, way, [lost])
    assert lane.verdicts[lost].outcome is Outcome.UNKNOWN
    assert accepted(server, [lost]) == [lost]


@pytest.mark.parametrize("way", ["pipelined", "lockstep"])
@pytest.mark.parametrize("stage", ["rcpt", "data"])
async def test_message_gets_a_strike_when_connection_drops_before_its_content(
    server: RunningServer, way: str, stage: str
) -> None:
    dropped = f"drop-{stage}-{way}@example.org"
    lane = await send(server, way, [dropped])
    assert lane.verdicts[dropped].outcome is Outcome.REQUEUED
    assert lane.verdicts[dropped].is_strike
    assert accepted(server, [dropped]) == []


@pytest.mark.parametrize("way", WAYS)
async def test_nothing_is_counted_when_relay_says_421(server: RunningServer, way: str) -> None:
    recipients = names(3, f"closing-{way}-")
    lane = await send(server, way, recipients, rules=(Rule(stage="rcpt", action="421 4.3.2 Going down"),))
    first, *others = recipients
    assert {verdict.outcome for verdict in lane.verdicts.values()} == {Outcome.REQUEUED}
    assert lane.verdicts[first].is_strike
    assert (lane.verdicts[first].code, lane.verdicts[first].reply) == (421, "4.3.2 Going down")
    assert not any(lane.verdicts[name].is_strike for name in others if name in lane.verdicts)
    assert lane.loss is not None
    assert not lane.loss.has_too_many_connections


@pytest.mark.parametrize("way", WAYS)
async def test_message_is_in_doubt_when_relay_never_answers_it(server: RunningServer, way: str) -> None:
    hung = f"hang-reply-{way}@example.org"
    lane = await send(server, way, [hung])
    assert lane.verdicts[hung].outcome is Outcome.UNKNOWN
    assert lane.loss is not None
    assert "in time" in lane.loss.reason


@pytest.mark.parametrize("way", WAYS)
async def test_no_content_goes_out_when_the_lease_has_run_out(server: RunningServer, way: str) -> None:
    recipients = [f"late-{way}@example.org"]
    lane = FakeLane(*recipients, content=CONTENT)
    lane.is_leased = False
    await send(server, way, recipients, lane)
    assert Outcome.SENT not in {verdict.outcome for verdict in lane.verdicts.values()}
    assert accepted(server, recipients) == []


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    "reply",
    ["250 " + "x" * 9000, "999 what", "hello", "250-a\r\n550 b", "354 go on", "250 one\r\n250 too many"],
    ids=["endless", "no code", "no reply", "two codes", "out of step", "one too many"],
)
async def test_connection_ends_and_nothing_is_falsely_sent_when_replies_are_not_smtp(
    server: RunningServer, way: str, reply: str
) -> None:
    recipients = names(4, f"rude-{way}-{len(reply)}-")
    lane = await send(server, way, recipients, rules=(Rule(stage="mail", action=reply),))
    assert lane.loss is not None
    sent = [name for name, verdict in lane.verdicts.items() if verdict.outcome is Outcome.SENT]
    assert set(sent) <= set(accepted(server, recipients))


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    "meant", ["^taken0-", "^taken1-", "^taken9-", "^taken"], ids=["first", "second", "tenth", "all"]
)
async def test_each_message_is_sent_once_when_relay_accepts_contents_as_it_accepts_recipients(
    server: RunningServer, way: str, meant: str
) -> None:
    recipients = [f"taken{number}-{way}-{len(meant)}{meant[6:7]}@example.org" for number in range(40)]
    rule = Rule(stage="reply", action="250 2.1.5 Ok", recipient=meant)
    lane = await send(server, way, recipients, rules=(rule,))
    assert {verdict.outcome for verdict in lane.verdicts.values()} == {Outcome.SENT}
    assert sorted(accepted(server, recipients)) == sorted(recipients)


@pytest.mark.parametrize("way", WAYS)
async def test_reply_is_kept_readable_when_it_has_many_lines_and_odd_letters(server: RunningServer, way: str) -> None:
    recipient = f"odd-{way}@example.org"
    rule = Rule(stage="rcpt", action="550-5.1.1 Zoë\r\n550-\x07line\r\n550 end")
    lane = await send(server, way, [recipient], rules=(rule,))
    verdict, code, reply, *_ = lane.verdicts[recipient]
    assert (verdict, code) == (Outcome.FAILED, 550)
    assert reply.isprintable()
    assert reply.startswith("5.1.1 Zo")
    assert reply.endswith("end")


@pytest.mark.parametrize(
    ("behaviour", "scheme", "words"),
    [
        (Behaviour(refuse=True), "smtp", r"The relay 127.0.0.1:\d+ can't be reached: Connection refused\.$"),
        (Behaviour(rules=(Rule(stage="connect", action="554 Go away"),)), "smtp", "554 Go away"),
        (Behaviour(rules=(Rule(stage="ehlo", action="550 No"),)), "smtp", "550"),
        (Behaviour(credentials="ann:right"), "smtp://ann:wrong@", "refused the login"),
        (Behaviour(), "smtp+tls", "STARTTLS"),
    ],
    ids=["refused", "greeting", "ehlo", "login", "no starttls"],
)
async def test_relay_error_is_a_sentence_when_relay_cannot_be_used(
    server: RunningServer, behaviour: Behaviour, scheme: str, words: str
) -> None:
    server.become(behaviour)
    url = (scheme if "://" in scheme else f"{scheme}://") + f"127.0.0.1:{server.port}"
    with pytest.raises(RelayError, match=words) as caught:
        await open_session(parse_relay(url), lane=FakeLane(), timeouts=FAST, depth=8)
    assert "wrong" not in str(caught.value)
    server.become(Behaviour())


@pytest.mark.parametrize(("code", "is_expected"), [(421, True), (450, False), (554, False)])
async def test_relay_has_too_many_connections_only_when_its_greeting_is_421(
    server: RunningServer, code: int, is_expected: bool
) -> None:
    server.become(Behaviour(rules=(Rule(stage="connect", action=f"{code} 4.7.0 Not now"),)))
    with pytest.raises(RelayError) as caught:
        await open_session(parse_relay(server.url), lane=FakeLane(), timeouts=FAST, depth=8)
    assert caught.value.has_too_many_connections is is_expected
    server.become(Behaviour())


def unique_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


@pytest.fixture
def smtp_sink() -> Iterator[Callable[..., int]]:
    """Start Postfix's own test server. Without it the test is skipped, unless REQUIRE_POSTFIX is set."""
    started: list[subprocess.Popen[bytes]] = []

    def start(*arguments: str) -> int:
        port = unique_port()
        try:
            started.append(subprocess.Popen(["smtp-sink", "-u", "nobody", *arguments, f"127.0.0.1:{port}", "100"]))
        except FileNotFoundError:
            if os.environ.get("REQUIRE_POSTFIX"):
                raise
            pytest.skip("smtp-sink is missing; it comes with Debian's package postfix.")
        return port

    yield start
    for process in started:
        process.terminate()
        process.wait(timeout=5)


async def connect_when_up(port: int, lane: FakeLane) -> Session[str]:
    until = asyncio.get_running_loop().time() + 5
    while True:
        try:
            return await open_session(parse_relay(f"smtp://127.0.0.1:{port}"), lane=lane, timeouts=FAST, depth=8)
        except RelayError:
            assert asyncio.get_running_loop().time() < until
            await asyncio.sleep(0.02)


@pytest.mark.parametrize(
    ("arguments", "first", "others"),
    [
        ((), {Outcome.SENT}, Outcome.SENT),
        (("-f", "RCPT"), {Outcome.FAILED}, Outcome.FAILED),
        (("-r", "DATA"), {Outcome.DEFERRED}, Outcome.DEFERRED),
        (("-f", "."), {Outcome.FAILED}, Outcome.FAILED),
        # The kernel may throw away the replies to MAIL and RCPT when smtp-sink closes the connection.
        (("-q", "DATA"), {Outcome.REQUEUED}, None),
        (("-q", "."), {Outcome.UNKNOWN}, Outcome.REQUEUED),
        # The kernel may throw away the 550 too, because smtp-sink does not read the message.
        (("-A", "0"), {Outcome.FAILED, Outcome.UNKNOWN}, Outcome.REQUEUED),
    ],
    ids=["polite", "5xx rcpt", "4xx data", "5xx dot", "quit data", "quit dot", "early 550"],
)
async def test_verdicts_fit_the_fault_when_smtp_sink_commits_it(
    smtp_sink: Callable[..., int], arguments: tuple[str, ...], first: set[Outcome], others: Outcome | None
) -> None:
    lane = FakeLane(*names(3, "sink-"), content=CONTENT)
    session = await connect_when_up(smtp_sink(*arguments), lane)
    session.pump()
    async with asyncio.timeout(5):
        while len(lane.verdicts) + len(lane.waiting) < 3 and lane.loss is None:
            await asyncio.sleep(0.005)
    if lane.loss is None:
        session.quit()
        await asyncio.wait_for(lane.is_over.wait(), 5)
    outcome, *rest = [verdict.outcome for verdict in lane.verdicts.values()]
    assert outcome in first
    assert set(rest) <= {others}
