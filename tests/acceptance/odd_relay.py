"""A relay that follows the letter of SMTP and has one odd habit. It counts what it accepts, refuses and loses.

Each habit is a subclass of ``Dialogue``. The relay reads everything that a client has written before it answers, as
pipelining allows, and answers in order.
"""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from types import TracebackType
from typing import Self


class Record:
    """What one relay has done, over all connections."""

    def __init__(self) -> None:
        self.accepted: Counter[str] = Counter()
        self.refused: set[str] = set()
        self.lost: set[str] = set()
        """Those whose content arrived and got no reply, accepted or not."""
        self.rcpt_count = self.connection_count = self.message_count = 0


class Dialogue:
    """One connection. A habit overrides what answers a command; an answer of None closes the connection."""

    def __init__(self, record: Record, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.record, self.reader, self.writer = record, reader, writer
        self.accepted_count = self.refused_count = self.message_count = 0
        self.has_mail = False
        self.recipient = ""
        self.closes = False
        """Whether the connection is closed after the next reply."""

    def on_mail(self) -> str | None:
        return "250 2.1.0 Ok"

    def on_rcpt(self, address: str) -> str | None:
        return "250 2.1.5 Ok"

    def on_data(self, address: str) -> str | None:
        return "354 Go on"

    def on_message(self, address: str) -> str | None:
        return "250 2.0.0 Ok: queued"

    def on_reset(self) -> str | None:
        return "250 2.0.0 Reset"

    async def run(self, extensions: tuple[str, ...]) -> None:
        self.record.connection_count += 1
        self.writer.write(b"220 odd.example ESMTP\r\n")
        try:
            while line := await self.reader.readline():
                answer = await self._answer(line.rstrip(b"\r\n").decode(), extensions)
                if answer is None:
                    break
                self.writer.write(answer.encode() + b"\r\n")
                if self.closes or answer.startswith(("221", "421")):
                    break
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            self.writer.close()

    async def _answer(self, line: str, extensions: tuple[str, ...]) -> str | None:
        verb, _, rest = line.partition(" ")
        verb = verb.upper()
        if verb in ("EHLO", "HELO"):
            lines = ["odd.example", *extensions]
            return "\r\n".join(
                f"250{'-' if number < len(lines) else ' '}{text}" for number, text in enumerate(lines, 1)
            )
        if verb == "MAIL":
            return self._mail()
        if verb == "RCPT":
            return self._rcpt(rest[rest.index("<") + 1 : rest.index(">")])
        if verb == "DATA":
            return await self._data()
        if verb == "BDAT":
            await self.reader.readexactly(int(rest.split()[0]))
            return self._message() if self.recipient else "503 5.5.1 No valid recipients"
        if verb == "RSET":
            answer = self.on_reset()
            if answer is not None and answer.startswith("250"):
                self._end_mail()
            return answer
        return "221 2.0.0 Bye" if verb == "QUIT" else "502 5.5.1 Not known"

    def _mail(self) -> str | None:
        if self.has_mail:
            return "503 5.5.1 Nested MAIL"
        answer = self.on_mail()
        self.has_mail = answer is not None and answer.startswith("250")
        return answer

    def _rcpt(self, address: str) -> str | None:
        if not self.has_mail:
            return "503 5.5.1 MAIL first"
        if self.recipient:
            return "452 4.5.3 One recipient at a time"
        self.record.rcpt_count += 1
        answer = self.on_rcpt(address)
        if answer is not None and answer.startswith("25"):
            self.recipient = address
        elif answer is not None and answer.startswith("5"):
            self._refuse(address)
        return answer

    async def _data(self) -> str | None:
        if not self.recipient:
            return "503 5.5.1 RCPT first"
        answer = self.on_data(self.recipient)
        if answer is None or not answer.startswith("354"):
            if answer is not None and answer.startswith("5"):
                self._refuse(self.recipient)
            return answer
        self.writer.write(answer.encode() + b"\r\n")
        await self.reader.readuntil(b"\r\n.\r\n")  # A message that is cut off is none.
        return self._message()

    def _message(self) -> str | None:
        self.record.message_count += 1
        self.message_count += 1
        address = self.recipient
        answer = self.on_message(address)
        self._end_mail()
        if answer is None:
            self.record.lost.add(address)
        elif answer.startswith("250"):
            self.accepted_count += 1
            self.record.accepted[address] += 1
        elif answer.startswith("5"):
            self._refuse(address)
        return answer

    def _refuse(self, address: str) -> None:
        self.refused_count += 1
        self.record.refused.add(address)

    def _end_mail(self) -> None:
        self.has_mail, self.recipient = False, ""


class OddRelay:
    """The relay, in a thread of its own, for as long as the ``with`` block runs."""

    def __init__(self, habit: type[Dialogue], extensions: tuple[str, ...]) -> None:
        self.record, self._habit, self._extensions = Record(), habit, extensions
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._server: asyncio.Server | None = None
        self._dialogues: set[asyncio.Task[None]] = set()
        self.port = 0

    def __enter__(self) -> Self:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _end(self) -> None:
        if self._server is not None:
            self._server.close()
        for task in self._dialogues:
            task.cancel()
        await asyncio.gather(*self._dialogues, return_exceptions=True)

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(self._habit(self.record, reader, writer).run(self._extensions))
        self._dialogues.add(task)
        task.add_done_callback(self._dialogues.discard)
        await asyncio.wait([task])
