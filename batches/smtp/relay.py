"""Where the relay is and how to reach it, from EMAIL_URL; and a connection up to its first MAIL.

aiosmtplib connects, negotiates TLS, says EHLO and authenticates. From then on the connection is a
``session.Session``.
"""

from __future__ import annotations

import asyncio
import os
import socket
from dataclasses import dataclass
from urllib.parse import SplitResult, unquote, urlsplit

import aiosmtplib

from batches.outcomes import ReplyMeaning
from batches.smtp.connection import Capabilities, LaneEvents, Tag, Timeouts
from batches.smtp.session import Session

UNIX = "smtp+unix"
DEFAULT_PORTS = {"smtp": 25, "smtp+tls": 587, "smtp+ssl": 465, UNIX: None}
"""The schemes of EMAIL_URL, each with the port that its standard names."""

EXAMPLE = "Write it like smtp+tls://user:password@mail.example.org:587"


class RelayUrlError(ValueError):
    """EMAIL_URL cannot be read. The message says what is wrong and what it should look like."""


class RelayError(Exception):
    """The relay accepts no mail now, for any recipient. The message is a sentence for a person."""

    def __init__(
        self,
        message: str,
        *,
        has_too_many_connections: bool = False,
        meaning: ReplyMeaning = ReplyMeaning.RELAY,
        wait_seconds: float | None = None,
    ) -> None:
        super().__init__(message)
        self.meaning = meaning
        """What the refusal is about: ``login``, ``rate``, ``policy`` or ``relay``."""
        self.wait_seconds = wait_seconds
        """How long to wait, if a rule says so."""
        self.has_too_many_connections = has_too_many_connections
        """The relay has too many of our connections (a 421). It may take mail over fewer."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RelayAddress:
    """Where a relay is and how to log in there. ``repr`` shows no password."""

    scheme: str
    host: str
    port: int | None
    username: str | None
    password: str | None
    path: str
    """Of a unix socket; empty for a host."""

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return self.path or f"{host}:{self.port}"

    __repr__ = __str__


def parse_relay(url: str) -> RelayAddress:
    """Read ``smtp://user:password@host:port``, ``smtp+tls://``, ``smtp+ssl://`` or ``smtp+unix:///path``.

    User, password and path may hold %-escapes.

    Raises:
        RelayUrlError: the URL is none of these. No message shows the URL, because it may hold a password.
    """
    try:
        parts = urlsplit(url)
    except ValueError as exc:  # for example an IPv6 address without its closing bracket
        raise RelayUrlError(f"EMAIL_URL can't be read: its host is malformed. {EXAMPLE}") from exc
    if parts.scheme not in DEFAULT_PORTS:
        schemes = ", ".join(f"{scheme}://" for scheme in DEFAULT_PORTS)
        raise RelayUrlError(f"EMAIL_URL can't be read: it must begin with one of {schemes}. {EXAMPLE}")
    if parts.scheme == UNIX and not parts.path.strip("/"):
        raise RelayUrlError("EMAIL_URL names no socket. Write it like smtp+unix:///run/relay.sock")
    if parts.scheme != UNIX and not parts.hostname:
        raise RelayUrlError(f"EMAIL_URL names no host. {EXAMPLE}")
    return RelayAddress(
        scheme=parts.scheme,
        host=parts.hostname or "localhost",
        port=_parse_port(parts),
        username=unquote(parts.username) if parts.username else None,
        password=unquote(parts.password) if parts.password else None,
        path=unquote(parts.path) if parts.scheme == UNIX else "",
    )


def _parse_port(parts: SplitResult) -> int | None:
    try:
        port = parts.port
    except ValueError:
        port = 0
    if port == 0:
        raise RelayUrlError(f"The port in EMAIL_URL is not a number from 1 to 65535. {EXAMPLE}")
    return port or DEFAULT_PORTS[parts.scheme]


async def open_session(relay: RelayAddress, *, lane: LaneEvents[Tag], timeouts: Timeouts, depth: int) -> Session[Tag]:
    """Connect, and return a session that is ready for its first message.

    ``depth`` is how many messages the session may have in flight if the relay offers CHUNKING.

    Raises:
        RelayError: the relay refuses the connection or the login, offers no TLS where EMAIL_URL requires it, or does
            not answer.
    """
    client = aiosmtplib.SMTP(
        hostname=None if relay.path else relay.host,
        port=None if relay.path else relay.port,
        socket_path=relay.path or None,
        username=relay.username,
        password=relay.password,
        use_tls=relay.scheme == "smtp+ssl",
        start_tls=relay.scheme == "smtp+tls",  # always or never: no silent fallback to clear text
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
        client.close()  # When its loop closes, uvloop waits without limit for a connection that is still open.
        raise
    return _take_over(client, lane=lane, timeouts=timeouts, depth=depth)


def _take_over(client: aiosmtplib.SMTP, *, lane: LaneEvents[Tag], timeouts: Timeouts, depth: int) -> Session[Tag]:
    transport = client.transport
    if transport is None or transport.is_closing():
        client.close()
        raise RelayError("The relay closed the connection after its greeting.")
    session = Session(lane, Capabilities.of(client.esmtp_extensions), timeouts=timeouts, depth=depth)
    transport.set_protocol(session)
    session.connection_made(transport)
    client.transport = client.protocol = None  # They belong to the session from here on.
    return session


def _own_name() -> str:
    """Return the name for EHLO: the address literal of RFC 5321 section 4.1.3 if this machine has no full name."""
    name = socket.gethostname()
    return name if "." in name and name.isascii() else "[127.0.0.1]"


def _explain(relay: RelayAddress, exc: Exception) -> RelayError:
    """Say in one sentence, for a person, why the relay could not be used."""
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
    """Return the system's own words. aiosmtplib puts the address around them, and Python the number of the error."""
    cause = exc.__cause__
    if isinstance(cause, (ConnectionError, FileNotFoundError)) and cause.errno:
        return os.strerror(cause.errno)
    if isinstance(cause, OSError) and cause.strerror:  # an unknown host name, or a certificate that is not trusted
        return cause.strerror
    return str(exc).strip() or type(exc).__name__
