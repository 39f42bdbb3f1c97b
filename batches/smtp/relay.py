"""Where a relay is and how to reach it, from EMAIL_URL; and a connection up to its first MAIL.

aiosmtplib connects, negotiates TLS, says EHLO and authenticates, with a password or with an access token (XOAUTH2).
From then on the connection is a ``session.Session``.
"""

from __future__ import annotations

import asyncio
import base64
import os
import socket
from dataclasses import dataclass, field
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

import aiosmtplib

from batches.outcomes import ReplyMeaning
from batches.smtp.access_tokens import AccessTokens
from batches.smtp.connection import Capabilities, LaneEvents, Tag, Timeouts
from batches.smtp.oauth import PROVIDERS, is_loopback
from batches.smtp.replies import Reply
from batches.smtp.session import Session
from batches.smtp.stages import Stage
from batches.smtp.token_endpoint import TokenError
from batches.smtp.verdicts import judge

UNIX = "smtp+unix"
DEFAULT_PORTS = {"smtp": 25, "smtp+tls": 587, "smtp+ssl": 465, UNIX: None}
"""The schemes of EMAIL_URL, each with the port that its standard names."""

EXAMPLE = "Write it like smtp+tls://user:password@mail.example.org:587"
OAUTH_EXAMPLE = "Write it like smtp+tls://user%40example.org@mail.example.org:587?oauth=microsoft"


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


_NEAR_HOSTS = ("localhost", "mailpit")
"""This machine, and the inbox of compose.yaml."""


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
    oauth: str = ""
    """The provider of access tokens, as in ``?oauth=microsoft``. Empty: the login is by password, if there is one."""
    tokens: AccessTokens | None = field(default=None, compare=False)
    """Where the access tokens come from. The registry of relays sets it."""

    @property
    def is_near(self) -> bool:
        """Whether it is on this machine, or the inbox of compose.yaml."""
        return bool(self.path) or is_loopback(self.host) or self.host.lower() in _NEAR_HOSTS

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return self.path or f"{host}:{self.port}"

    __repr__ = __str__


def parse_relay(url: str, *, variable: str = "EMAIL_URL") -> RelayAddress:
    """Read ``smtp://user:password@host:port``, ``smtp+tls://``, ``smtp+ssl://`` or ``smtp+unix:///path``.

    User, password and path may hold %-escapes. ``?oauth=microsoft`` makes the login one by access tokens.

    Raises:
        RelayUrlError: the URL is none of these. The message names the variable. It does not show the URL, because it
            may hold a password.
    """
    try:
        parts = urlsplit(url)
    except ValueError as exc:  # for example an IPv6 address without its closing bracket
        raise RelayUrlError(f"{variable} can't be read: its host is malformed. {EXAMPLE}") from exc
    if parts.scheme not in DEFAULT_PORTS:
        schemes = ", ".join(f"{scheme}://" for scheme in DEFAULT_PORTS)
        raise RelayUrlError(f"{variable} can't be read: it must begin with one of {schemes}. {EXAMPLE}")
    if parts.scheme == UNIX and not parts.path.strip("/"):
        raise RelayUrlError(f"{variable} names no socket. Write it like smtp+unix:///run/relay.sock")
    if parts.scheme != UNIX and not parts.hostname:
        raise RelayUrlError(f"{variable} names no host. {EXAMPLE}")
    return RelayAddress(
        scheme=parts.scheme,
        host=parts.hostname or "localhost",
        port=_parse_port(parts, variable),
        username=unquote(parts.username) if parts.username else None,
        password=unquote(parts.password) if parts.password else None,
        path=unquote(parts.path) if parts.scheme == UNIX else "",
        oauth=_parse_oauth(parts, variable),
    )


def _parse_port(parts: SplitResult, variable: str) -> int | None:
    try:
        port = parts.port
    except ValueError:
        port = 0
    if port == 0:
        raise RelayUrlError(f"The port in {variable} is not a number from 1 to 65535. {EXAMPLE}")
    return port or DEFAULT_PORTS[parts.scheme]


def _parse_oauth(parts: SplitResult, variable: str) -> str:
    """Read the one option there is, and refuse what contradicts it."""
    options = parse_qsl(parts.query, keep_blank_values=True)
    if not options:
        return ""
    unknown = [name for name, _ in options if name != "oauth"]
    if unknown or len(options) > 1:
        raise RelayUrlError(f"{variable} has options after the ? that are not known. {OAUTH_EXAMPLE}")
    provider = options[0][1].lower()
    if provider not in PROVIDERS:
        raise RelayUrlError(f"{variable} has another ?oauth= than {', '.join(PROVIDERS)}. {OAUTH_EXAMPLE}")
    if parts.password:
        raise RelayUrlError(f"{variable} has a password and ?oauth=. Remove the password. {OAUTH_EXAMPLE}")
    if not parts.username:
        raise RelayUrlError(f"{variable} has ?oauth= and names no user. {OAUTH_EXAMPLE}")
    if parts.scheme == "smtp" and not is_loopback(parts.hostname or ""):
        raise RelayUrlError(f"{variable} would send access tokens without TLS. {OAUTH_EXAMPLE}")
    return provider


async def open_session(
    relay: RelayAddress,
    *,
    lane: LaneEvents[Tag],
    timeouts: Timeouts,
    depth: int,
    closes_after_refusals: bool = False,
) -> Session[Tag]:
    """Connect, and return a session that is ready for its first message.

    ``depth`` is how many messages the session may have in flight if the relay offers CHUNKING. A relay that
    ``closes_after_refusals`` gets one at a time.

    Raises:
        RelayError: the relay refuses the connection or the login, offers no TLS where EMAIL_URL requires it, or does
            not answer; or there is no access token.
    """
    client = await _log_in(relay, timeouts)
    return _take_over(client, lane=lane, timeouts=timeouts, depth=depth, closes_after_refusals=closes_after_refusals)


async def send_note(relay: RelayAddress, *, mail_from: str, to: str, message: bytes, timeouts: Timeouts) -> None:
    """Send one message that belongs to no batch, such as an invitation. It is tried once.

    Raises:
        RelayError: the relay can't be used, as above, or it refuses the message.
    """
    client = await _log_in(relay, timeouts)
    try:
        await client.sendmail(mail_from, [to], message, timeout=timeouts.final_seconds)
    except aiosmtplib.SMTPRecipientsRefused as exc:
        refusal = exc.recipients[0]
        raise RelayError(f"The relay refused the address ({refusal.code} {refusal.message}).") from None
    except (TimeoutError, aiosmtplib.SMTPException, OSError, ValueError) as exc:
        raise _explain(relay, exc) from None
    finally:
        client.close()


async def _log_in(relay: RelayAddress, timeouts: Timeouts) -> aiosmtplib.SMTP:
    """Return a connection that is ready for MAIL.

    Raises:
        RelayError: as above.
    """
    client = aiosmtplib.SMTP(
        hostname=None if relay.path else relay.host,
        port=None if relay.path else relay.port,
        socket_path=relay.path or None,
        username=None if relay.oauth else relay.username,
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
        if relay.oauth:
            await _log_in_by_token(client, relay)
    except RelayError:
        client.close()
        raise
    except (TimeoutError, aiosmtplib.SMTPException, OSError, ValueError) as exc:
        client.close()
        raise _explain(relay, exc) from None  # The relay's own words may contain the password.
    except asyncio.CancelledError:
        client.close()  # When its loop closes, uvloop waits without limit for a connection that is still open.
        raise
    return client


async def _log_in_by_token(client: aiosmtplib.SMTP, relay: RelayAddress) -> None:
    """Log in with XOAUTH2. A token that was revoked before its end is renewed once.

    The token is taken when the relay waits for it, so it cannot expire while the connection is made.

    Raises:
        RelayError: the relay offers no XOAUTH2, or there is no token.
        aiosmtplib.SMTPException: the relay refuses the login.
    """
    if "xoauth2" not in client.server_auth_methods:
        raise RelayError(
            f"The relay {relay} offers no login by access token (XOAUTH2). Remove ?oauth= from its address.",
            meaning=ReplyMeaning.LOGIN,
        )
    if relay.tokens is None or relay.username is None:
        raise RelayError(f"The relay {relay} has no OAuth client. Set its EMAIL_OAUTH_*.", meaning=ReplyMeaning.LOGIN)
    try:
        token = await relay.tokens.get()
        try:
            # aiosmtplib answers a refusal's JSON, which comes with 334, with an empty line, as the protocol wants it.
            await client.auth_xoauth2(relay.username, token.text)
        except aiosmtplib.SMTPAuthenticationError as exc:
            if token.is_new or exc.code < 500:
                raise
            token = await relay.tokens.get(refused=token.text)
            await client.auth_xoauth2(relay.username, token.text)
    except aiosmtplib.SMTPAuthenticationError as exc:
        sent = f"user={relay.username}\x01auth=Bearer {token.text}\x01\x01"
        raise _explain_login(relay, exc, hidden=(sent, token.text)) from None  # its message may contain the token
    except TokenError as exc:
        raise RelayError(
            f"There is no login at {relay}: {exc}", meaning=ReplyMeaning.LOGIN, wait_seconds=exc.wait_seconds
        ) from None


def _take_over(
    client: aiosmtplib.SMTP, *, lane: LaneEvents[Tag], timeouts: Timeouts, depth: int, closes_after_refusals: bool
) -> Session[Tag]:
    transport = client.transport
    if transport is None or transport.is_closing():
        client.close()
        raise RelayError("The relay closed the connection after its greeting.")
    capabilities = Capabilities.of(client.esmtp_extensions)
    session = Session(lane, capabilities, timeouts=timeouts, depth=depth, closes_after_refusals=closes_after_refusals)
    transport.set_protocol(session)
    session.connection_made(transport)
    client.transport = client.protocol = None  # They belong to the session from here on.
    return session


def _own_name() -> str:
    """Return the name for EHLO: the address literal of RFC 5321 section 4.1.3 if this machine has no full name."""
    name = socket.gethostname()
    return name if "." in name and name.isascii() else "[127.0.0.1]"


def _explain(relay: RelayAddress, exc: Exception) -> RelayError:
    """Say in one sentence, for a person, why the relay could not be used, and what its refusal is about."""
    if isinstance(exc, aiosmtplib.SMTPAuthenticationError):
        password = relay.password or ""
        return _explain_login(relay, exc, hidden=(f"\0{relay.username}\0{password}", password))
    if isinstance(exc, aiosmtplib.SMTPResponseException):
        return _explain_refusal(f"The relay {relay} refused the connection", Stage.CONNECT, exc.code, exc.message)
    if isinstance(exc, (TimeoutError, aiosmtplib.SMTPTimeoutError)):
        return RelayError(f"The relay {relay} does not answer.")
    reason = _reason(exc).rstrip(".")
    if "STARTTLS extension not supported" in reason:
        return RelayError(f"The relay {relay} offers no TLS (STARTTLS). If it has TLS from the start, use smtp+ssl://.")
    if "AUTH extension is not supported" in reason or "No suitable authentication method" in reason:
        return RelayError(
            f"The relay {relay} offers no login by password here. Many offer it with TLS only: use smtp+tls:// or "
            "smtp+ssl://. If it needs no login, remove the user and the password from its address.",
            meaning=ReplyMeaning.LOGIN,
        )
    return RelayError(f"The relay {relay} can't be reached: {reason}.")


def _explain_login(
    relay: RelayAddress, exc: aiosmtplib.SMTPAuthenticationError, *, hidden: tuple[str, ...]
) -> RelayError:
    """Explain a refused login without ``hidden``: what was sent. Some relays repeat it, as it is or in base64."""
    message = exc.message
    for text in filter(None, hidden):
        for shown in (base64.b64encode(text.encode()).decode(), text):
            message = message.replace(shown, "***")
    error = _explain_refusal(f"The relay {relay} refused the login", Stage.LOGIN, exc.code, message)
    if exc.code < 400:  # no refusal by the standard, and no login either
        error.meaning = ReplyMeaning.LOGIN
    return error


def _explain_refusal(happened: str, stage: Stage, code: int, message: str) -> RelayError:
    verdict = judge(stage, Reply(code, " ".join(message.split()).encode()))
    # Microsoft's refusal of passwords, whose own words name no remedy.
    is_basic = stage is Stage.LOGIN and "basic authentication" in message.lower()
    remedy = " Use a login by access token (?oauth=) instead of a password." if is_basic else ""
    return RelayError(
        f"{happened} ({code} {message}).{remedy}",
        has_too_many_connections=code == 421,
        meaning=verdict.meaning or ReplyMeaning.RELAY,
        wait_seconds=verdict.wait_seconds,
    )


def _reason(exc: Exception) -> str:
    """Return the system's own words. aiosmtplib puts the address around them, and Python the number of the error."""
    cause = exc.__cause__
    if isinstance(cause, (ConnectionError, FileNotFoundError)) and cause.errno:
        return os.strerror(cause.errno)
    if isinstance(cause, OSError) and cause.strerror:  # an unknown host name, or a certificate that is not trusted
        return cause.strerror
    return str(exc).strip() or type(exc).__name__
