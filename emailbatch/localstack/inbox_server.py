"""The local SMTP server. It accepts every message, stores it durably, then replies 250. It never passes a message on.

Messages that arrive while one group commits form the next group, so that many connections share each disk sync.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
import time
from pathlib import Path

from aiosmtpd.smtp import SMTP, Envelope, Session

from emailbatch.localstack.inbox_store import InboxWriter, Incoming

logger = logging.getLogger(__name__)

GROUP_MAX = 1000
DATA_MAX_BYTES = 64 * 1024 * 1024
IDLE_SECONDS = 300
HOSTNAME = "inbox.localhost"


class GroupCommit:
    """Stores messages in groups. ``store`` returns when its message is durable."""

    def __init__(self, writer: InboxWriter) -> None:
        self._writer = writer
        self._waiting: list[tuple[Incoming, asyncio.Future[None]]] = []
        self._arrived = asyncio.Event()

    async def store(self, message: Incoming) -> None:
        durable: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((message, durable))
        self._arrived.set()
        await durable

    async def run(self) -> None:
        """Commit one group after another until the task is cancelled."""
        while True:
            await self._arrived.wait()
            group, self._waiting = self._waiting[:GROUP_MAX], self._waiting[GROUP_MAX:]
            if not self._waiting:
                self._arrived.clear()
            error = await self._commit([message for message, _ in group])
            for _, durable in group:
                if durable.done():
                    continue  # the connection of this message was closed
                if error is None:
                    durable.set_result(None)
                else:
                    durable.set_exception(error)

    async def _commit(self, group: list[Incoming]) -> Exception | None:
        try:
            await asyncio.to_thread(self._writer.add, group)
        except Exception as exc:  # for example, the disk is full: the senders get a 451 and try again later
            logger.exception("The inbox could not store %d messages.", len(group))
            return exc
        return None


class InboxHandler:
    """Answers the SMTP commands, as hooks of aiosmtpd."""

    def __init__(self, commits: GroupCommit) -> None:
        self._commits = commits

    async def handle_EHLO(
        self, server: SMTP, session: Session, envelope: Envelope, hostname: str, responses: list[str]
    ) -> list[str]:
        session.host_name = hostname
        # RFC 2920: this server reads commands from one stream, in order, so a client may send several at once.
        return [*responses[:-1], "250-PIPELINING", responses[-1]]

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        raw = envelope.original_content or b""
        message = Incoming(
            received_at=time.time(),
            sender=(envelope.mail_from or "").removeprefix("<").removesuffix(">"),  # aiosmtpd passes "<>" on unchanged
            recipients=tuple(envelope.rcpt_tos),
            raw=raw,
        )
        try:
            await self._commits.store(message)
        except Exception:
            return "451 4.3.0 The inbox could not store the message; its log says why"
        return "250 2.0.0 OK, stored"


async def serve_inbox(*, store_path: Path, socket_path: Path | None = None, port: int | None = None) -> None:
    """Accept messages on a unix socket, or on a TCP port of 127.0.0.1, until SIGTERM or SIGINT."""
    logging.getLogger("mail.log").setLevel(logging.WARNING)  # aiosmtpd logs every command
    writer = InboxWriter(store_path)
    commits = GroupCommit(writer)
    loop = asyncio.get_running_loop()
    stop_asked = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop_asked.set)

    def new_connection() -> SMTP:
        return SMTP(
            InboxHandler(commits),
            data_size_limit=DATA_MAX_BYTES,
            enable_SMTPUTF8=True,
            hostname=HOSTNAME,
            ident="local inbox",
            timeout=IDLE_SECONDS,
            loop=loop,
        )

    committing = asyncio.create_task(commits.run())
    server = await loop.create_server(new_connection, sock=_listening_socket(socket_path, port))
    await stop_asked.wait()
    server.close()
    committing.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await committing
    writer.close()
    if socket_path is not None:
        socket_path.unlink(missing_ok=True)


def _listening_socket(socket_path: Path | None, port: int | None) -> socket.socket:
    if socket_path is None:
        return socket.create_server(("127.0.0.1", port or 0), backlog=512)
    listener = socket.socket(socket.AF_UNIX)
    socket_path.unlink(missing_ok=True)
    # Created with its final permissions: between bind and chmod, any user could connect.
    before = os.umask(0o177)
    try:
        listener.bind(str(socket_path))
    finally:
        os.umask(before)
    listener.listen(512)
    return listener
