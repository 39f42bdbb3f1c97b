"""``python -m tests.bench.watching``: many watchers of one batch in one process, as browsers with its page open.

The address of a web server and a session enter. They watch until the batch has ended, or until SIGTERM. JSON leaves:
how many saw the end, and how long each answer took. A socket alone only counts its frames, so that its cost is the
server's. A page also does what ``static/js/batch.js`` and ``fragments.js`` do while its table is in sight: after a
change it fetches its parts, five seconds after the last time at the soonest, and by chance up to as many seconds later
as the snapshot says. After ten seconds without a snapshot it asks for the health.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import random
import signal
import struct
import time
from typing import Any

HOST = "127.0.0.1"
ENDED = ("completed", "failed", "cancelled")
ENDED_TEXTS = tuple(f'"status": "{status}"'.encode() for status in ENDED)
LEAST_GAP_SECONDS, QUIET_SECONDS = 5.0, 10.0
OPENED_AT_ONCE = 20
SHOWN = ("status", "waitingFor", "processed", "sent", "failed", "unknown", "returned", "complained")

TEXT, CLOSE, PING, PONG = 0x1, 0x8, 0x9, 0xA
"""Opcodes of frames (RFC 6455, section 5.2)."""


class Watchers:
    """All watchers of one process, and what they saw."""

    def __init__(self, *, port: int, cookie: str, batch_id: int) -> None:
        self.port, self.cookie, self.batch_id = port, cookie, batch_id
        self.opening = asyncio.Semaphore(OPENED_AT_ONCE)
        self.open_count = self.frame_count = self.ended_count = self.lost_count = 0
        self.part_seconds: list[float] = []
        self.health_seconds: list[float] = []
        self.bad_statuses: list[int] = []

    async def watch(self, *, is_page: bool) -> None:
        """Be one watcher until the batch has ended."""
        page = Page(self) if is_page else None
        try:
            async with self.opening:
                reader, writer = await self._open_socket()
                self.open_count += 1
            tasks = [asyncio.create_task(page.check_health())] if page else []
            try:
                while (text := await self._read_text(reader, writer)) is not None:
                    self.frame_count += 1
                    if page:
                        page.take(json.loads(text))
                    if any(ended in text for ended in ENDED_TEXTS):
                        self.ended_count += 1
                        break
            finally:
                for task in tasks:
                    task.cancel()
                writer.close()
            if page:
                await page.finish()
        except (OSError, asyncio.IncompleteReadError):
            self.lost_count += 1

    async def _open_socket(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection(HOST, self.port)
        writer.write(
            f"GET /ws/batches/{self.batch_id}/ HTTP/1.1\r\nHost: {HOST}:{self.port}\r\nUpgrade: websocket\r\n"
            f"Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
            f"Origin: http://{HOST}:{self.port}\r\nCookie: {self.cookie}\r\n\r\n".encode()
        )
        head = await reader.readuntil(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 101"):
            raise ConnectionError(head.partition(b"\r\n")[0].decode())
        return reader, writer

    async def _read_text(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes | None:
        """Read the next text. None: the server has closed. Pings are answered (RFC 6455, section 5.5.2)."""
        while True:
            first, length = await reader.readexactly(2)
            if length == 126:
                [length] = struct.unpack("!H", await reader.readexactly(2))
            payload = await reader.readexactly(length)
            match first & 0xF:
                case opcode if opcode == TEXT:
                    return payload
                case opcode if opcode == CLOSE:
                    return None
                case opcode if opcode == PING:  # a client masks what it sends; a mask of zeros changes nothing
                    writer.write(bytes([0x80 | PONG, 0x80 | len(payload)]) + bytes(4) + payload)

    async def fetch(self, path: str, times: list[float], *, etag: str = "") -> str:
        """GET a path, note how long it took, and return its ETag."""
        started = time.perf_counter()
        reader, writer = await asyncio.open_connection(HOST, self.port)
        condition = f"If-None-Match: {etag}\r\n" if etag else ""
        writer.write(
            f"GET {path} HTTP/1.1\r\nHost: {HOST}:{self.port}\r\nCookie: {self.cookie}\r\n{condition}"
            f"Connection: close\r\n\r\n".encode()
        )
        answer = await reader.read()
        writer.close()
        times.append(time.perf_counter() - started)
        head = answer.partition(b"\r\n\r\n")[0].decode("latin-1")
        status = int(head.split(" ", 2)[1])
        if status not in (200, 304):
            self.bad_statuses.append(status)
        headers = dict(line.lower().split(": ", 1) for line in head.split("\r\n")[1:] if ": " in line)
        return headers.get("etag", "")

    def describe(self) -> dict[str, Any]:
        return {
            "opened": self.open_count,
            "frames": self.frame_count,
            "ended": self.ended_count,
            "lost": self.lost_count,
            "fetches": len(self.part_seconds),
            "slowest_fetch_s": round(max(self.part_seconds, default=0.0), 3),
            "health_checks": len(self.health_seconds),
            "slowest_health_s": round(max(self.health_seconds, default=0.0), 3),
            "bad_statuses": self.bad_statuses[:5],
        }


class Page:
    """What the scripts of one open page keep."""

    def __init__(self, watchers: Watchers) -> None:
        self._watchers = watchers
        self._shown: list[object] = []
        self._etag = ""
        self._fetched_at = float("-inf")
        self._heard_at = time.monotonic()
        self._timer: asyncio.Task[None] | None = None

    def take(self, snapshot: dict[str, Any]) -> None:
        self._heard_at = time.monotonic()
        shown = [snapshot[name] for name in SHOWN]
        if shown == self._shown:
            return
        is_first, self._shown = not self._shown, shown
        if not is_first and (self._timer is None or self._timer.done()):
            self._timer = asyncio.create_task(self._fetch_later(snapshot["fetchWithinSeconds"]))

    async def _fetch_later(self, within_seconds: float) -> None:
        gap = max(0.0, self._fetched_at + LEAST_GAP_SECONDS - time.monotonic())
        await asyncio.sleep(gap + random.random() * within_seconds)
        self._fetched_at = time.monotonic()
        path = f"/batches/{self._watchers.batch_id}/?part=notes&part=rows"
        self._etag = await self._watchers.fetch(path, self._watchers.part_seconds, etag=self._etag)

    async def check_health(self) -> None:
        while True:
            await asyncio.sleep(QUIET_SECONDS * (1 + random.random() / 2))
            if time.monotonic() - self._heard_at >= QUIET_SECONDS:
                await self._watchers.fetch("/api/health", self._watchers.health_seconds)

    async def finish(self) -> None:
        """Do the fetch that the end of the batch calls for."""
        if self._timer is not None:
            await self._timer


async def _watch_all(watchers: Watchers, *, sockets: int, pages: int) -> None:
    everybody = asyncio.gather(
        *(watchers.watch(is_page=False) for _ in range(sockets)), *(watchers.watch(is_page=True) for _ in range(pages))
    )
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, everybody.cancel)
    while watchers.open_count + watchers.lost_count < sockets + pages:
        await asyncio.sleep(0.05)
    print("open", flush=True)  # noqa: T201
    with contextlib.suppress(asyncio.CancelledError):
        await everybody


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.watching", description=__doc__)
    for name in ("port", "batch", "sockets", "pages"):
        parser.add_argument(f"--{name}", type=int, required=True)
    parser.add_argument("--cookie", required=True)
    chosen = parser.parse_args()

    async def run() -> Watchers:
        watchers = Watchers(port=chosen.port, cookie=chosen.cookie, batch_id=chosen.batch)
        await _watch_all(watchers, sockets=chosen.sockets, pages=chosen.pages)
        return watchers

    print(json.dumps(asyncio.run(run()).describe()), flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
