"""daphne's request, with the body in a temporary file and a response that waits for its reader.

daphne 4.2 reads a whole body before it calls the application. It lets Twisted parse a form in memory, which froze every
request while it parsed a large upload. It queues the body again in pieces of 8 KB. It writes as fast as the application
sends, even if the client reads nothing. ``DaphneRequest`` corrects all four.
"""

from __future__ import annotations

import asyncio
import io
from collections.abc import Callable, Mapping
from contextlib import suppress
from contextvars import ContextVar
from typing import IO, Any

from daphne import cli, http_protocol

from batches.files.errors import FileTooLarge, ListRefused, StorageFull
from batches.files.full_disk import is_disk_full
from batches.files.spooling import too_large_sentence
from emailbatch.request_bodies.refusal import body_max_bytes, write_refusal

LINGER_SECONDS = 5.0
"""How long the server still reads from a refused client. If it closed at once, the client's kernel would drop the
answer before the client reads it."""

current_request: ContextVar[DaphneRequest | None] = ContextVar("current_request", default=None)
"""The request that daphne hands to the application in this context; None under any other server."""


def serve_through_daphne(access_log: Callable[[IO[str]], Any]) -> None:
    """Make daphne build our requests and our access log. It looks these names up when it needs them.

    Args:
        access_log: Takes the stream, and then what happened, as ``daphne.access.AccessLogGenerator`` does.
    """
    http_protocol.WebRequest = DaphneRequest
    cli.AccessLogGenerator = access_log


class DaphneRequest(http_protocol.WebRequest):  # type: ignore[misc]  # daphne has no types
    """A request whose body goes to a temporary file, up to a limit, and whose response waits for its reader."""

    content: Any  # the file in which Twisted gathers the body

    def __init__(self, channel: Any, *args: Any) -> None:
        super().__init__(channel, *args, parsePOSTFormSubmission=False)
        self.body: IO[bytes] = io.BytesIO()
        self.can_write = asyncio.Event()
        self.can_write.set()
        self.received_bytes = 0
        self.user_id: int | None = None  # for the access log
        self._is_refused = False

    def gotLength(self, length: int | None) -> None:
        """Refuse a body by its Content-Length. Twisted calls this after the headers and before the body."""
        super().gotLength(length)
        if length is not None and length > body_max_bytes():
            self._refuse(FileTooLarge(too_large_sentence()))

    def handleContentChunk(self, data: bytes) -> None:
        if self._is_refused:
            return
        self.received_bytes += len(data)
        if self.received_bytes > body_max_bytes():  # a chunked body has no Content-Length
            self._refuse(FileTooLarge(too_large_sentence()))
            return
        self._write(data)

    def requestReceived(self, *args: Any) -> None:
        self._write(b"")
        if not self._is_refused:
            super().requestReceived(*args)

    def _write(self, data: bytes) -> None:
        """Append to the temporary file; empty ``data`` means that the body is complete."""
        if self._is_refused:
            return
        try:
            super().handleContentChunk(data)
            if not data:
                self.content.flush()  # a full disk may show only when the buffer is written
        except OSError as exc:
            if not is_disk_full(exc):
                raise
            self._refuse(StorageFull())

    def process(self) -> None:
        """Call the application, with the body beside daphne's queue and not in it."""
        self.body, self.content = self.content, io.BytesIO()
        self.body.seek(0)
        token = current_request.set(self)
        try:
            super().process()
        finally:
            current_request.reset(token)
        if self.application_queue is not None and not self.finished:
            self.registerProducer(self, True)

    def handle_reply(self, message: Mapping[str, Any]) -> None:
        """Let the access log, which daphne calls at the end, find the request that it writes about."""
        token = current_request.set(self)
        try:
            super().handle_reply(message)
        finally:
            current_request.reset(token)

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
        self.can_write.set()  # the application may go on: daphne drops what it sends to a lost connection
        super().connectionLost(reason)

    def _refuse(self, refused: ListRefused) -> None:
        """Answer now, half-close, and read a little longer from a client that is still sending."""
        self._is_refused = True
        with suppress(OSError):  # closing flushes, so a full disk raises again
            self.content.close()
        self.requestHeaders.removeHeader(b"Expect")  # otherwise Twisted answers 100 Continue after this
        content_type, body = write_refusal(refused, accept=self.requestHeaders.getRawHeaders("accept", [""])[0])
        head = (
            f"HTTP/1.1 {refused.http_status} Refused\r\nContent-Type: {content_type}\r\nContent-Length: {len(body)}\r\n"
        )
        transport = self.channel.transport
        transport.write(head.encode() + b"Connection: close\r\n\r\n" + body)
        transport.loseWriteConnection()
        asyncio.get_event_loop().call_later(LINGER_SECONDS, transport.abortConnection)
