"""``batches.webhooks.posting``: an attempt ends in time with an Answer, whatever the receiver does."""

from __future__ import annotations

import ipaddress
import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest
from django.conf import LazySettings

from batches.webhooks import posting
from batches.webhooks.addresses import Endpoint, EndpointRefused, IpAddress, read_url
from batches.webhooks.posting import Answer, look_up, post
from tests.integration.webhooks.receiver import Got, Receiver, Script, answer, receiving

HERE: IpAddress = ipaddress.ip_address("127.0.0.1")


@pytest.fixture(autouse=True)
def _exempt(settings: LazySettings, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.WEBHOOK_PRIVATE_HOSTS = ["127.0.0.1"]
    monkeypatch.setattr(posting, "ATTEMPT_SECONDS", 1.0)
    monkeypatch.setattr(posting, "BODY_SECONDS", 0.3)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as running:
        yield running


async def attempt(receiver: Receiver, script: Script | None = None) -> Answer:
    if script is not None:
        receiver.script = script
    return await post(read_url(receiver.url), [HERE], headers={"Content-Type": "application/json"}, body=b'{"a":1}')


async def test_message_arrives_as_it_was_made_when_all_is_well(receiver: Receiver) -> None:
    answered = await attempt(receiver)

    assert answered.is_success and answered.text == ""
    [got] = receiver.got
    assert got.line == "POST /in HTTP/1.1"
    assert got.headers["host"] == f"127.0.0.1:{receiver.port}"
    assert got.headers["content-type"] == "application/json"
    assert got.body == b'{"a":1}'


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
async def test_message_is_delivered_when_the_answer_is_2xx(receiver: Receiver, status: int) -> None:
    assert (await attempt(receiver, answer(status))).is_success


@pytest.mark.parametrize(
    ("status", "is_outage"), [(400, False), (404, False), (410, False), (429, True), (500, True), (503, True)]
)
async def test_refusal_is_told_when_the_receiver_refuses(receiver: Receiver, status: int, is_outage: bool) -> None:
    answered = await attempt(receiver, answer(status, "Retry-After: 120", body=b"No such <b>hook</b>\r\n\0 here"))

    assert not answered.is_success
    assert answered.is_outage == is_outage
    assert answered.text == f"The receiver answered {status}: No such <b>hook</b> here"
    assert answered.retry_after_seconds == 120


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("an hour from now", 3600),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0),
        ("-5", 0),
        ("soon", 0),
        ("9" * 5000, 0),
    ],
)
async def test_wait_is_read_when_the_receiver_names_seconds_or_a_date(
    receiver: Receiver, value: str, seconds: int
) -> None:
    if value == "an hour from now":
        value = format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True)
    answered = await attempt(receiver, answer(503, f"Retry-After: {value}"))
    assert answered.retry_after_seconds == pytest.approx(seconds, abs=60)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_redirect_is_not_followed_when_a_receiver_answers_with_one(receiver: Receiver, status: int) -> None:
    with receiving() as inside:
        answered = await attempt(receiver, answer(status, f"Location: {inside.url}"))

    assert inside.got == []
    assert not answered.is_success
    assert "redirect" in answered.text


async def test_name_is_resolved_once_when_a_message_is_posted(receiver: Receiver) -> None:
    """DNS rebinding: what was checked is what is connected to. The name itself would lead nowhere."""
    asked: list[str] = []

    def find(endpoint: Endpoint) -> list[IpAddress]:
        asked.append(endpoint.host)
        return [HERE]

    endpoint = Endpoint(host="rebinding.invalid", port=receiver.port, is_tls=False, target="/")
    addresses = await look_up(endpoint, find_addresses=find)
    assert (await post(endpoint, addresses, headers={}, body=b"")).is_success

    assert asked == ["rebinding.invalid"]
    assert receiver.got[0].headers["host"] == f"rebinding.invalid:{receiver.port}"


async def test_next_address_is_used_when_the_first_does_not_answer(receiver: Receiver) -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        closed_port = unused.getsockname()[1]
    assert closed_port != receiver.port
    # Nothing listens on this port of 127.0.0.2: the receiver has 127.0.0.1 alone.
    both: list[IpAddress] = [ipaddress.ip_address("127.0.0.2"), HERE]
    endpoint = read_url(receiver.url)

    assert (await post(endpoint, both, headers={}, body=b"")).is_success


def drip(connection: socket.socket, got: Got) -> None:
    """Send the head of an answer so slowly that no single read takes long."""
    for octet in b"HTTP/1.1 200 OK\r\nX-Slow: " + b"x" * 1000:
        connection.sendall(bytes([octet]))
        time.sleep(0.05)


def say_nothing(connection: socket.socket, got: Got) -> None:
    connection.recv(1)  # until the sender has had enough


def flood_head(connection: socket.socket, got: Got) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\n")
    while True:
        connection.sendall(b"X-More: " + b"x" * 60_000 + b"\r\n")


def flood_body(connection: socket.socket, got: Got) -> None:
    connection.sendall(b"HTTP/1.1 500 Oh\r\n\r\n")
    while True:
        connection.sendall(b"spam and eggs " * 5000)


def drip_body(connection: socket.socket, got: Got) -> None:
    connection.sendall(b"HTTP/1.1 500 Oh\r\nContent-Length: 9999\r\n\r\n")
    for _ in range(200):
        connection.sendall(b"y")
        time.sleep(0.05)


def send(data: bytes) -> Script:
    return lambda connection, got: connection.sendall(data)


@pytest.mark.parametrize(
    ("script", "words"),
    [
        (drip, "no answer within"),
        (say_nothing, "no answer within"),
        (flood_head, "too large"),
        (flood_body, "spam and eggs"),
        (drip_body, "answered 500: yyy"),
        (send(b""), "closed the connection"),
        (send(b"HTTP/1.1 200 OK\r\n"), "closed the connection"),
        (send(b"SSH-2.0-OpenSSH_9.2\r\n\r\n"), "does not speak HTTP"),
        (send(b"HTTP/2.0 200 OK\r\n\r\n"), "does not speak HTTP"),
        (send(b"HTTP/1.1 2000 OK\r\n\r\n"), "does not speak HTTP"),
        (send(b"\xff\xfe\r\n\r\n"), "does not speak HTTP"),
    ],
)
async def test_attempt_ends_in_time_when_the_receiver_misbehaves(
    receiver: Receiver, script: Script, words: str
) -> None:
    began_at = time.monotonic()
    answered = await attempt(receiver, script)

    assert time.monotonic() - began_at < 3
    assert not answered.is_success and answered.is_outage
    assert words in answered.text
    assert len(answered.text) < 400


async def test_final_answer_counts_when_interim_ones_come_before_it(receiver: Receiver) -> None:
    interim = b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"
    assert (await attempt(receiver, send(interim * 3 + b"HTTP/1.1 204 No Content\r\n\r\n"))).status == 204


async def test_attempt_ends_when_interim_answers_never_end(receiver: Receiver) -> None:
    def hint_for_ever(connection: socket.socket, got: Got) -> None:
        while True:
            connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n" * 100)
            time.sleep(0.01)

    assert "no answer within" in (await attempt(receiver, hint_for_ever)).text


async def test_outage_is_told_when_nobody_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    answered = await post(read_url(f"http://127.0.0.1:{port}/"), [HERE], headers={}, body=b"")
    assert "can't be reached" in answered.text


async def test_look_up_ends_in_time_when_the_name_server_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(posting, "LOOK_UP_SECONDS", 0.2)
    asked = threading.Event()

    def find(endpoint: Endpoint) -> list[IpAddress]:
        asked.wait(timeout=10)
        return [HERE]

    try:
        with pytest.raises(EndpointRefused, match="was not resolved"):
            await look_up(read_url("http://127.0.0.1/"), find_addresses=find)
    finally:
        asked.set()


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A key and a certificate for hooks.test, which no authority has signed, in one file."""
    path, openssl = tmp_path / "certificate.pem", shutil.which("openssl")
    assert openssl is not None
    subprocess.run(
        [
            *(
                openssl,
                "req",
                "-x509",
                "-newkey",
                "ec",
                "-pkeyopt",
                "ec_paramgen_curve:prime256v1",
                "-nodes",
                "-days",
                "2",
            ),
            *("-keyout", str(path), "-out", str(tmp_path / "own.pem"), "-subj", "/CN=hooks.test"),
            *("-addext", "subjectAltName=DNS:hooks.test"),
        ],
        check=True,
        capture_output=True,
    )
    with path.open("a") as file:
        file.write((tmp_path / "own.pem").read_text())
    return path


@pytest.mark.parametrize(
    ("host", "is_trusted", "words"),
    [
        ("hooks.test", True, ""),
        ("hooks.test", False, "can't be trusted"),
        ("other.test", True, "can't be trusted"),
    ],
)
async def test_certificate_is_checked_for_the_name_when_the_address_is_known(
    receiver: Receiver, certificate: Path, monkeypatch: pytest.MonkeyPatch, host: str, is_trusted: bool, words: str
) -> None:
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(certificate)
    if is_trusted:
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    posting.tls_context.cache_clear()
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            connection, _ = listening.accept()
            try:
                with server.wrap_socket(connection, server_side=True) as secure:
                    secure.recv(65_536)
                    secure.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            except OSError:
                return

        thread = threading.Thread(target=serve)
        thread.start()
        endpoint = Endpoint(host=host, port=listening.getsockname()[1], is_tls=True, target="/")
        answered = await post(endpoint, [HERE], headers={}, body=b"{}")
        thread.join()
    posting.tls_context.cache_clear()

    assert answered.is_success == (not words)
    assert words in answered.text
