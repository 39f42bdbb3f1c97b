"""A listener to which a mail server hands returns, by LMTP (RFC 2033) or SMTP (RFC 5321).

A ListenerAddress enters. A message is answered with 250 only after everything that it says is committed. If PostgreSQL
can't be used, the answer is 451, and the mail server delivers again later. Nothing is relayed anywhere.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from aiosmtpd.lmtp import LMTP
from aiosmtpd.smtp import SMTP, Envelope, Session
from django.db import DatabaseError, InterfaceError, connection

from batches.returns.doors.address import ListenerAddress
from batches.returns.doors.receiving import LMTP as LMTP_DOOR
from batches.returns.doors.receiving import Arrived, DoorFull, receive

logger = logging.getLogger(__name__)

MESSAGE_MAX_BYTES = 32 * 1024 * 1024
"""A message that came back may be in its report as a whole."""

LINE_MAX_BYTES = 256 * 1024
"""Some reports have lines that are longer than the standard allows (RFC 5321 section 4.5.3.1.6)."""

IDLE_SECONDS = 120
CONNECTIONS_MAX = 64
RECIPIENTS_MAX = 100
"""What RFC 5321 section 4.5.3.1.8 asks for at least."""

RECORDING_THREADS = 4
"""How many messages are recorded at once. Each thread has a database connection of its own."""

RECORDED = "250 2.0.0 Recorded"
TRY_LATER = "451 4.3.0 The database can't be used now. Deliver again later"
FULL = "452 4.3.1 Too many messages that nothing understood are kept. Deliver again later"
TOO_MANY_CONNECTIONS = b"421 4.3.2 Too many connections\r\n"
_REFUSALS_OF_DATA = ("500 Line too long", "552 ")
"""The answers that aiosmtpd itself gives to a message."""


def record_message(content: bytes, recipient: str) -> str:
    """Record one message, and return the answer to it. Blocks: it is called in a thread."""
    try:
        receive([Arrived(content=content, door=LMTP_DOOR, recipient=recipient)])
    except DoorFull:
        return FULL
    except (DatabaseError, InterfaceError) as exc:
        logger.warning("A report could not be recorded: PostgreSQL can't be used (%s).", type(exc).__name__)
        connection.close()  # the next message gets a new connection
        return TRY_LATER
    except Exception:
        logger.exception("A report could not be recorded. The mail server delivers it again.")
        return TRY_LATER
    return RECORDED


def _close_connection(barrier: threading.Barrier) -> None:
    barrier.wait()
    connection.close()


class _Handler:
    """What aiosmtpd calls for each command."""

    def __init__(self, record: Callable[[bytes, str], str], *, answers_each_recipient: bool) -> None:
        self._record = record
        self._answers_each_recipient = answers_each_recipient
        self._threads = ThreadPoolExecutor(RECORDING_THREADS, thread_name_prefix="returns")

    async def handle_RCPT(
        self, server: Any, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if len(envelope.rcpt_tos) >= RECIPIENTS_MAX:
            return "452 4.5.3 Too many recipients"
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 OK"

    async def handle_DATA(self, server: Any, session: Session, envelope: Envelope) -> str:
        """Record the message for each recipient, and answer once for each in LMTP, and once for all in SMTP."""
        content = envelope.content if isinstance(envelope.content, bytes) else b""
        loop = asyncio.get_running_loop()
        answers = [
            await loop.run_in_executor(self._threads, self._record, content, recipient)
            for recipient in envelope.rcpt_tos
        ]
        if self._answers_each_recipient:
            return "\r\n".join(answers)
        return next((answer for answer in answers if answer != RECORDED), RECORDED)

    def close(self) -> None:
        """Wait for what is being recorded, and close the database connection of each thread."""
        barrier = threading.Barrier(RECORDING_THREADS)  # each thread waits there, so none takes the work of another
        for _ in range(RECORDING_THREADS):
            self._threads.submit(_close_connection, barrier)
        self._threads.shutdown()


class _Connections:
    """Counts the connections of one listener."""

    def __init__(self) -> None:
        self.count = 0


class _Limits:
    """What both servers have in common. ``line_length_limit`` is aiosmtpd's own name."""

    line_length_limit = LINE_MAX_BYTES
    connections: _Connections
    transport: Any
    envelope: Any

    def connection_made(self, transport: Any) -> None:
        self.connections.count += 1
        if self.connections.count > CONNECTIONS_MAX:
            transport.write(TOO_MANY_CONNECTIONS)
            transport.close()
            return
        super().connection_made(transport)  # type: ignore[misc]  # of the server that this is mixed into

    def connection_lost(self, error: Exception | None) -> None:
        self.connections.count -= 1
        if self.transport is not None:  # otherwise it was one too many, and never began
            super().connection_lost(error)  # type: ignore[misc]


class _SmtpServer(_Limits, SMTP):
    """SMTP, for a mail server that has no LMTP."""


class _LmtpServer(_Limits, LMTP):
    """LMTP. A message has one answer for each recipient (RFC 2033 section 4.2), a refusal of aiosmtpd's too."""

    async def push(self, status: Any) -> Any:
        recipients = len(self.envelope.rcpt_tos) if self.envelope else 0
        if recipients > 1 and isinstance(status, str) and status.startswith(_REFUSALS_OF_DATA):
            status = "\r\n".join([status] * recipients)
        return await super().push(status)


class Listener:
    """Listens in the event loop that calls ``start``."""

    def __init__(self, address: ListenerAddress, *, record: Callable[[bytes, str], str] = record_message) -> None:
        self._address = address
        self._handler = _Handler(record, answers_each_recipient=address.scheme == "lmtp")
        self._connections = _Connections()
        self._server: asyncio.Server | None = None

    async def start(self) -> int:
        """Begin to listen, and return the port.

        Raises:
            OSError: the address can't be used.
        """
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self._make_server, self._address.host, self._address.port)
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def stop(self) -> None:
        """Accept no more, and wait for what is being recorded."""
        if self._server is not None:
            self._server.close()
        await asyncio.to_thread(self._handler.close)

    def _make_server(self) -> asyncio.Protocol:
        kind = _LmtpServer if self._address.scheme == "lmtp" else _SmtpServer
        server = kind(
            self._handler,
            data_size_limit=MESSAGE_MAX_BYTES,
            enable_SMTPUTF8=True,
            hostname=socket.gethostname(),  # its own choice asks the DNS, for each connection
            ident="emailbatch",
            timeout=IDLE_SECONDS,
            loop=asyncio.get_running_loop(),
        )
        server.connections = self._connections
        return server
