"""Clients of the websockets that do not only listen, through a real daphne."""

from __future__ import annotations

import base64
import os
import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from django.contrib.auth.models import User

from tests.acceptance.daphne import WebServer, run_daphne

pytestmark = pytest.mark.django_db(transaction=True)

OPENED: list[socket.socket] = []
"""The sockets of one test, which are closed when it ends."""

MASK = b"\0\0\0\0"
TEXT, BINARY, CONTINUATION, CLOSE, PING, PONG = b"\x81", b"\x82", b"\x00", b"\x88", b"\x89", b"\x8a"


@pytest.fixture
def web(sender: User, tmp_path: Path) -> Iterator[WebServer]:
    with run_daphne(sender, tmp_path) as server:
        yield server
    while OPENED:
        OPENED.pop().close()


class Socket:
    """A websocket by hand, so that it can do what no library does."""

    def __init__(self, web: WebServer, *headers: str, early: bytes = b"") -> None:
        self.socket = socket.create_connection(("127.0.0.1", web.port), timeout=20)
        OPENED.append(self.socket)
        key = base64.b64encode(os.urandom(16)).decode()
        lines = ["GET /ws/batches/ HTTP/1.1", f"Host: 127.0.0.1:{web.port}", "Upgrade: websocket"]
        lines += ["Connection: Upgrade", f"Sec-WebSocket-Key: {key}", "Sec-WebSocket-Version: 13", *headers]
        with suppress(ConnectionResetError, BrokenPipeError):  # the server may cut off a client that speaks too early
            self.socket.sendall("\r\n".join([*lines, "", ""]).encode() + early)

    def read_head(self) -> str:
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            octet = self.socket.recv(1)
            if not octet:
                break
            head += octet
        return head.decode()

    def read_frame(self) -> tuple[int, bytes]:
        first, length = self._read(2)
        if length == 126:
            (length,) = struct.unpack("!H", self._read(2))
        return first & 0x0F, self._read(length)

    def _read(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            piece = self.socket.recv(count - len(data))
            if not piece:
                raise ConnectionResetError
            data += piece
        return data

    def read_close(self) -> int | None:
        """Read until the server has closed. Returns its close code; None if the connection was cut."""
        code = None
        with suppress(ConnectionResetError, BrokenPipeError):
            while True:
                opcode, payload = self.read_frame()
                if opcode == 8:
                    (code,) = struct.unpack("!H", payload[:2])
        return code


def opened(web: WebServer) -> Socket:
    """A socket of a user who may open it."""
    client = Socket(web, f"Authorization: {web.bearer}")
    assert client.read_head().startswith("HTTP/1.1 101")
    return client


class Watch(threading.Thread):
    """Measures the longest time of another request while the block runs."""

    def __init__(self, web: WebServer) -> None:
        super().__init__(daemon=True)
        self.web, self.stopped, self.longest_seconds, self.count = web, threading.Event(), 0.0, 0

    def run(self) -> None:
        while not self.stopped.is_set():
            began = time.monotonic()
            assert self.web.get("/api/health")[0] in (200, 503)
            self.longest_seconds = max(self.longest_seconds, time.monotonic() - began)
            self.count += 1

    def __enter__(self) -> Watch:
        self.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.stopped.set()
        self.join(60)


def test_stranger_is_refused_before_the_handshake(web: WebServer) -> None:
    ours = f"Origin: http://127.0.0.1:{web.port}"
    for headers in (ours, "Authorization: Bearer x", f"{ours}\r\nCookie: sessionid=x", f"{ours}\r\nCookie: sessionid="):
        assert Socket(web, headers).read_head().startswith("HTTP/1.1 403"), headers


HOSTILE = {
    "the first octet of a text": TEXT,
    "a binary frame": BINARY + b"\x81" + MASK + b"x",
    "fragments": b"\x02\x81" + MASK + b"x" + b"\x00\x81" + MASK + b"x",
    "a continuation of nothing": CONTINUATION + b"\x81" + MASK + b"x",
    "a ping in fragments": b"\x09\x80" + MASK,
    "a long ping": PING + b"\xfe\xff\xff",
    "a ping without a mask": PING + b"\x01x",
    "a compressed ping": b"\xc9\x80" + MASK,
    "a control frame that does not exist": b"\x8b\x80" + MASK,
    "a ping and a text": PING + b"\x81" + MASK + b"x" + TEXT,
    "another request": b"GET / HTTP/1.1\r\n\r\n",
}


def test_socket_is_closed_at_the_first_octet_of_anything_but_a_control_frame(web: WebServer) -> None:
    for name, octets in HOSTILE.items():
        client = opened(web)
        began = time.monotonic()
        client.socket.sendall(octets)
        assert client.read_close() in (1008, None), name  # None: the reset overtook the close frame
        assert time.monotonic() - began < 3, name  # long before a ping would find out


def test_pings_are_answered_in_pieces_and_closed_when_there_are_too_many(web: WebServer) -> None:
    client = opened(web)
    for piece in (b"\x89", b"\x82" + MASK[:2], MASK[2:] + b"h", b"i" + PONG + b"\x80", MASK):
        client.socket.sendall(piece)
        time.sleep(0.02)  # so that each piece is a packet of its own; nothing depends on it
    while (frame := client.read_frame())[0] != 0xA:
        pass
    assert frame[1] == b"hi"
    client.socket.sendall((PING + b"\x80" + MASK) * 200)
    assert client.read_close() in (1008, None)


def test_socket_is_closed_when_the_client_says_so(web: WebServer) -> None:
    client = opened(web)
    client.socket.sendall(CLOSE + b"\x82" + MASK + struct.pack("!H", 1000))
    assert client.read_close() == 1000


@pytest.mark.parametrize("size", [1, 4_000_000])
def test_client_is_cut_off_when_it_speaks_before_the_handshake(web: WebServer, size: int) -> None:
    clients = [Socket(web, f"Authorization: {web.bearer}", early=b"\x81" * size) for _ in range(3)]
    with Watch(web) as watch:
        for client in clients:
            with suppress(OSError):
                client.socket.sendall(b"\x82" * size)
            with suppress(OSError):
                client.read_head()
                client.read_close()
    assert watch.longest_seconds < 1


@pytest.mark.parametrize("who", ["a user", "a stranger"])
def test_other_requests_are_answered_when_a_client_sends_millions_of_tiny_frames(web: WebServer, who: str) -> None:
    header = f"Authorization: {web.bearer}" if who == "a user" else f"Origin: http://127.0.0.1:{web.port}"
    with Watch(web) as watch:
        for _ in range(3):
            client = Socket(web, header)
            if who == "a user":
                client.read_head()
            with suppress(OSError):
                client.socket.sendall(b"\x02\x81" + MASK + b"x")
                for _ in range(60):
                    client.socket.sendall((CONTINUATION + b"\x81" + MASK + b"x") * 10_000)
            client.socket.close()
    assert watch.count and watch.longest_seconds < 1  # 0.1 s on a quiet machine; it was 20 s
