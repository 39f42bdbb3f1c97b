"""Post one signed message to one of the checked addresses of an Endpoint, and read the beginning of the answer.

A message and an Endpoint enter, an Answer leaves. Whatever the receiver does, an attempt ends after ATTEMPT_SECONDS and
keeps at most ANSWER_MAX_BYTES. No redirect is followed, no proxy is used, and each message has a connection of its own.
"""

from __future__ import annotations

import asyncio
import http.client
import io
import re
import ssl
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import cache

from django.utils.http import parse_http_date_safe

from batches.webhooks.addresses import Endpoint, EndpointRefused, IpAddress, resolve

ATTEMPT_SECONDS = 10.0
"""How long an attempt may take in all: the connection, TLS, the request and the head of the answer."""

CONNECT_SECONDS = 4.0
"""How long one of several addresses may take to connect, so that the next one has its turn."""

ANSWER_MAX_BYTES = 16_384
"""How much of an answer is read: its head, and as much of its body as fits."""

TEXT_MAX_CHARS = 300
"""How much of the body of an answer is kept."""

BODY_SECONDS = 2.0
"""How long the body of a refusal may take. Only its beginning is of use, for the page of the deliveries."""

LOOK_UP_SECONDS = 5.0
"""How long the name server may take."""

RESOLVERS_MAX = 64
"""How many names are resolved at once. A name server that does not answer keeps a thread for longer than we wait."""

REDIRECTED = "The receiver answered with a redirect, and none is followed. Give the webhook the final address."

_STATUS_LINE = re.compile(rb"HTTP/1\.[0-9] ([1-9][0-9]{2})(?: |\r\n)")
"""RFC 9112 section 4."""

Resolve = Callable[[Endpoint], list[IpAddress]]
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """What became of an attempt. A status of None: there was no answer, and the text says why."""

    status: int | None = None
    text: str = ""
    """Why the receiver is not content, as it says or as we do. Empty after a success."""
    retry_after_seconds: float = 0.0
    """How long the receiver asks us to wait (RFC 9110 section 10.2.3)."""

    @property
    def is_success(self) -> bool:
        """Whether the receiver has the message. The specification says: with a 2xx only."""
        return self.status is not None and 200 <= self.status < 300

    @property
    def is_outage(self) -> bool:
        """Whether the next message would fare no better: no answer, an error of the server, or too many requests."""
        return self.status is None or self.status >= 500 or self.status == 429


async def look_up(endpoint: Endpoint, *, find_addresses: Resolve = resolve) -> list[IpAddress]:
    """Resolve the host of an Endpoint in a thread, and return the addresses that may be connected to.

    Raises:
        EndpointRefused: There is none, or the name server does not answer.
    """
    looking = asyncio.get_running_loop().run_in_executor(_resolvers(), find_addresses, endpoint)
    try:
        async with asyncio.timeout(LOOK_UP_SECONDS):
            return await looking
    except TimeoutError:
        words = f"The name {endpoint.host} was not resolved within {LOOK_UP_SECONDS:g} seconds. Check the address."
        raise EndpointRefused(words) from None


async def post(
    endpoint: Endpoint, addresses: Sequence[IpAddress], *, headers: Mapping[str, str], body: bytes
) -> Answer:
    """Post one message to one of some addresses that were checked. Never raises for what a receiver does."""
    try:
        async with asyncio.timeout(ATTEMPT_SECONDS):
            return await _exchange(endpoint, addresses, headers=headers, body=body)
    except TimeoutError:
        return Answer(text=f"There was no answer within {ATTEMPT_SECONDS:g} seconds.")
    except ssl.SSLCertVerificationError as exc:
        return Answer(text=f"The certificate of {endpoint.host} can't be trusted: {exc.verify_message}.")
    except asyncio.IncompleteReadError:
        return Answer(text="The receiver closed the connection without an answer.")
    except asyncio.LimitOverrunError:
        return Answer(text="The head of the answer is too large.")
    except (OSError, ValueError, http.client.HTTPException) as exc:
        return Answer(text=f"The receiver can't be reached: {exc}")


async def _exchange(
    endpoint: Endpoint, addresses: Sequence[IpAddress], *, headers: Mapping[str, str], body: bytes
) -> Answer:
    reader, writer = await _connect(endpoint, addresses)
    try:
        writer.write(_make_request(endpoint, headers=headers, body=body))
        with suppress(ConnectionError):  # a receiver may answer and close before it has read everything
            await writer.drain()
        return await _read_answer(reader)
    finally:
        # Without a farewell: it could take as long as the receiver likes, and the answer is known.
        writer.transport.abort()


@cache
def _resolvers() -> Executor:
    return ThreadPoolExecutor(RESOLVERS_MAX, thread_name_prefix="webhook-resolver")


@cache
def tls_context() -> ssl.SSLContext:
    """Return this process's context for TLS: it trusts the authorities that the system trusts."""
    return ssl.create_default_context()


async def _connect(
    endpoint: Endpoint, addresses: Sequence[IpAddress]
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Connect to the first address that answers, and nowhere else. The certificate must be for the host's name.

    Raises:
        OSError: None answers.
    """
    for address in addresses[:-1]:
        with suppress(OSError):  # TimeoutError is one
            async with asyncio.timeout(CONNECT_SECONDS):
                return await _connect_to(endpoint, address)
    return await _connect_to(endpoint, addresses[-1])


async def _connect_to(endpoint: Endpoint, address: IpAddress) -> Streams:
    return await asyncio.open_connection(
        str(address),
        endpoint.port,
        limit=ANSWER_MAX_BYTES,
        ssl=tls_context() if endpoint.is_tls else None,
        server_hostname=endpoint.host if endpoint.is_tls else None,
    )


def _make_request(endpoint: Endpoint, *, headers: Mapping[str, str], body: bytes) -> bytes:
    """Return the request (RFC 9112). Every value comes from us, or was checked by ``read_url``."""
    lines = [f"POST {endpoint.target} HTTP/1.1", f"Host: {endpoint.authority}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    lines += [f"Content-Length: {len(body)}", "Accept: */*", "Connection: close", "", ""]
    return "\r\n".join(lines).encode("ascii") + body


async def _read_answer(reader: asyncio.StreamReader) -> Answer:
    """Read the head, and of a refusal the beginning of the body.

    Raises:
        ValueError: It is no answer of HTTP/1.
    """
    status = 100
    while status < 200:  # interim answers, such as 103 (RFC 9110 section 15.2)
        head = await reader.readuntil(b"\r\n\r\n")
        match = _STATUS_LINE.match(head)
        if match is None:
            raise ValueError("it does not speak HTTP/1.1.")
        status = int(match[1])
    if status < 300:
        return Answer(status=status)
    fields = http.client.parse_headers(io.BytesIO(head.partition(b"\r\n")[2]))
    if status < 400:
        return Answer(status=status, text=REDIRECTED)
    text = _clean_text(await _read_body(reader))
    return Answer(
        status=status,
        text=f"The receiver answered {status}{f': {text}' if text else '.'}",
        retry_after_seconds=_read_seconds(fields.get("Retry-After", "")),
    )


async def _read_body(reader: asyncio.StreamReader) -> bytes:
    """Read the body until it ends, is long enough, or takes too long."""
    body = b""
    with suppress(OSError):
        async with asyncio.timeout(BODY_SECONDS):
            while len(body) < ANSWER_MAX_BYTES and (piece := await reader.read(ANSWER_MAX_BYTES)):
                body += piece
    return body


def _clean_text(body: bytes) -> str:
    """Return the beginning of a body as one line that a page can show and the database can store."""
    text = body[: 4 * TEXT_MAX_CHARS].decode("utf-8", "replace")
    return " ".join("".join(char if char.isprintable() else " " for char in text).split())[:TEXT_MAX_CHARS]


def _read_seconds(value: str) -> float:
    """Read a Retry-After: seconds, or a date (RFC 9110 section 10.2.3)."""
    if re.fullmatch(r"[0-9]{1,6}", value):
        return float(value)
    until = parse_http_date_safe(value)
    return 0.0 if until is None else max(until - time.time(), 0.0)
