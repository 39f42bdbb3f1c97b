"""The recording SMTP server is our witness, so it is held to the standards and to each of its faults."""

from __future__ import annotations

import base64
import hashlib
import shutil
import signal
import smtplib
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from tests.smtpserver import Accepted, Behaviour, Rule, RunningServer

MESSAGE = b"Subject: Hello\r\nMessage-ID: <one@test>\r\n\r\nBody\r\n"


@pytest.fixture(scope="module")
def process() -> Iterator[RunningServer]:
    with RunningServer(keep_raw=True) as server:
        yield server


@pytest.fixture
def server(process: RunningServer) -> RunningServer:
    process.kick()
    process.become(Behaviour())
    return process


class Line:
    """A raw connection, to say what no library would."""

    def __init__(self, port: int, *, greet: bool = True) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=5)
        self.file = self.socket.makefile("rb")
        if greet:
            assert self.reply().startswith(b"220")

    def __enter__(self) -> Line:
        return self

    def __exit__(self, *exc: object) -> None:
        self.file.close()
        self.socket.close()

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def reply(self) -> bytes:
        """One reply, however many lines; empty when the server has hung up."""
        lines = []
        while line := self.file.readline():
            lines.append(line)
            if line[3:4] != b"-":
                break
        return b"".join(lines)

    def ask(self, data: bytes) -> bytes:
        self.send(data + b"\r\n")
        return self.reply()

    def envelope(self, recipient: bytes) -> None:
        assert self.ask(b"EHLO client").startswith(b"250")
        assert self.ask(b"MAIL FROM:<a@test>").startswith(b"250")
        assert self.ask(b"RCPT TO:<" + recipient + b">").startswith(b"250")


def received(server: RunningServer, recipient: str) -> list[Accepted]:
    return [each for each in server.accepted() if each.recipient == recipient]


def deliver(server: RunningServer, recipient: str, content: bytes = MESSAGE) -> None:
    with smtplib.SMTP("127.0.0.1", server.port, timeout=5) as client:
        client.sendmail("a@test", [recipient], content)


def test_message_is_recorded_once_when_accepted(server: RunningServer) -> None:
    deliver(server, "plain@test")
    [accepted] = received(server, "plain@test")
    assert (accepted.sender, accepted.message_id, accepted.raw) == ("a@test", "<one@test>", MESSAGE)
    assert accepted.sha256 == hashlib.sha256(MESSAGE).hexdigest()


def test_each_recipient_is_recorded_when_a_message_has_two(server: RunningServer) -> None:
    with smtplib.SMTP("127.0.0.1", server.port, timeout=5) as client:
        refused = client.sendmail("a@test", ["two-a@test", "fail-550-two@test", "two-b@test"], MESSAGE)
    assert list(refused) == ["fail-550-two@test"]
    assert [len(received(server, each)) for each in ("two-a@test", "fail-550-two@test", "two-b@test")] == [1, 0, 1]


def test_dots_are_unstuffed_when_a_line_begins_with_one(server: RunningServer) -> None:
    content = b"Subject: x\r\n\r\n.one\r\n..two\r\n.\r\nend\r\n"
    deliver(server, "dots@test", content)
    assert received(server, "dots@test")[0].raw == content


def test_only_crlf_dot_crlf_ends_the_message_when_bare_newlines_are_sent(server: RunningServer) -> None:
    before = server.stats()["bare_newlines"]
    with Line(server.port) as line:
        line.envelope(b"smuggle@test")
        assert line.ask(b"DATA").startswith(b"354")
        line.send(b"Subject: x\r\n\r\na\n.\nb\r\n.\nc\n.\r\nMAIL FROM:<evil@test>\r\n.\r\n")
        assert line.reply().startswith(b"250")
    [accepted] = received(server, "smuggle@test")
    assert accepted.raw is not None and b"evil@test" in accepted.raw
    assert server.stats()["bare_newlines"] == before + 1


def test_end_is_found_when_each_byte_arrives_alone(server: RunningServer) -> None:
    with Line(server.port) as line:
        line.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        line.envelope(b"bytes@test")
        assert line.ask(b"DATA").startswith(b"354")
        for byte in b"A: b\r\n\r\n..x\r\n.\r\n":
            line.send(bytes([byte]))
        assert line.reply().startswith(b"250")
    assert received(server, "bytes@test")[0].raw == b"A: b\r\n\r\n.x\r\n"


def test_empty_message_is_accepted_when_dot_follows_data(server: RunningServer) -> None:
    with Line(server.port) as line:
        line.envelope(b"empty@test")
        assert line.ask(b"DATA").startswith(b"354")
        assert line.ask(b".").startswith(b"250")
    assert received(server, "empty@test")[0].size == 0


def test_replies_keep_their_order_when_commands_are_pipelined(server: RunningServer) -> None:
    before = server.stats()
    with Line(server.port) as line:
        line.ask(b"EHLO client")
        line.send(b"MAIL FROM:<a@test>\r\nRCPT TO:<fail-550-p@test>\r\nRCPT TO:<pipe@test>\r\nDATA\r\n")
        assert [line.reply()[:3] for _ in range(4)] == [b"250", b"550", b"250", b"354"]
        line.send(MESSAGE + b".\r\nMAIL FROM:<a@test>\r\nRCPT TO:<pipe2@test>\r\nDATA\r\n")
        assert [line.reply()[:3] for _ in range(4)] == [b"250", b"250", b"250", b"354"]
    after = server.stats()
    assert after["early_commands"] == before["early_commands"]
    assert after["early_contents"] == before["early_contents"]


def test_early_commands_are_counted_when_pipelining_is_not_offered(server: RunningServer) -> None:
    before = server.configure(pipelining=False)["early_commands"]
    with Line(server.port) as line:
        assert b"PIPELINING" not in line.ask(b"EHLO client")
        line.send(b"MAIL FROM:<a@test>\r\nRCPT TO:<b@test>\r\n")
        line.reply(), line.reply()
    assert server.stats()["early_commands"] == before + 1


def test_content_before_the_354_is_counted_when_a_client_does_not_wait(server: RunningServer) -> None:
    before = server.stats()["early_contents"]
    with Line(server.port) as line:
        line.envelope(b"hasty@test")
        line.send(b"DATA\r\nSubject: x\r\n\r\n.\r\n")
        assert line.reply().startswith(b"354")
    assert server.stats()["early_contents"] == before + 1


def test_chunks_make_one_message_when_sent_with_bdat(server: RunningServer) -> None:
    with Line(server.port) as line:
        line.ask(b"EHLO client")
        line.send(b"MAIL FROM:<a@test>\r\nRCPT TO:<bdat@test>\r\nBDAT 14\r\nSubject: x\r\n\r\nBDAT 5 LAST\r\n.\r\n..")
        assert [line.reply()[:3] for _ in range(4)] == [b"250"] * 4
        line.send(b"MAIL FROM:<a@test>\r\nRCPT TO:<bdat2@test>\r\nBDAT 0 LAST\r\n")
        assert [line.reply()[:3] for _ in range(3)] == [b"250"] * 3
    assert received(server, "bdat@test")[0].raw == b"Subject: x\r\n\r\n.\r\n.."
    assert len(received(server, "bdat2@test")) == 1


def test_each_chunk_has_a_reply_when_its_recipient_was_refused(server: RunningServer) -> None:
    with Line(server.port) as line:
        line.ask(b"EHLO client")
        line.send(b"MAIL FROM:<a@test>\r\nRCPT TO:<fail-bdat@test>\r\nBDAT 4\r\nabcdBDAT 4 LAST\r\nefgh")
        line.send(b"RSET\r\nMAIL FROM:<a@test>\r\n")
        assert [line.reply()[:3] for _ in range(6)] == [b"250", b"550", b"554", b"503", b"250", b"250"]


def test_chunking_is_refused_when_not_offered(server: RunningServer) -> None:
    server.configure(chunking=False)
    with Line(server.port) as line:
        assert b"CHUNKING" not in line.ask(b"EHLO client")
        assert line.ask(b"BDAT 0 LAST").startswith(b"500")


def test_extensions_are_absent_when_switched_off(server: RunningServer) -> None:
    server.configure(eightbitmime=False, smtputf8=False, size=0, enhanced_status_codes=False)
    with Line(server.port) as line:
        assert line.ask(b"EHLO client").split() == [b"250-recorder.test", b"250-PIPELINING", b"250", b"CHUNKING"]
        assert line.ask(b"MAIL FROM:<a@test> BODY=8BITMIME").startswith(b"555")
        assert line.ask(b"MAIL FROM:<a@test> SMTPUTF8").startswith(b"555")
        assert line.ask(b"MAIL FROM:<a@test> SIZE=10").startswith(b"555")
        assert line.ask(b"MAIL FROM:<a@test>") == b"250 Ok\r\n"


def test_message_is_refused_when_it_is_over_size(server: RunningServer) -> None:
    server.configure(size=100)
    with Line(server.port) as line:
        line.ask(b"EHLO client")
        assert line.ask(b"MAIL FROM:<a@test> SIZE=101").startswith(b"552")
        line.envelope(b"big@test")
        line.ask(b"DATA")
        assert line.ask(b"x" * 200 + b"\r\n.").startswith(b"552")
    assert received(server, "big@test") == []


def test_utf8_address_is_accepted_only_when_smtputf8_is_declared(server: RunningServer) -> None:
    with Line(server.port) as line:
        line.ask(b"EHLO client")
        line.ask(b"MAIL FROM:<a@test>")
        assert line.ask("RCPT TO:<jürgen@test>".encode()).startswith(b"553")
        line.ask(b"RSET")
        line.ask(b"MAIL FROM:<a@test> SMTPUTF8")
        assert line.ask("RCPT TO:<jürgen@test>".encode()).startswith(b"250")
        line.ask(b"DATA")
        line.ask(b"x\r\n.")
    assert len(received(server, "jürgen@test")) == 1


def test_sequence_errors_are_named_when_commands_come_out_of_order(server: RunningServer) -> None:
    with Line(server.port) as line:
        assert line.ask(b"MAIL FROM:<a@test>").startswith(b"503")
        line.ask(b"EHLO client")
        assert line.ask(b"RCPT TO:<a@test>").startswith(b"503")
        assert line.ask(b"DATA").startswith(b"503")
        assert line.ask(b"MAIL FROM:a@test").startswith(b"501")
        assert line.ask(b"WHAT").startswith(b"500")
        assert line.ask(b"MAIL FROM:<>").startswith(b"250")
        assert line.ask(b"DATA").startswith(b"554")
        assert line.ask(b"QUIT").startswith(b"221")
        assert line.reply() == b""


def test_mail_goes_through_tls_and_auth_when_both_are_offered(server: RunningServer) -> None:
    before = server.configure(starttls=True, credentials="user:geheim")["clear_logins"]
    context = ssl.create_default_context(cafile=str(server.certificate))
    for mechanism in ("auth_plain", "auth_login"):
        with smtplib.SMTP("127.0.0.1", server.port, timeout=5) as client:
            client.starttls(context=context)
            client.ehlo()
            assert not client.has_extn("starttls")
            client.user, client.password = "user", "geheim"
            assert client.auth(mechanism[5:].upper(), getattr(client, mechanism))[0] == 235
            client.sendmail("a@test", ["tls@test"], MESSAGE)
    assert len(received(server, "tls@test")) == 2
    assert server.stats()["clear_logins"] == before


def test_login_fails_when_the_password_is_wrong(server: RunningServer) -> None:
    server.configure(credentials="user:geheim")
    with smtplib.SMTP("127.0.0.1", server.port, timeout=5) as client:
        with pytest.raises(smtplib.SMTPAuthenticationError, match="535"):
            client.login("user", "falsch")
        assert client.mail("a@test")[0] == 530


def test_commands_injected_before_tls_are_forgotten_when_tls_starts(server: RunningServer) -> None:
    server.configure(starttls=True)
    context = ssl.create_default_context(cafile=str(server.certificate))
    with Line(server.port) as line:
        line.ask(b"EHLO client")
        assert line.ask(b"STARTTLS\r\nEHLO injected\r\nMAIL FROM:<evil@test>").startswith(b"220")
        with context.wrap_socket(line.socket, server_hostname="localhost") as secure:
            secure.sendall(b"RCPT TO:<evil@test>\r\n")
            assert secure.recv(100).startswith(b"503")


def test_injected_replies_come_in_the_clear_when_a_man_is_in_the_middle(server: RunningServer) -> None:
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


def test_recipient_is_accepted_the_second_time_when_it_defers_once(server: RunningServer) -> None:
    for stage in ("", "data-", "dot-"):
        recipient = f"defer-451-once-{stage}bob@test"
        with pytest.raises((smtplib.SMTPRecipientsRefused, smtplib.SMTPDataError)):
            deliver(server, recipient)
        deliver(server, recipient)
        assert len(received(server, recipient)) == 1


def test_rule_is_spent_when_its_limit_is_reached(server: RunningServer) -> None:
    server.configure(rules=(Rule(stage="rcpt", action="450 4.2.0 Later", recipient="limit", limit=2),))
    for _ in range(2):
        with pytest.raises(smtplib.SMTPRecipientsRefused):
            deliver(server, "limit@test")
    deliver(server, "limit@test")


def test_server_stays_silent_when_told_to_hang_after_recording(server: RunningServer) -> None:
    server.configure(rules=(Rule(stage="reply", action="hang"),))
    with Line(server.port) as line:
        line.envelope(b"hang@test")
        line.ask(b"DATA")
        line.socket.settimeout(0.3)
        with pytest.raises(TimeoutError):
            line.ask(b"x\r\n.")
    assert len(received(server, "hang@test")) == 1


def test_odd_replies_go_out_as_they_are_when_a_rule_gives_them(server: RunningServer) -> None:
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


def test_everyone_hears_421_when_the_server_kicks(server: RunningServer) -> None:
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


def test_bytes_wait_when_the_server_is_a_black_hole(server: RunningServer) -> None:
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


def test_answers_are_paced_when_a_rate_is_set(server: RunningServer) -> None:
    server.configure(rate=100)
    start = time.monotonic()
    for _ in range(3):
        with Line(server.port) as line:
            line.ask(b"EHLO client")
            line.send(b"MAIL FROM:<a@test>\r\nRCPT TO:<pace@test>\r\nBDAT 4 LAST\r\nabcd" * 10)
            assert [line.reply()[:3] for _ in range(30)] == [b"250"] * 30
    assert 0.25 < time.monotonic() - start < 2


def test_what_a_dead_client_sent_is_recorded_when_it_arrives_late(server: RunningServer) -> None:
    server.configure(latency_ms=100)
    with Line(server.port) as line:
        line.ask(b"EHLO client")
        line.send(b"MAIL FROM:<a@test>\r\nRCPT TO:<ghost@test>\r\nBDAT 4 LAST\r\nabcd")
    deadline = time.monotonic() + 5
    while not received(server, "ghost@test") and time.monotonic() < deadline:
        server.stats()
    assert len(received(server, "ghost@test")) == 1


def test_auth_by_hand_fails_when_base64_is_broken(server: RunningServer) -> None:
    server.configure(credentials="user:geheim")
    with Line(server.port) as line:
        line.ask(b"EHLO client")
        assert line.ask(b"AUTH PLAIN ***").startswith(b"535")
        assert line.ask(b"AUTH PLAIN") == b"334 \r\n"
        assert line.ask(base64.b64encode(b"\0user\0geheim")).startswith(b"235")
        assert line.ask(b"AUTH CRAM-MD5").startswith(b"504")


@pytest.mark.skipif(shutil.which("smtp-source") is None, reason="Debian's postfix, which has smtp-source, is missing")
def test_postfix_agrees_when_its_smtp_source_delivers(server: RunningServer) -> None:
    before = server.stats()
    subprocess.run(
        ["smtp-source", "-s", "5", "-m", "200", "-l", "2000", "-d", "-t", "source@test", f"127.0.0.1:{server.port}"],
        check=True,
        timeout=30,
    )
    assert len(received(server, "source@test")) == 200
    assert server.stats()["bare_newlines"] == before["bare_newlines"]
