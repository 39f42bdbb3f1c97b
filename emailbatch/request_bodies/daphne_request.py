"""daphne's request, with the body in a temporary file and a response that waits for its reader.

daphne 4.2 reads a whole body before it calls the application. It lets Twisted parse a form in memory, which froze every
request while it parsed a large upload. It queues the body again in pieces of 8 KB. It writes as fast as the application
sends, even if the client reads nothing. ``DaphneRequest`` corrects all four. ``arriving`` decides whether the body may
come.
"""

from __future__ import annotations

import asyncio
import io
from collections.abc import Callable, Mapping
from contextlib import suppress
from contextvars import ContextVar
from typing import IO, Any
from urllib.parse import unquote

from daphne import cli, http_protocol, ws_protocol

from batches.client_address import find_client_address
from batches.files.errors import ListRefused, StorageFull
from batches.files.full_disk import is_disk_full
from emailbatch.request_bodies.admission import find_limit
from emailbatch.request_bodies.arriving import Arriving
from emailbatch.request_bodies.daphne_socket import GuardedSocket
from emailbatch.request_bodies.refusal import BodyRefused, write_response

LINGER_SECONDS = 5.0
"""How long the server still reads from a refused client. If it closed at once, the client's kernel would drop the
answer before the client reads it."""

HEAD_SECONDS = 30.0
"""How long the headers of a request may take, from its first line on. Twisted only limits the silence between two
octets, so a client could keep a connection with one octet a minute."""

CHUNKS_FREE = 4096
CHUNK_MIN_BYTES = 16
"""How many chunks a body may have (RFC 9112 section 7.1), and how many octets each has on average beyond that. Twisted
parses each chunk in Python, in the one thread that answers everybody, so six megabytes of chunks with one octet each
stopped all other requests for ten seconds."""

current_request: ContextVar[DaphneRequest | None] = ContextVar("current_request", default=None)
"""The request that daphne hands to the application in this context; None under any other server."""


def serve_through_daphne(access_log: Callable[[IO[str]], Any]) -> None:
    """Make daphne build our requests, our sockets and our access log. It looks these names up when it needs them.

    Args:
        access_log: Takes the stream, and then what happened, as ``daphne.access.AccessLogGenerator`` does.
    """
    http_protocol.WebRequest = DaphneRequest
    cli.AccessLogGenerator = access_log
    ws_protocol.WebSocketFactory.protocol = GuardedSocket


TINY_CHUNKS = (
    f"The request came in chunks of less than {CHUNK_MIN_BYTES} bytes, so nothing of it was kept. Send it in larger "
    "chunks, or with a Content-Length."
)


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
        self._is_chunked = False
        self._chunk_count = 0
        self._arriving: Arriving | None = None
        self._received_early: tuple[Any, ...] | None = None
        self._has_promised_100 = False
        self._head_timer = asyncio.get_event_loop().call_later(HEAD_SECONDS, self._give_up_head)

    def _give_up_head(self) -> None:
        if self.channel is not None:
            self.channel.transport.abortConnection()

    def gotLength(self, length: int | None) -> None:
        """Decide about the body by its Content-Length. Twisted calls this after the headers and before the body."""
        super().gotLength(length)
        self._head_timer.cancel()
        if length == 0:
            return
        self._is_chunked = length is None
        path = unquote(self.channel._path.partition(b"?")[0].decode("latin-1"))
        self._arriving = Arriving(
            limit=find_limit(self.channel._command.decode("latin-1"), path),
            headers=self._list_headers(),
            address=self._find_address(),
            refuse=self._refuse,
            admitted=self._go_on,
        )
        self._arriving.expect(length)
        if self._arriving.is_asking:
            self._wait()

    def _list_headers(self) -> list[tuple[bytes, bytes]]:
        return [(name.lower(), value) for name, values in self.requestHeaders.getAllRawHeaders() for value in values]

    def _find_address(self) -> str:
        forwarded = b",".join(self.requestHeaders.getRawHeaders(b"X-Forwarded-For", []))
        return find_client_address(str(getattr(self.client, "host", "")), forwarded.decode("latin-1"))

    def _wait(self) -> None:
        """Read nothing more from the client until it is known who it is."""
        # Without this header Twisted does not answer 100 Continue, which would invite the client to send.
        if self.requestHeaders.hasHeader(b"Expect"):
            self._has_promised_100 = True
            self.requestHeaders.removeHeader(b"Expect")
        self.channel._networkProducer.pauseProducing()

    def _go_on(self) -> None:
        """The client may send its large body."""
        if self.channel is None:
            return
        if self._has_promised_100:
            self.channel._send100Continue()
        self.channel._networkProducer.resumeProducing()
        if self._received_early is not None:
            super().requestReceived(*self._received_early)

    def handleContentChunk(self, data: bytes) -> None:
        if self._is_refused or self._arriving is None:
            return
        self.received_bytes += len(data)
        if self._is_chunked and not self._count_chunk():
            self._refuse(BodyRefused(TINY_CHUNKS, http_status=400))
            return
        was_asking = self._arriving.is_asking
        self._arriving.receive(self.received_bytes)
        self._write(data)
        if self._arriving.is_asking and not was_asking and not self._is_refused:
            self._wait()

    def _count_chunk(self) -> bool:
        """Count a chunk. Returns whether the chunks are large enough."""
        self._chunk_count += 1
        return self._chunk_count <= CHUNKS_FREE + self.received_bytes // CHUNK_MIN_BYTES

    def requestReceived(self, *args: Any) -> None:
        self._write(b"")
        if self._is_refused:
            return
        if self._arriving is not None:
            self._arriving.end()
            if self._arriving.is_asking:  # the whole body came in the piece that made it large
                self._received_early = args
                return
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
        is_handshake = b"websocket" in map(bytes.lower, self.requestHeaders.getRawHeaders(b"Upgrade", []))
        if self.received_bytes and is_handshake:
            # daphne would hand the body to the websocket as frames that came before the handshake.
            self._refuse(BodyRefused("A websocket's handshake has no body. Send it without one.", http_status=400))
            self._release()
            return
        self.body, self.content = self.content, io.BytesIO()
        self.body.seek(0)
        transport = self.channel.transport
        token = current_request.set(self)
        try:
            super().process()
        finally:
            current_request.reset(token)
        if is_handshake and isinstance(transport.protocol, GuardedSocket):
            # What came in the same piece as the handshake. The channel would keep it, and read no more.
            self.channel.rawDataReceived = transport.protocol.dataReceived
        self._release_after_application()
        if self.application_queue is not None and not self.finished:
            self.registerProducer(self, True)

    def handle_exception(self, exception: BaseException) -> None:
        """Break off an answer that has begun, so that its client does not take a part for the whole.

        daphne would try to begin another answer, fail, and leave the client waiting.
        """
        if self._response_started and self.channel is not None and not self.finished:
            self.channel.transport.abortConnection()
        else:
            super().handle_exception(exception)

    def handle_reply(self, message: Mapping[str, Any]) -> None:
        """Let the access log, which daphne calls at the end, find the request that it writes about."""
        token = current_request.set(self)
        try:
            super().handle_reply(message)
        finally:
            current_request.reset(token)

    def _release_after_application(self) -> None:
        """Give the body's place back when the application has ended, however it ends."""
        running = self.server.connections.get(self, {}).get("application_instance")
        if running is None:
            self._release()
        else:
            running.add_done_callback(lambda _: self._release())

    def _release(self) -> None:
        if self._arriving is not None:
            self._arriving.release()

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
        self._head_timer.cancel()
        if self.application_queue is None:
            self._release()
        super().connectionLost(reason)

    def _refuse(self, refused: ListRefused) -> None:
        """Answer now, half-close, and read a little longer from a client that is still sending."""
        if self._is_refused or self.channel is None:
            return
        self._is_refused = True
        if self._arriving is not None:
            self._arriving.release()
        with suppress(OSError):  # closing flushes, so a full disk raises again
            self.content.close()
        self.requestHeaders.removeHeader(b"Expect")  # otherwise Twisted answers 100 Continue after this
        accept = self.requestHeaders.getRawHeaders("accept", [""])[0]
        transport = self.channel.transport
        self.channel._networkProducer.resumeProducing()  # it may be waiting, and then could not read the answer
        transport.write(write_response(refused, accept=accept))
        transport.loseWriteConnection()
        self.channel.rawDataReceived = _drop  # else each chunk of the rest would be parsed
        asyncio.get_event_loop().call_later(LINGER_SECONDS, transport.abortConnection)


def _drop(data: bytes) -> None:
    """Read what a refused client still sends, and do nothing with it."""
