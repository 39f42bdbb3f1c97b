"""Where the relay is and how to reach it, from EMAIL_URL; and the connection up to the first MAIL.

aiosmtplib connects, negotiates TLS, says EHLO and authenticates; from then on the connection is a
``session.Session``.
"""

from __future__ import annotations

import asyncio
import os
import socket
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

import aiosmtplib

from batches.smtp.connection import Capabilities, Source, Timeouts
from batches.smtp.session import Session

_SCHEMES = {"smtp": 25, "smtp+tls": 587, "smtp+ssl": 465, "smtp+unix": None}


class RelayUrlError(ValueError):
    """EMAIL_URL can't be read. The message says what it should look like."""


class RelayError(Exception):
    """The relay takes no mail now, whoever the recipient is. The message is a sentence for a person."""

    def __init__(self, message: str, *, has_too_many_connections: bool = False) -> None:
        super().__init__(message)
        self.has_too_many_connections = has_too_many_connections
        """The relay has too many of our connections (a 421): fewer may do."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Relay:
    """The SMTP server we hand messages to. ``repr`` holds no password."""

    scheme: str
    host: str
    port: int | None
    username: str | None
    password: str | None
    path: str

    def __str__(self) -> str:
        return self.path or f"{self.host}:{self.port}"

    __repr__ = __str__


def parse_relay(url: str) -> Relay:
    """Read ``smtp://user:password@host:port``, ``smtp+tls://``, ``smtp+ssl://`` or ``smtp+unix:///path``.

    Raises:
        RelayUrlError: it is none of these.
    """
    parts = urlsplit(url)
    if parts.scheme not in _SCHEMES or not (parts.hostname or parts.scheme == "smtp+unix"):
        raise RelayUrlError("EMAIL_URL can't be read. Write it like smtp+tls://user:password@mail.example.org:587")
    try:
        port = parts.port or _SCHEMES[parts.scheme]
    except ValueError as exc:
        raise RelayUrlError("The port in EMAIL_URL is no number from 1 to 65535.") from exc
    return Relay(
        scheme=parts.scheme,
        host=parts.hostname or "localhost",
        port=port,
        username=unquote(parts.username) if parts.username else None,
        password=unquote(parts.password) if parts.password else None,
        path=unquote(parts.path) if parts.scheme == "smtp+unix" else "",
    )


async def open_session(relay: Relay, *, source: Source, timeouts: Timeouts, depth: int) -> Session:
    """Connect, and return a session that is ready for its first message.

    ``depth`` is how many messages may be in flight on it where the relay offers CHUNKING.

    Raises:
        RelayError: refused, no TLS where it is asked for, a bad login, no answer.
    """
    client = aiosmtplib.SMTP(
        hostname=None if relay.path else relay.host,
        port=None if relay.path else relay.port,
        socket_path=relay.path or None,
        username=relay.username,
        password=relay.password,
        use_tls=relay.scheme == "smtp+ssl",
        start_tls=relay.scheme == "smtp+tls",  # never a silent fallback to clear text, nor a silent upgrade
        local_hostname=_own_name(),
        timeout=timeouts.connect_seconds,
    )
    try:
        await client.connect()
        if client.is_ehlo_or_helo_needed:
            await client.ehlo()
    except (TimeoutError, aiosmtplib.SMTPException, OSError, ValueError) as exc:
        client.close()
        raise _explain(relay, exc) from exc
    except asyncio.CancelledError:
        client.close()  # uvloop waits for an open connection when the loop closes, for ever
        raise
    return _take_over(client, source=source, timeouts=timeouts, depth=depth)


def _take_over(client: aiosmtplib.SMTP, *, source: Source, timeouts: Timeouts, depth: int) -> Session:
    transport = client.transport
    if transport is None or transport.is_closing():
        client.close()
        raise RelayError("The relay closed the connection after its greeting.")
    session = Session(source, Capabilities.of(client.esmtp_extensions), timeouts=timeouts, depth=depth)
    transport.set_protocol(session)
    session.connection_made(transport)
    client.transport = client.protocol = None  # the session's from here on
    return session


def _own_name() -> str:
    """The name for EHLO; the address literal of RFC 5321 section 4.1.3 where this machine has no full name."""
    name = socket.gethostname()
    return name if "." in name and name.isascii() else "[127.0.0.1]"


def _explain(relay: Relay, exc: Exception) -> RelayError:
    """One sentence for a person on why the relay could not be used."""
    if isinstance(exc, aiosmtplib.SMTPAuthenticationError):
        return RelayError(f"The relay {relay} refused the login ({exc.code} {exc.message}).")
    if isinstance(exc, aiosmtplib.SMTPResponseException):
        return RelayError(
            f"The relay {relay} refused the connection ({exc.code} {exc.message}).",
            has_too_many_connections=exc.code == 421,
        )
    if isinstance(exc, (TimeoutError, aiosmtplib.SMTPTimeoutError)):
        return RelayError(f"The relay {relay} does not answer.")
    return RelayError(f"The relay {relay} can't be reached: {_reason(exc).rstrip('.')}.")


def _reason(exc: Exception) -> str:
    """What the system says; aiosmtplib repeats the address around it, and Python the number of the error."""
    cause = exc.__cause__
    if isinstance(cause, (ConnectionError, FileNotFoundError)) and cause.errno:
        return os.strerror(cause.errno)
    if isinstance(cause, OSError) and cause.strerror:  # no such name, a certificate that is not trusted
        return cause.strerror
    return str(exc).strip() or type(exc).__name__
