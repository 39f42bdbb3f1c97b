"""Each fault of the recording SMTP server strikes where its rule says, and nowhere else."""

from __future__ import annotations

import signal
import smtplib
import socket
import ssl
import subprocess
import sys
import time

import pytest

from tests.smtpserver import Rule, RunningServer
from tests.unit.smtpserver.client import Line, deliver, received


def test_injected_replies_come_in_the_clear_when_a_man_in_the_middle_adds_them(server: RunningServer) -> None:
    before = server.configure(starttls=True, injected="250 injected\r\n")["injections"]
    context = ssl.create_default_context(cafile=str(server.certificate))
    with Line(server.port) as line:
        line.ask(b"EHLO client")
        assert line.ask(b"STARTTLS").startswith(b"220")
        assert line.reply() == b"250 injected\r\n"
        with context.wrap_socket(line.socket, server_hostname="localhost") as secure:
            secure.sendall(b"NOOP\r\n")
            assert secure.recv(100) == b"250 2.0.0 Ok\r\n"
    assert server.stats()["injections"] == before + 1


CLIENT = "import smtplib, sys; smtplib.SMTP('127.0.0.1', int(sys.argv[1])).sendmail('a@test', [sys.argv[2]], 'x')"


def test_client_is_killed_when_its_recipient_is_poison(server: RunningServer) -> None:
    for recipient, status in (
        ("kill-rcpt-ann@test", -signal.SIGKILL),
        ("kill-ann@test", -signal.SIGKILL),
        ("ann@test", 0),
    ):
        done = subprocess.run([sys.executable, "-c", CLIENT, str(server.port), recipient], timeout=20)
        assert (done.returncode, len(received(server, recipient))) == (status, status == 0)


@pytest.mark.parametrize("stage", ["connect", "ehlo", "mail", "rcpt", "data", "middle", "dot"])
@pytest.mark.parametrize("action", ["451 4.3.0 Later", "550 5.7.0 Never", "421 4.3.2 Closing", "drop"])
def test_nothing_is_recorded_when_a_stage_fails(server: RunningServer, stage: str, action: str) -> None:
    recipient = f"{stage}-{action[:3]}@test"
    server.configure(rules=(Rule(stage=stage, action=action),))
    with pytest.raises((smtplib.SMTPException, ConnectionError)) as caught:
        deliver(server, recipient)
    if isinstance(caught.value, smtplib.SMTPResponseException):
        assert str(caught.value.smtp_code) == action[:3]
    assert received(server, recipient) == []
    server.configure(rules=())
    deliver(server, recipient)
    assert len(received(server, recipient)) == 1


def test_message_is_recorded_when_its_reply_is_lost(server: RunningServer) -> None:
    with pytest.raises(smtplib.SMTPServerDisconnected):
        deliver(server, "lose-once-ann@test")
    assert len(received(server, "lose-once-ann@test")) == 1
    deliver(server, "lose-once-ann@test")
    assert len(received(server, "lose-once-ann@test")) == 2


def test_recipient_is_accepted_at_the_second_attempt_when_it_defers_once(server: RunningServer) -> None:
    for stage in ("", "data-", "dot-"):
        recipient = f"defer-451-once-{stage}bob@test"
        with pytest.raises((smtplib.SMTPRecipientsRefused, smtplib.SMTPDataError)):
            deliver(server, recipient)
        deliver(server, recipient)
        assert len(received(server, recipient)) == 1


def test_rule_strikes_no_more_when_its_limit_is_reached(server: RunningServer) -> None:
    server.configure(rules=(Rule(stage="rcpt", action="450 4.2.0 Later", recipient="limit", limit=2),))
    for _ in range(2):
        with pytest.raises(smtplib.SMTPRecipientsRefused):
            deliver(server, "limit@test")
    deliver(server, "limit@test")


def test_server_stays_silent_when_it_hangs_after_recording(server: RunningServer) -> None:
    server.configure(rules=(Rule(stage="reply", action="hang"),))
    with Line(server.port) as line:
        line.envelope(b"hang@test")
        line.ask(b"DATA")
        line.socket.settimeout(0.3)
        with pytest.raises(TimeoutError):
            line.ask(b"x\r\n.")
    assert len(received(server, "hang@test")) == 1


def test_odd_replies_are_sent_unchanged_when_a_rule_gives_them(server: RunningServer) -> None:
    odd = {
        "250-first\r\n250 last": b"250-first\r\n250 last\r\n",
        "250 " + "x" * 5000: b"250 " + b"x" * 5000 + b"\r\n",
        "250 é\udcff": b"250 \xc3\xa9\xff\r\n",
    }
    for action, expected in odd.items():
        server.configure(rules=(Rule(stage="reply", action=action),))
        with Line(server.port) as line:
            line.envelope(b"odd@test")
            line.ask(b"DATA")
            assert line.ask(b"x\r\n.") == expected
    server.configure(rules=(Rule(stage="reply", action="250 one\r\n250 one too many"),))
    with Line(server.port) as line:
        line.envelope(b"odd@test")
        line.ask(b"DATA")
        assert [line.ask(b"x\r\n."), line.ask(b"NOOP")] == [b"250 one\r\n", b"250 one too many\r\n"]


def test_550_comes_before_the_end_when_a_message_is_refused_in_the_middle(server: RunningServer) -> None:
    server.configure(rules=(Rule(stage="middle", action="550 5.7.1 Enough", then="hang"),))
    with Line(server.port) as line:
        line.envelope(b"middle@test")
        line.ask(b"DATA")
        assert line.ask(b"Subject: no end") == b"550 5.7.1 Enough\r\n"
    assert received(server, "middle@test") == []


def test_connection_gets_421_when_there_are_too_many(server: RunningServer) -> None:
    server.configure(max_connections=2)
    with Line(server.port), Line(server.port), Line(server.port, greet=False) as third:
        assert third.reply().startswith(b"421")
        assert third.reply() == b""


def test_every_connection_gets_421_when_the_server_kicks(server: RunningServer) -> None:
    with Line(server.port) as line:
        server.kick("421 4.3.2 Going down")
        assert line.reply() == b"421 4.3.2 Going down\r\n"
        assert line.reply() == b""


def test_recipient_waits_when_it_is_greylisted(server: RunningServer) -> None:
    server.configure(greylist_seconds=0.3)
    with pytest.raises(smtplib.SMTPRecipientsRefused):
        deliver(server, "grey@test")
    first = time.monotonic()
    while not received(server, "grey@test") and time.monotonic() < first + 5:
        try:
            deliver(server, "grey@test")
        except smtplib.SMTPRecipientsRefused:
            continue
    assert 0.2 < time.monotonic() - first < 5


def test_connection_is_refused_when_the_server_does_not_listen(server: RunningServer) -> None:
    server.configure(refuse=True)
    with pytest.raises(ConnectionRefusedError):
        Line(server.port)
    server.configure(refuse=False)
    deliver(server, "back@test")


def test_bytes_wait_while_the_server_is_a_black_hole(server: RunningServer) -> None:
    with Line(server.port) as line:
        line.envelope(b"hole@test")
        server.configure(blackhole=True)
        line.socket.settimeout(0.3)
        with pytest.raises(TimeoutError):
            line.ask(b"DATA")
        assert received(server, "hole@test") == []
        server.configure(blackhole=False)
        with socket.create_connection(("127.0.0.1", server.port), timeout=5) as other:
            assert other.recv(3) == b"220"
    deliver(server, "hole@test")


def test_pipelined_commands_share_one_round_trip_when_there_is_latency(server: RunningServer) -> None:
    server.configure(latency_ms=100)
    with Line(server.port) as line:
        line.ask(b"EHLO client")
        start = time.monotonic()
        line.send(b"MAIL FROM:<a@test>\r\nRCPT TO:<late@test>\r\nBDAT 4 LAST\r\nabcd" * 20)
        assert [line.reply()[:3] for _ in range(60)] == [b"250"] * 60
        assert 0.1 <= time.monotonic() - start < 0.2
        line.ask(b"NOOP")
        assert time.monotonic() - start >= 0.2
    assert len(received(server, "late@test")) == 20


def test_order_is_kept_when_delays_are_random(server: RunningServer) -> None:
    server.configure(jitter_ms=5, reply_jitter_ms=5)
    with Line(server.port) as line:
        line.ask(b"EHLO client")
        line.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for number in range(30):
            line.send(b"MAIL FROM:<a@test>\r\nRCPT TO:<r%d@test>\r\nBDAT 4 LAST\r\nabcdVRFY\r\n" % number)
        assert [line.reply()[:3] for _ in range(120)] == [b"250", b"250", b"250", b"252"] * 30


def test_replies_are_paced_when_a_rate_is_set(server: RunningServer) -> None:
    server.configure(rate=100)
    start = time.monotonic()
    for _ in range(3):
        with Line(server.port) as line:
            line.ask(b"EHLO client")
            line.send(b"MAIL FROM:<a@test>\r\nRCPT TO:<pace@test>\r\nBDAT 4 LAST\r\nabcd" * 10)
            assert [line.reply()[:3] for _ in range(30)] == [b"250"] * 30
    assert 0.25 < time.monotonic() - start < 2


def test_message_of_a_dead_client_is_recorded_when_it_arrives_late(server: RunningServer) -> None:
    server.configure(latency_ms=100)
    with Line(server.port) as line:
        line.ask(b"EHLO client")
        line.send(b"MAIL FROM:<a@test>\r\nRCPT TO:<ghost@test>\r\nBDAT 4 LAST\r\nabcd")
    deadline = time.monotonic() + 5
    while not received(server, "ghost@test") and time.monotonic() < deadline:
        server.stats()
    assert len(received(server, "ghost@test")) == 1


def test_rule_waits_until_the_server_has_accepted_enough(server: RunningServer) -> None:
    accepted = server.stats()["accepted"]
    server.configure(rules=(Rule(stage="dot", action="554 5.2.0 Quota exceeded", after=accepted + 2),))
    deliver(server, "first@test")
    deliver(server, "second@test")
    with pytest.raises(smtplib.SMTPDataError, match="Quota exceeded"):
        deliver(server, "third@test")
    assert received(server, "third@test") == []


def test_rule_spares_what_is_below_the_rate_that_it_limits(server: RunningServer) -> None:
    server.configure(rules=(Rule(stage="mail", action="450 4.7.1 Too much mail", above=2, per_seconds=0.5),))
    began = time.monotonic()
    deliver(server, "one@test")
    deliver(server, "two@test")
    with pytest.raises(smtplib.SMTPSenderRefused):
        deliver(server, "three@test")
    assert time.monotonic() - began < 0.5  # otherwise the refusal would prove nothing
    while time.monotonic() - began < 0.5:
        time.sleep(0.01)
    deliver(server, "four@test")
