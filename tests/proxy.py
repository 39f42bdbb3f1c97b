"""A TCP proxy that can delay, hold back and cut connections.

It understands enough of PostgreSQL's protocol to cut a connection after a COMMIT took effect and before the client gets
the reply. It listens on 127.0.0.1 and forwards to a TCP address or a unix socket. ``RunningProxy`` runs it in a thread.
"""

from __future__ import annotations

import asyncio
import re
import struct
import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

READ_BYTES = 65_536
SSL_REQUEST, GSS_REQUEST, CANCEL_REQUEST = 80877103, 80877104, 80877102
COMMITS = re.compile(rb"\bCOMMIT\b|UPDATE batches_lane", re.IGNORECASE)
"""Statements that commit: COMMIT itself, and a ledger cycle, which is a transaction of one statement."""


class PostgresDialogue:
    """Follow both directions of one connection, to recognise the reply to a commit."""

    def __init__(self, pattern: re.Pattern[bytes] = COMMITS) -> None:
        self.pattern = pattern
        self.from_client = bytearray()
        self.from_server = bytearray()
        self.has_started = False
        self.skip_byte = False
        self.statements: set[bytes] = set()
        self.is_committing = False

    def read_client(self, data: bytes) -> None:
        """Read bytes from the client, and note whether it commits."""
        self.from_client += data
        while (message := self._next_client_message()) is not None:
            kind, body = message
            if kind == b"Q":
                self.is_committing = self.pattern.search(body) is not None
            elif kind == b"P":
                name, _, rest = body.partition(b"\0")
                self.statements.discard(name)
                if self.pattern.search(rest):
                    self.statements.add(name)
            elif kind == b"B":
                name = body.split(b"\0", 2)[1]
                self.is_committing = self.is_committing or name in self.statements

    def _next_client_message(self) -> tuple[bytes, bytes] | None:
        buffer = self.from_client
        while not self.has_started:
            if len(buffer) < 8:
                return None
            length, code = struct.unpack_from("!ii", buffer)
            if len(buffer) < length:
                return None
            del buffer[:length]
            # The server answers a request for encryption with one byte. Then the client sends its start-up message.
            self.skip_byte = code in (SSL_REQUEST, GSS_REQUEST)
            self.has_started = not self.skip_byte
        return _take_message(buffer)

    def read_server(self, data: bytes) -> bool:
        """Read bytes from the server. Return whether they contain the ReadyForQuery after a commit."""
        self.from_server += data
        if self.skip_byte and self.from_server:
            self.skip_byte = False
            del self.from_server[:1]
        has_committed = False
        while (message := _take_message(self.from_server)) is not None:
            kind, body = message
            if kind == b"Z":
                has_committed = has_committed or (self.is_committing and body == b"I")
                self.is_committing = False
        return has_committed


def _take_message(buffer: bytearray) -> tuple[bytes, bytes] | None:
    if len(buffer) < 5:
        return None
    (length,) = struct.unpack_from("!i", buffer, 1)
    if len(buffer) < length + 1:
        return None
    kind, body = bytes(buffer[:1]), bytes(buffer[5 : length + 1])
    del buffer[: length + 1]
    return kind, body


class Proxy:
    """The proxy in an event loop. ``target`` is the path of a unix socket or ``(host, port)``."""

    def __init__(self, target: Path | tuple[str, int], *, is_postgres: bool = False) -> None:
        self.target = target
        self.is_postgres = is_postgres
        self.port = 0
        self.delay_seconds = 0.0
        self.cuts_wanted = 0
        self.cuts_done = 0
        self.writers: set[asyncio.StreamWriter] = set()
        self.tasks: set[asyncio.Task[None]] = set()
        self.server: asyncio.Server | None = None

    async def start(self) -> None:
        self.open = asyncio.Event()
        self.open.set()
        await self.listen()

    async def listen(self) -> None:
        if self.server is None:
            self.server = await asyncio.start_server(self._accept, "127.0.0.1", self.port)
            self.port = self.server.sockets[0].getsockname()[1]

    async def refuse(self) -> None:
        """Refuse new connections. Open ones go on."""
        if self.server is not None:
            self.server.close()
            self.server = None

    async def stop(self) -> None:
        await self.refuse()
        self.cut()
        for task in list(self.tasks):
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)

    def cut(self) -> None:
        """Reset every connection."""
        for writer in list(self.writers):
            writer.transport.abort()

    def blackhole(self, *, on: bool) -> None:
        """Forward nothing in either direction. Bytes that arrived meanwhile are forwarded when this is switched off."""
        self.open.clear() if on else self.open.set()

    def cut_after_commit(self, count: int = 1) -> None:
        """Lose the replies to the next ``count`` commits: they take effect, and the client cannot know."""
        self.cuts_wanted += count

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self.open.wait()
        try:
            if isinstance(self.target, tuple):
                back_reader, back_writer = await asyncio.open_connection(*self.target)
            else:
                back_reader, back_writer = await asyncio.open_unix_connection(self.target)
        except OSError:
            writer.transport.abort()
            return
        pair = (writer, back_writer)
        self.writers.update(pair)
        dialogue = PostgresDialogue() if self.is_postgres else None
        directions = (
            self._pump(reader, back_writer, watch=self._watch_client(dialogue) if dialogue else None),
            self._pump(back_reader, writer, watch=self._watch_server(dialogue, pair) if dialogue else None),
        )
        for direction in directions:
            task = asyncio.get_running_loop().create_task(direction)
            self.tasks.add(task)
            task.add_done_callback(self.tasks.discard)

    @staticmethod
    def _watch_client(dialogue: PostgresDialogue) -> Callable[[bytes], bool]:
        def watch(data: bytes) -> bool:
            dialogue.read_client(data)
            return True

        return watch

    def _watch_server(
        self, dialogue: PostgresDialogue, pair: tuple[asyncio.StreamWriter, ...]
    ) -> Callable[[bytes], bool]:
        def watch(data: bytes) -> bool:
            if not dialogue.read_server(data) or self.cuts_done >= self.cuts_wanted:
                return True
            self.cuts_done += 1
            for writer in pair:
                writer.transport.abort()
            return False

        return watch

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, watch: Callable[[bytes], bool] | None
    ) -> None:
        try:
            while data := await reader.read(READ_BYTES):
                await self.open.wait()
                if self.delay_seconds:
                    await asyncio.sleep(self.delay_seconds)
                if watch is not None and not watch(data):
                    break
                writer.write(data)
                await writer.drain()
        except OSError:
            pass
        finally:
            writer.close()
            self.writers.discard(writer)


class RunningProxy:
    """The proxy in a thread. Start it with ``with RunningProxy(socket_path, is_postgres=True) as proxy``."""

    def __init__(self, target: Path | tuple[str, int], *, is_postgres: bool = False) -> None:
        self.proxy = Proxy(target, is_postgres=is_postgres)
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, name="proxy", daemon=True)

    def __enter__(self) -> Self:
        self.thread.start()
        self._await(self.proxy.start())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._await(self.proxy.stop())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(timeout=10)
        self.loop.close()

    @property
    def port(self) -> int:
        return self.proxy.port

    @property
    def cuts_done(self) -> int:
        return self.proxy.cuts_done

    def refuse(self) -> None:
        self._await(self.proxy.refuse())

    def listen(self) -> None:
        self._await(self.proxy.listen())

    def cut(self) -> None:
        self._call(self.proxy.cut)

    def blackhole(self, *, on: bool) -> None:
        self._call(lambda: self.proxy.blackhole(on=on))

    def delay(self, seconds: float) -> None:
        self.proxy.delay_seconds = seconds

    def cut_after_commit(self, count: int = 1) -> None:
        self._call(lambda: self.proxy.cut_after_commit(count))

    def _await(self, coroutine: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(timeout=10)

    def _call(self, function: Callable[[], None]) -> None:
        async def call() -> None:
            function()

        self._await(call())
