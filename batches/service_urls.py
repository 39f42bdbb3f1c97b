"""Finds what is wrong with the address of a service, and says it in one sentence. No sentence contains a password.

The libraries that will use an address also parse it here. They accept some addresses that cannot be meant, such as
one without a host, and their own errors repeat the address; so the usual mistakes are looked for first.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from urllib.parse import SplitResult, parse_qs, quote, urlsplit

import environ
from psycopg import pq
from redis.connection import parse_url as parse_redis_url

from batches.returns.doors.address import EXAMPLE as RETURNS_EXAMPLE
from batches.returns.doors.address import LISTENER_PORTS, MAILBOX_PORTS, ReturnsUrlError, parse_returns_url
from batches.smtp.relay import DEFAULT_PORTS, RelayUrlError, parse_relay

QUOTATION_MARKS = ('"', "'", "`", "\u201c", "\u201d", "\u2018", "\u2019")
DJANGO_OPTIONS = {"assume_role", "isolation_level", "pool", "server_side_binding"}
"""Options of DATABASE_URL that Django keeps for itself and does not pass to libpq."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """The address of one service, and what such an address looks like."""

    variable: str
    schemes: tuple[str, ...]
    suggested: tuple[str, ...]
    """The schemes that a person is told to write."""
    example: str


DATABASE = Address(
    variable="DATABASE_URL",
    schemes=("postgres", "postgresql", "psql", "pgsql"),
    suggested=("postgres", "postgresql"),
    example="postgres://user:password@host:5432/name",
)
REDIS = Address(
    variable="REDIS_URL",
    schemes=("redis", "rediss", "unix"),
    suggested=("redis", "rediss", "unix"),
    example="redis://host:6379/0",
)
EMAIL = Address(
    variable="EMAIL_URL",
    schemes=tuple(DEFAULT_PORTS),
    suggested=("smtp", "smtp+tls", "smtp+ssl"),
    example="smtp+tls://user:password@mail.example.org:587",
)

RETURNS = Address(
    variable="RETURNS_URL",
    schemes=(*MAILBOX_PORTS, *LISTENER_PORTS),
    suggested=("imap+ssl", "imap+tls", "lmtp"),
    example=RETURNS_EXAMPLE,
)


def find_database_fault(url: str) -> str | None:
    """Return what is wrong with a DATABASE_URL, or None."""
    return _find_spelling_fault(url, DATABASE) or _find_database_fault(url, urlsplit(url))


def find_redis_fault(url: str) -> str | None:
    """Return what is wrong with a REDIS_URL, or None."""
    return _find_spelling_fault(url, REDIS) or _find_redis_fault(url, urlsplit(url))


def find_email_fault(url: str, *, variable: str = "EMAIL_URL") -> str | None:
    """Return what is wrong with an EMAIL_URL or EMAIL_URL_<NAME>, or None."""
    return _find_spelling_fault(url, replace(EMAIL, variable=variable)) or _find_email_fault(url, variable)


def find_returns_fault(url: str) -> str | None:
    """Return what is wrong with a RETURNS_URL, or None."""
    if fault := _find_spelling_fault(url, RETURNS):
        return fault
    try:
        parse_returns_url(url)
    except ReturnsUrlError as exc:
        return str(exc)
    return None


def _find_spelling_fault(url: str, address: Address) -> str | None:
    """Look for the mistakes that all addresses have in common."""
    variable = address.variable
    if url.startswith(QUOTATION_MARKS) or url.endswith(QUOTATION_MARKS):
        return f"{variable} has a quotation mark around it. Write the address without quotation marks."
    if re.search(r"[\s\x00-\x1f\x7f]", url):
        return f"{variable} contains a space or a line break. Remove it, or write %20 for a space in a password."
    return _find_scheme_fault(url, address) or _find_authority_fault(url, address)


def _find_scheme_fault(url: str, address: Address) -> str | None:
    scheme, separator, _ = url.partition("://")
    # Case does not matter (RFC 3986 section 3.1), except to redis-py.
    if separator and (scheme if address is REDIS else scheme.lower()) in address.schemes:
        return None
    wanted = _either([f"{name}://" for name in address.suggested])
    name, colon, _ = url.partition(":/")
    if colon and not separator and name.lower() in address.schemes:
        return f"{address.variable} has one slash after {name}:. Write {name}://, as in {address.example}."
    # Only text that looks like a scheme is repeated: anything else may be a user name and a password.
    if not separator or not re.fullmatch(r"[A-Za-z][A-Za-z0-9+.-]{0,19}", scheme):
        return f"{address.variable} has no scheme. Write {wanted} before the host, as in {address.example}."
    return f"{address.variable} begins with {scheme}://. Write {wanted}."


def _find_authority_fault(url: str, address: Address) -> str | None:
    """Look at the part between the scheme and the first slash: user, password, host and port."""
    variable, rest = address.variable, url.partition("://")[2]
    try:
        parts = urlsplit(url)
    except ValueError:
        return f"{variable} has a [ or ] in its user name or password. Write [ as %5B and ] as %5D there."
    after = rest[len(parts.netloc) :]
    is_cut = "@" in after and bool(parts.netloc) and "@" not in parts.netloc
    # django-environ reads a # in a password of DATABASE_URL as it is meant.
    if (is_cut and not (after[0] == "#" and address is DATABASE)) or ("@" in parts.netloc and "@" in parts.path):
        code = quote(after[0], safe="")
        return f"{variable} has a {after[0]} in its user name or password. Write it as {code} there."
    return None


def _find_port_fault(parts: SplitResult, address: Address) -> str | None:
    try:
        is_wrong = parts.port == 0
    except ValueError:
        is_wrong = True
    return f"{address.variable} has a port that is not a number from 1 to 65535." if is_wrong else None


def _find_host_fault(parts: SplitResult, address: Address) -> str | None:
    if parts.hostname:
        return None
    return f"{address.variable} names no host. Write it like {address.example}."


def _find_database_fault(url: str, parts: SplitResult) -> str | None:
    try:
        config = environ.Env.db_url_config(url)
    except ValueError:
        return _find_port_fault(parts, DATABASE) or f"DATABASE_URL cannot be read. Write it like {DATABASE.example}."
    options = parse_qs(parts.query)
    # Without a host and a port libpq uses the socket of this machine, which is a valid choice.
    if not config["HOST"] and config["PORT"]:
        return _find_host_fault(parts, DATABASE)
    if not config["NAME"] and "service" not in options:
        return f"DATABASE_URL names no database. Write it like {DATABASE.example}."
    known = {option.keyword.decode() for option in pq.Conninfo.get_defaults()} | DJANGO_OPTIONS
    unknown = sorted(set(config.get("OPTIONS", {})) - known)
    if unknown:
        return f"DATABASE_URL has the option {unknown[0]!r}, which PostgreSQL does not know. Correct or remove it."
    return None


def _find_redis_fault(url: str, parts: SplitResult) -> str | None:
    if parts.scheme == "unix":
        return None if parts.path else "REDIS_URL names no socket. Write it like unix:///run/redis.sock."
    fault = _find_port_fault(parts, REDIS) or _find_host_fault(parts, REDIS)
    if fault:
        return fault
    # redis-py ignores a path that is not a number and uses database 0.
    if not re.fullmatch(r"/?\d*/?", parts.path):
        return f"REDIS_URL names a database that is not a number. Write it like {REDIS.example}."
    try:
        parse_redis_url(url)  # type: ignore[no-untyped-call]  # redis-py has no type for it
    except ValueError:
        return f"REDIS_URL has an option that cannot be read. Write it like {REDIS.example}."
    return None


def _find_email_fault(url: str, variable: str) -> str | None:
    try:
        relay = parse_relay(url, variable=variable)
    except RelayUrlError as exc:
        return str(exc)
    if relay.username and not relay.oauth and urlsplit(url).password is None:
        return f"{variable} names a user and no password. Add the password after a colon, or ?oauth= at the end."
    return None


def _either(words: list[str]) -> str:
    return f"{', '.join(words[:-1])} or {words[-1]}"
