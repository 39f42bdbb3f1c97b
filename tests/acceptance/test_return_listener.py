"""The listener to which a mail server hands returns: LMTP and SMTP by Python's own clients."""

from __future__ import annotations

import asyncio
import smtplib
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from django.db import DatabaseError

from batches.models import UnknownReport, WaitingReturn
from batches.returns.doors import lmtp, receiving
from batches.returns.doors.address import ListenerAddress
from batches.returns.doors.lmtp import Listener
from tests.returned_mail import make_bounce, make_letter

TO = "bounce@site.example"


@contextmanager
def listening(scheme: str = "lmtp") -> Iterator[int]:
    """Run a listener in the event loop of another thread, and yield its port."""
    ports: list[int] = []
    is_up, stop = threading.Event(), threading.Event()

    async def run() -> None:
        listener = Listener(ListenerAddress(scheme=scheme, host="127.0.0.1", port=0))
        ports.append(await listener.start())
        is_up.set()
        await asyncio.to_thread(stop.wait)
        await listener.stop()

    thread = threading.Thread(target=asyncio.run, args=[run()])
    thread.start()
    try:
        assert is_up.wait(20)
        yield ports[0]
    finally:
        stop.set()
        thread.join(timeout=20)
        assert not thread.is_alive()


def count_events() -> int:
    return WaitingReturn.objects.count()


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("scheme", "client"), [("lmtp", smtplib.LMTP), ("smtp", smtplib.SMTP)])
def test_message_is_recorded_when_the_answer_is_250(scheme: str, client: type[smtplib.SMTP]) -> None:
    with listening(scheme) as port, client("127.0.0.1", port) as server:
        assert server.sendmail("", [TO], make_bounce(1)) == {}
        assert count_events() == 1
        server.sendmail("", [TO], make_bounce(1))
        server.sendmail("", [TO], make_bounce(2))
        assert count_events() == 2, "the same report counts once"
        server.sendmail("ann@example.org", [TO], make_letter(1))
    kept = UnknownReport.objects.get()
    assert (kept.door, kept.recipient) == (receiving.LMTP, TO)
    assert "When does school begin" in kept.content


@pytest.mark.django_db(transaction=True)
def test_each_recipient_has_an_answer_of_its_own_in_lmtp() -> None:
    with listening() as port, smtplib.LMTP("127.0.0.1", port) as server:
        server.ehlo()
        server.mail("")
        for recipient in (TO, "bounce+1@site.example", "bounce+2@site.example"):
            assert server.rcpt(recipient)[0] == 250
        assert server.data(make_bounce(1)) == (250, b"2.0.0 Recorded")
        assert [server.getreply() for _ in range(2)] == [(250, b"2.0.0 Recorded")] * 2
        assert server.noop()[0] == 250, "nothing else was answered"


@pytest.mark.django_db(transaction=True)
def test_message_is_delivered_again_when_the_database_was_away(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: object) -> None:
        raise DatabaseError("the connection is closed")

    with listening() as port, smtplib.LMTP("127.0.0.1", port) as server:
        with monkeypatch.context() as patch:
            patch.setattr(receiving, "record_events", fail)
            with pytest.raises(smtplib.SMTPDataError) as refused:
                server.sendmail("", [TO], make_bounce(1))
        assert refused.value.smtp_code == 451
        assert count_events() == 0
        server.sendmail("", [TO], make_bounce(1))
    assert count_events() == 1


@pytest.mark.django_db(transaction=True)
def test_mail_server_keeps_what_nothing_understands_when_too_much_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(receiving, "KEPT_COUNT_MAX", 1)
    with listening() as port, smtplib.LMTP("127.0.0.1", port) as server:
        server.sendmail("", [TO], make_letter(1))
        with pytest.raises(smtplib.SMTPDataError, match="452"):
            server.sendmail("", [TO], make_letter(2))
        server.sendmail("", [TO], make_bounce(1))
    assert (count_events(), UnknownReport.objects.count()) == (1, 1)


@pytest.mark.django_db(transaction=True)
def test_message_that_is_too_large_is_refused_for_each_recipient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lmtp, "MESSAGE_MAX_BYTES", 10_000)
    with listening() as port, smtplib.LMTP("127.0.0.1", port) as server:
        server.ehlo()
        server.mail("")
        server.rcpt(TO)
        server.rcpt(TO)
        assert server.data(make_bounce(1) + (b"x" * 70 + b"\r\n") * 1000)[0] == 552
        assert server.getreply()[0] == 552
        server.rset()
        server.sendmail("", [TO], make_bounce(2))
    assert count_events() == 1


@pytest.mark.django_db(transaction=True)
def test_report_with_a_line_beyond_the_standard_is_taken() -> None:
    long = make_bounce(1).replace(b"I'm sorry", b"I'm sorry " * 10_000)
    with listening() as port, smtplib.LMTP("127.0.0.1", port) as server:
        server.sendmail("", [TO], long)
    assert count_events() == 1


def test_connection_is_refused_when_there_are_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lmtp, "CONNECTIONS_MAX", 2)
    with listening() as port:
        clients = [socket.create_connection(("127.0.0.1", port), timeout=10) for _ in range(2)]
        assert all(client.recv(100).startswith(b"220 ") for client in clients)
        with socket.create_connection(("127.0.0.1", port), timeout=10) as late:
            assert late.recv(100).startswith(b"421 4.3.2")
        for client in clients:
            client.close()
        with smtplib.LMTP("127.0.0.1", port, timeout=10) as server:
            assert server.noop()[0] == 250
