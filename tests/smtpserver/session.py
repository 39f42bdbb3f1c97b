"""One connection of the recording server: bytes come in, the dialogue gets commands and messages, replies go out.

The session keeps the order, adds the delays, and holds each reply back until the record is written.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from tests.smtpserver.listener import Listener

LINE_MAX_BYTES = 12_288
"""RFC 5321 section 4.5.3.1.4 requires 512; RFC 4954 section 4 (AUTH) requires 12,288."""

COMMAND, CONTENT, CHUNK = range(3)
END_OF_CONTENT = b"\r\n.\r\n"


class Session(asyncio.Protocol):
    """The transport side of a connection. ``Dialogue`` chooses the answers."""

    is_secure = False
    is_utf8 = False
    is_eightbit = False

    def __init__(self, listener: Listener, *, number: int) -> None:
        self.listener = listener
        self.number = number
        self.random = random.Random(f"{listener.behaviour.seed}/{number}")
        self.transport: asyncio.Transport | None = None
        self.client_port = 0
        self.buffer = bytearray()
        self.position = 0
        self.scanned = 0
        self.mode = COMMAND
        self.chunk_bytes = 0
        self.out = bytearray()
        self.output_due = 0.0
        self.is_silent = False
        self.is_closing = False
        self.waiting: list[bytes] = []
        self.arrivals: deque[tuple[float, bytes]] = deque()
        self.departures: deque[tuple[float, bytes, bool]] = deque()

    # --- The transport ---------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.client_port = transport.get_extra_info("peername")[1]
        self.listener.opened(self)
        self.receive(b"")

    def connection_lost(self, exc: Exception | None) -> None:
        # The session still processes the bytes that arrived before: a client that died had sent them, and they count.
        self.listener.closed(self)

    def data_received(self, data: bytes) -> None:
        self.receive(data)

    def receive(self, data: bytes) -> None:
        """Process bytes now, one round trip later, or, in a black hole, when the black hole ends."""
        behaviour = self.listener.behaviour
        if behaviour.blackhole or self.waiting:
            self.waiting.append(data)
            return
        delay_ms = behaviour.latency_ms
        if behaviour.jitter_ms:
            delay_ms += self.random.uniform(0, behaviour.jitter_ms)
        if not delay_ms and not self.arrivals:
            self.feed(data)
            return
        now = self.listener.loop.time()
        due = max(now + delay_ms / 1000, self.arrivals[-1][0] if self.arrivals else now)
        self.arrivals.append((due, data))
        self.listener.loop.call_at(due, self.feed_next)

    def feed_next(self) -> None:
        self.feed(self.arrivals.popleft()[1])

    def end_blackhole(self) -> None:
        """Process the bytes that a black hole held back."""
        waiting, self.waiting = self.waiting, []
        for data in waiting:
            self.receive(data)

    # --- Input -----------------------------------------------------------------------------------------

    def feed(self, data: bytes) -> None:
        """Process every complete command and message in the buffer."""
        if self.is_silent or self.is_closing:
            return
        if not data and not self.buffer:
            self.greet()
        self.buffer += data
        steps = (self.step_command, self.step_content, self.step_chunk)
        while steps[self.mode]() and not (self.is_silent or self.is_closing):
            pass
        # Keep the two bytes before the content: the search for its end begins at the line end before it.
        drop = self.position - 2
        if drop > 0:
            del self.buffer[:drop]
            self.position = 2
            self.scanned = max(self.scanned - drop, 0)
        self.listener.queue_replies(self)

    def step_command(self) -> bool:
        end = self.buffer.find(b"\n", self.position)
        if end < 0:
            if len(self.buffer) - self.position > LINE_MAX_BYTES:
                self.say(b"500 5.5.2 Line too long")
                self.drop()
            return False
        line = bytes(self.buffer[self.position : end]).removesuffix(b"\r")
        self.position = end + 1
        is_alone = self.position == len(self.buffer)
        self.command(line, is_alone=is_alone)
        return True

    def step_content(self) -> bool:
        """Find the end of the message, which is CRLF, dot, CRLF and nothing else (RFC 5321 section 4.1.1.4)."""
        start = self.position
        if len(self.buffer) > start:
            self.content_begun()
            if self.is_closing or self.is_silent:
                return False
        end = self.buffer.find(END_OF_CONTENT, max(start - 2, self.scanned))
        if end < 0:
            self.scanned = max(len(self.buffer) - 4, 0)
            return False
        content = bytes(self.buffer[start : end + 2]) if end + 2 > start else b""
        if b"\r\n.." in content:
            content = content.replace(b"\r\n..", b"\r\n.")
        self.position = end + 5
        self.scanned = 0
        self.mode = COMMAND
        self.content_ended(content.removeprefix(b".") if content.startswith(b"..") else content)
        return True

    def step_chunk(self) -> bool:
        end = self.position + self.chunk_bytes
        if len(self.buffer) < end:
            return False
        content = bytes(self.buffer[self.position : end])
        self.position = end
        self.mode = COMMAND
        self.chunk_ended(content)
        return True

    def discard_input(self) -> None:
        """Discard bytes that came before TLS: they were not protected (RFC 3207 section 4.2, CVE-2011-0411)."""
        self.buffer.clear()
        self.position = self.scanned = 0

    # --- Output ----------------------------------------------------------------------------------------

    def say(self, reply: bytes) -> None:
        self.out += reply
        self.out += b"\r\n"

    def drop(self) -> None:
        """Close the connection after the replies before this call have been written."""
        self.is_closing = True

    def flush(self) -> None:
        """Write the replies, later if the behaviour has a delay. The record has been written by now."""
        out = bytes(self.out)
        self.out.clear()
        now = self.listener.loop.time()
        due = max(self.output_due, now)
        if out and self.listener.behaviour.reply_jitter_ms:
            due = max(due, now + self.random.uniform(0, self.listener.behaviour.reply_jitter_ms) / 1000)
        if due <= now and not self.departures:
            self.write(out, is_last=self.is_closing)
            return
        self.output_due = due
        self.departures.append((due, out, self.is_closing))
        self.listener.loop.call_at(due, self.write_next)

    def write_next(self) -> None:
        _, out, is_last = self.departures.popleft()
        self.write(out, is_last=is_last)

    def write(self, out: bytes, *, is_last: bool = False) -> None:
        transport = self.transport
        if transport is None or transport.is_closing():
            return
        if out:
            transport.write(out)
        if is_last:
            transport.close()

    # --- For the dialogue ------------------------------------------------------------------------------

    def greet(self) -> None:
        raise NotImplementedError

    def command(self, line: bytes, *, is_alone: bool) -> None:
        raise NotImplementedError

    def content_begun(self) -> None:
        raise NotImplementedError

    def content_ended(self, content: bytes) -> None:
        raise NotImplementedError

    def chunk_ended(self, content: bytes) -> None:
        raise NotImplementedError
