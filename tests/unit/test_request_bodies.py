"""What daphne answers before it calls the application, over Twisted's own transport for tests."""

from __future__ import annotations

import io
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from twisted.internet.testing import StringTransport
from twisted.web.http import HTTPChannel

from emailbatch.request_bodies.admission import find_limit
from emailbatch.request_bodies.daphne_request import DaphneRequest


class Transport(StringTransport):
    """Also half-closes and aborts, as a socket does."""

    def loseWriteConnection(self) -> None:
        self.disconnecting = True

    def abortConnection(self) -> None:
        self.aborting = True


class Request(DaphneRequest):
    """Never reaches the application."""

    def process(self) -> None:
        pytest.fail("The request reached the application.")


@pytest.fixture
async def channel() -> Any:
    make: Any = HTTPChannel
    channel = make()
    server = SimpleNamespace(protocol_connected=lambda request: None, protocol_disconnected=lambda request: None)
    channel.factory = SimpleNamespace(server=server, log=lambda request: None)
    channel.requestFactory = Request
    channel.site = channel.factory
    transport: Any = Transport
    channel.makeConnection(transport())
    return channel


def ask(channel: Any, length: int, **headers: str) -> None:
    lines = [f"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n"]
    lines += [f"{name}: {value}\r\n" for name, value in headers.items()]
    channel.dataReceived("".join([*lines, "\r\n"]).encode())


def answered(channel: Any) -> str:
    value: bytes = channel.transport.value()
    return value.decode()


@pytest.mark.parametrize("pieces", [[b"x" * 10], [b"x" * 100_000], [b"x" * 60_000, b"x" * 60_000, b"x"]])
async def test_answer_is_507_when_the_disk_is_full(channel: Any, pieces: list[bytes]) -> None:
    ask(channel, sum(map(len, pieces)))
    channel.requests[-1].content.close()
    raw: Any = Path("/dev/full").open("r+b", buffering=0)  # noqa: SIM115  the request closes it
    channel.requests[-1].content = io.BufferedRandom(Rewindable(raw))
    for piece in pieces:
        channel.dataReceived(piece)
    assert answered(channel).startswith("HTTP/1.1 507 ")
    assert "disk is full" in answered(channel)
    assert answered(channel).count("HTTP/1.1") == 1
    assert channel.requests[-1].content.closed


class Rewindable(io.RawIOBase):
    """The file of a full disk: each write fails because there is no space."""

    def __init__(self, full: Any) -> None:
        self._full = full

    def readable(self) -> bool:
        return True

    def writable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        return 0

    def write(self, data: Any) -> int:
        count: int = self._full.write(data)
        return count

    def close(self) -> None:
        self._full.close()
        super().close()


async def test_answer_is_a_page_when_a_browser_posts_too_much_without_a_script(channel: Any) -> None:
    ask(channel, find_limit("POST", "/").max_bytes + 1, Accept="text/html,application/xhtml+xml")
    head, _, body = answered(channel).partition("\r\n\r\n")
    assert head.startswith("HTTP/1.1 413 ") and "Content-Type: text/html" in head
    assert "Split it into" in body and "<p" in body
    assert f"Content-Length: {len(body.encode())}" in head


async def test_answer_is_json_when_a_program_posts_too_much(channel: Any) -> None:
    ask(channel, find_limit("POST", "/").max_bytes + 1, Accept="*/*")
    assert '{"detail": "The list is larger than' in answered(channel)
