"""Carry request and response bodies of any size: refuse too large ones early, hold none in memory.

daphne 4.2 reads a body whole before it calls the application, lets Twisted parse a form in memory (a 200 MB
upload took 2.6 GB and froze every request for 12 s), queues it again in pieces of 8 KB, and writes as fast as
the application sends, whether or not anybody reads. ``DaphneRequest`` mends all four; ``BodyHandler`` is Django's
ASGI handler that takes the body from it. Under another ASGI server only the limit is left to do.
"""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from contextvars import ContextVar
from functools import partial
from typing import IO, Any

from daphne import http_protocol
from django.conf import settings
from django.core.exceptions import RequestAborted
from django.core.handlers.asgi import ASGIHandler

from batches.files.errors import StorageFull
from batches.files.full_disk import is_disk_full

FRAMING_MAX_BYTES = 64 * 1024
"""What a form adds around its file: boundaries, headers, the other fields."""

LINGER_SECONDS = 5.0
"""How long a refused client is still listened to. Closed at once, its kernel would drop our answer unread."""

REFUSAL_PAGE = """<!doctype html><html lang="en"><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="color-scheme" content="light dark">
<title>Refused</title><link rel="stylesheet" href="{style}">
<main><h1>The file was not taken</h1><p class="notice error" role="alert">{sentence}</p>
<p><a class="button primary" href="/">Back</a></p></main></html>
"""
"""Written where no template can be rendered: before there is a request."""

Receive = Callable[[], Awaitable[Mapping[str, Any]]]
Send = Callable[[Mapping[str, Any]], Awaitable[None]]

_arrived: ContextVar[DaphneRequest | None] = ContextVar("arrived", default=None)


def body_max_bytes() -> int:
    return int(settings.UPLOAD_MAX_BYTES) + FRAMING_MAX_BYTES


def serve_through_daphne() -> None:
    """Make daphne's factory, which looks the name up for each connection, build our requests."""
    http_protocol.WebRequest = DaphneRequest


class DaphneRequest(http_protocol.WebRequest):  # type: ignore[misc]  # daphne has no types
    """A request whose body goes to a temporary file, up to a limit, and whose answer waits for its reader."""

    content: Any  # where Twisted gathers the body

    def __init__(self, channel: Any, *args: Any) -> None:
        super().__init__(channel, *args, parsePOSTFormSubmission=False)
        self.body: IO[bytes] = io.BytesIO()
        self.can_write = asyncio.Event()
        self.can_write.set()
        self.received_bytes = 0
        self._is_refused = False

    def gotLength(self, length: int | None) -> None:
        """The headers are here and the body is not."""
        super().gotLength(length)
        if length is not None and length > body_max_bytes():
            self._refuse(413, _too_large_sentence())

    def handleContentChunk(self, data: bytes) -> None:
        if self._is_refused:
            return
        self.received_bytes += len(data)
        if self.received_bytes > body_max_bytes():  # sent in chunks, without a length
            self._refuse(413, _too_large_sentence())
            return
        self._write(data)

    def requestReceived(self, *args: Any) -> None:
        self._write(b"")
        if not self._is_refused:
            super().requestReceived(*args)

    def _write(self, data: bytes) -> None:
        if self._is_refused:
            return
        try:
            super().handleContentChunk(data)
            if not data:
                self.content.flush()  # what was gathered may be what finds no room
        except OSError as exc:
            if not is_disk_full(exc):
                raise
            self._refuse(StorageFull.http_status, str(StorageFull()))

    def process(self) -> None:
        """Hand over to the application, with the body beside the queue and not in it."""
        self.body, self.content = self.content, io.BytesIO()
        self.body.seek(0)
        token = _arrived.set(self)
        try:
            super().process()
        finally:
            _arrived.reset(token)
        if self.application_queue is not None and not self.finished:
            self.registerProducer(self, True)

    def pauseProducing(self) -> None:
        self.can_write.clear()

    def resumeProducing(self) -> None:
        self.can_write.set()

    def stopProducing(self) -> None:
        self.can_write.set()

    def finish(self) -> None:
        if self.producer is not None:
            self.unregisterProducer()
        super().finish()

    def connectionLost(self, reason: Any) -> None:
        self.can_write.set()  # whoever waits may go on: what is sent to nobody is dropped
        super().connectionLost(reason)

    def _refuse(self, status: int, sentence: str) -> None:
        """Answer now, half-close, and listen a little longer for a client that is still sending."""
        self._is_refused = True
        with suppress(OSError):  # a full disk shows once more
            self.content.close()
        self.requestHeaders.removeHeader(b"Expect")  # or Twisted would answer 100 Continue after this
        content_type, body = _write_refusal(sentence, accept=self.requestHeaders.getRawHeaders("accept", [""])[0])
        head = f"HTTP/1.1 {status} Refused\r\nContent-Type: {content_type}\r\nContent-Length: {len(body)}\r\n"
        transport = self.channel.transport
        transport.write(head.encode() + b"Connection: close\r\n\r\n" + body)
        transport.loseWriteConnection()
        asyncio.get_event_loop().call_later(LINGER_SECONDS, transport.abortConnection)


def _too_large_sentence() -> str:
    return f"The request is larger than the {settings.UPLOAD_MAX_BYTES:,} bytes that are taken. Split it."


def _write_refusal(sentence: str, *, accept: str) -> tuple[str, bytes]:
    """Content type and body: a page for a browser that posted a form without a script, JSON for all others."""
    if "text/html" in accept:
        page = REFUSAL_PAGE.format(style=f"{settings.STATIC_URL}css/pages.css", sentence=sentence)
        return "text/html; charset=utf-8", page.encode()
    return "application/json", json.dumps({"detail": sentence}).encode()


class _BodyTooLarge(Exception):
    pass


class BodyHandler(ASGIHandler):
    """Django's ASGI handler, with the body from daphne's temporary file and a limit under any server."""

    async def handle(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        request = _arrived.get()
        if request is not None:
            send = partial(_send_to_reader, request, send)
            scope = _with_length(scope, request.received_bytes)
        try:
            await super().handle(scope, receive, send)
        except _BodyTooLarge:
            await _send_refusal(scope, send)

    async def read_body(self, receive: Receive) -> IO[bytes]:
        request = _arrived.get()
        if request is None:
            return await super().read_body(_limited(receive))
        if (await receive())["type"] == "http.disconnect":
            raise RequestAborted
        return request.body


def _with_length(scope: dict[str, Any], length: int) -> dict[str, Any]:
    """Say how long the body is that came in chunks: without a length Django takes a form for empty."""
    if any(name == b"content-length" for name, _ in scope["headers"]):
        return scope
    return {**scope, "headers": [*scope["headers"], (b"content-length", b"%d" % length)]}


async def _send_to_reader(request: DaphneRequest, send: Send, message: Mapping[str, Any]) -> None:
    await request.can_write.wait()
    await send(message)


def _limited(receive: Receive) -> Receive:
    received_bytes = 0

    async def receive_limited() -> Mapping[str, Any]:
        nonlocal received_bytes
        message = await receive()
        received_bytes += len(message.get("body", b""))
        if received_bytes > body_max_bytes():
            raise _BodyTooLarge
        return message

    return receive_limited


async def _send_refusal(scope: Mapping[str, Any], send: Send) -> None:
    accept = next((value.decode("latin-1") for name, value in scope["headers"] if name == b"accept"), "")
    content_type, body = _write_refusal(_too_large_sentence(), accept=accept)
    headers = [(b"content-type", content_type.encode()), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 413, "headers": headers})
    await send({"type": "http.response.body", "body": body})
