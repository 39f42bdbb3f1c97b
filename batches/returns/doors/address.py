"""Where returns come in, from RETURNS_URL: a mailbox that is read by IMAP, or a listener for a mail server.

No message and no ``repr`` contains the password.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from batches.smtp.oauth import MICROSOFT, PROVIDERS, OAuthClient, OAuthSettingsError, is_loopback, make_client

VARIABLE = "RETURNS_URL"
OAUTH_VARIABLES = "RETURNS_OAUTH_"

MAILBOX_PORTS = {"imap+ssl": 993, "imap+tls": 143, "imap": 143}
"""The schemes of a mailbox, each with the port of its standard (RFC 8314, RFC 9051). ``imap+tls`` is STARTTLS."""

LISTENER_PORTS = {"lmtp": 24, "smtp": 25}
"""The schemes of a listener. LMTP (RFC 2033) has no port of its own; 24 is that of private mail systems."""

EXAMPLE = "imap+ssl://user:password@mail.example.org/INBOX or lmtp://127.0.0.1:2525"
_ADVICE = f"Write it like {EXAMPLE}."
_OAUTH_ADVICE = "Write it like imap+ssl://bounce%40example.org@outlook.office365.com/INBOX?oauth=microsoft."

MICROSOFT_USER_SCOPE = "https://outlook.office.com/IMAP.AccessAsUser.All offline_access"

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class ReturnsUrlError(ValueError):
    """RETURNS_URL cannot be read. The message says what is wrong and what it should look like."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MailboxAddress:
    """A mailbox that is read by IMAP, and how to log in there."""

    scheme: str
    host: str
    port: int
    username: str
    password: str = field(default="", repr=False)
    folder: str = "INBOX"
    oauth: str = ""
    """The provider of access tokens, as in ``?oauth=microsoft``. Empty: the login is by password."""

    @property
    def is_near(self) -> bool:
        """Whether it is on this machine."""
        return is_loopback(self.host)

    def __str__(self) -> str:
        return f"{_bracketed(self.host)}:{self.port}"


@dataclass(frozen=True, kw_only=True, slots=True)
class ListenerAddress:
    """Where a mail server hands returns in."""

    scheme: str
    host: str
    port: int
    """0: any free port."""

    @property
    def is_near(self) -> bool:
        return is_loopback(self.host)

    def __str__(self) -> str:
        return f"{self.scheme}://{_bracketed(self.host)}:{self.port}"


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def parse_returns_url(url: str) -> MailboxAddress | ListenerAddress:
    """Read ``imap+ssl://user:password@host:port/folder``, ``imap+tls://``, ``imap://``, ``lmtp://host:port`` or ``smtp://``.

    User, password and folder may hold %-escapes. ``?oauth=microsoft`` makes the login one by access tokens.

    Raises:
        ReturnsUrlError: the address is none of these.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:  # such as an IPv6 address without its closing bracket. Python's own words may quote the address
        raise ReturnsUrlError(f"The host or the port of {VARIABLE} can't be read. {_ADVICE}") from None
    if parts.scheme not in {**MAILBOX_PORTS, **LISTENER_PORTS}:
        schemes = ", ".join(f"{scheme}://" for scheme in (*MAILBOX_PORTS, *LISTENER_PORTS))
        raise ReturnsUrlError(f"{VARIABLE} must begin with one of {schemes}. {_ADVICE}")
    if not parts.hostname:
        raise ReturnsUrlError(f"{VARIABLE} names no host. {_ADVICE}")
    if _CONTROL.search(unquote(url)):  # one would end the command that sends it
        raise ReturnsUrlError(f"{VARIABLE} has a line break or another control character. {_ADVICE}")
    return _read_listener(parts, port) if parts.scheme in LISTENER_PORTS else _read_mailbox(parts, port)


def _read_listener(parts: SplitResult, port: int | None) -> ListenerAddress:
    if parts.username or parts.password or parts.query or parts.path.strip("/"):
        raise ReturnsUrlError(
            f"{VARIABLE} with {parts.scheme}:// is where we listen. It has a host and a port only. {_ADVICE}"
        )
    return ListenerAddress(
        scheme=parts.scheme, host=parts.hostname or "", port=LISTENER_PORTS[parts.scheme] if port is None else port
    )


def _read_mailbox(parts: SplitResult, port: int | None) -> MailboxAddress:
    if port == 0:
        raise ReturnsUrlError(f"The port in {VARIABLE} is not a number from 1 to 65535. {_ADVICE}")
    if not parts.username:
        raise ReturnsUrlError(f"{VARIABLE} names no user. {_ADVICE}")
    oauth = _read_oauth(parts)
    if not (parts.password or oauth):
        raise ReturnsUrlError(f"{VARIABLE} has no password. {_ADVICE}")
    return MailboxAddress(
        scheme=parts.scheme,
        host=parts.hostname or "",
        port=port or MAILBOX_PORTS[parts.scheme],
        username=unquote(parts.username),
        password=unquote(parts.password or ""),
        folder=unquote(parts.path).strip("/") or "INBOX",
        oauth=oauth,
    )


def _read_oauth(parts: SplitResult) -> str:
    """Read the one option there is, and refuse what contradicts it."""
    options = parse_qsl(parts.query, keep_blank_values=True)
    if not options:
        return ""
    if [name for name, _ in options] != ["oauth"]:
        raise ReturnsUrlError(f"{VARIABLE} has options after the ? that are not known. {_OAUTH_ADVICE}")
    provider = options[0][1].lower()
    if provider not in PROVIDERS:
        raise ReturnsUrlError(f"{VARIABLE} has another ?oauth= than {', '.join(PROVIDERS)}. {_OAUTH_ADVICE}")
    if parts.password:
        raise ReturnsUrlError(f"{VARIABLE} has a password and ?oauth=. Remove the password. {_OAUTH_ADVICE}")
    if parts.scheme == "imap" and not is_loopback(parts.hostname or ""):
        raise ReturnsUrlError(f"{VARIABLE} would send access tokens without TLS. {_OAUTH_ADVICE}")
    return provider


def make_mailbox_client(address: MailboxAddress, values: Mapping[str, str]) -> OAuthClient:
    """Make the OAuth client of a mailbox with ``?oauth=``, from the values of RETURNS_OAUTH_*.

    Raises:
        ReturnsUrlError: one of the variables is missing or cannot be used.
    """
    if address.oauth == MICROSOFT and values.get("REFRESH_TOKEN") and not values.get("SCOPE"):
        values = {**values, "SCOPE": MICROSOFT_USER_SCOPE}  # the client's own default is for sending
    try:
        return make_client(address.oauth, values, user=address.username, variables=OAUTH_VARIABLES)
    except OAuthSettingsError as exc:
        raise ReturnsUrlError(str(exc)) from None
