"""The recording SMTP server is the tests' witness, so it has to follow the standards."""

from __future__ import annotations

import base64
import hashlib
import shutil
import smtplib
import socket
import ssl
import subprocess

import pytest

from tests.smtpserver import RunningServer
from tests.unit.smtpserver.client import MESSAGE, Line, deliver, received


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
    before = server.configure(starttls=True, credentials="user:secret")["clear_logins"]
    context = ssl.create_default_context(cafile=str(server.certificate))
    for mechanism in ("auth_plain", "auth_login"):
        with smtplib.SMTP("127.0.0.1", server.port, timeout=5) as client:
            client.starttls(context=context)
            client.ehlo()
            assert not client.has_extn("starttls")
            client.user, client.password = "user", "secret"
            assert client.auth(mechanism[5:].upper(), getattr(client, mechanism))[0] == 235
            client.sendmail("a@test", ["tls@test"], MESSAGE)
    assert len(received(server, "tls@test")) == 2
    assert server.stats()["clear_logins"] == before


def test_login_fails_when_the_password_is_wrong(server: RunningServer) -> None:
    server.configure(credentials="user:secret")
    with smtplib.SMTP("127.0.0.1", server.port, timeout=5) as client:
        with pytest.raises(smtplib.SMTPAuthenticationError, match="535"):
            client.login("user", "wrong")
        assert client.mail("a@test")[0] == 530


def test_commands_injected_before_tls_are_discarded_when_tls_starts(server: RunningServer) -> None:
    server.configure(starttls=True)
    context = ssl.create_default_context(cafile=str(server.certificate))
    with Line(server.port) as line:
        line.ask(b"EHLO client")
        assert line.ask(b"STARTTLS\r\nEHLO injected\r\nMAIL FROM:<evil@test>").startswith(b"220")
        with context.wrap_socket(line.socket, server_hostname="localhost") as secure:
            secure.sendall(b"RCPT TO:<evil@test>\r\n")
            assert secure.recv(100).startswith(b"503")


def test_auth_fails_when_base64_is_invalid(server: RunningServer) -> None:
    server.configure(credentials="user:secret")
    with Line(server.port) as line:
        line.ask(b"EHLO client")
        assert line.ask(b"AUTH PLAIN ***").startswith(b"535")
        assert line.ask(b"AUTH PLAIN") == b"334 \r\n"
        assert line.ask(base64.b64encode(b"\0user\0secret")).startswith(b"235")
        assert line.ask(b"AUTH CRAM-MD5").startswith(b"504")


@pytest.mark.skipif(shutil.which("smtp-source") is None, reason="Debian's postfix, which has smtp-source, is missing")
def test_every_message_is_recorded_when_smtp_source_delivers(server: RunningServer) -> None:
    before = server.stats()
    subprocess.run(
        ["smtp-source", "-s", "5", "-m", "200", "-l", "2000", "-d", "-t", "source@test", f"127.0.0.1:{server.port}"],
        check=True,
        timeout=30,
    )
    assert len(received(server, "source@test")) == 200
    assert server.stats()["bare_newlines"] == before["bare_newlines"]
