"""Django's ASGI handler, with the body from daphne's temporary file.

Under another ASGI server it only applies the size limit.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import IO, Any

from django.core.exceptions import RequestAborted
from django.core.handlers.asgi import ASGIHandler
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from batches.files.errors import FileTooLarge
from batches.files.spooling import too_large_sentence
from emailbatch.logs import find_user_id
from emailbatch.request_bodies.daphne_request import DaphneRequest, current_request
from emailbatch.request_bodies.refusal import body_max_bytes, write_refusal

Receive = Callable[[], Awaitable[Mapping[str, Any]]]
Send = Callable[[Mapping[str, Any]], Awaitable[None]]


class BodyTooLarge(Exception):
    """A body from another server than daphne is larger than the limit."""


class BodyHandler(ASGIHandler):
    """Reads the body from the request of daphne if there is one, else from the server's messages up to the limit."""

    async def handle(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        request = current_request.get()
        if request is not None:
            send = partial(_send_to_reader, request, send)
            scope = _with_length(scope, request.received_bytes)
        try:
            await super().handle(scope, receive, send)
        except BodyTooLarge:
            await _send_refusal(scope, send)

    async def get_response_async(self, request: HttpRequest) -> HttpResponseBase:
        response = await super().get_response_async(request)
        if (current := current_request.get()) is not None:
            current.user_id = find_user_id(request)
        return response

    async def read_body(self, receive: Receive) -> IO[bytes]:
        request = current_request.get()
        if request is None:
            return await super().read_body(_limited(receive))
        if (await receive())["type"] == "http.disconnect":
            raise RequestAborted
        return request.body


def _with_length(scope: dict[str, Any], length: int) -> dict[str, Any]:
    """Add the length of a chunked body. Without a Content-Length Django treats a form as empty."""
    if any(name == b"content-length" for name, _ in scope["headers"]):
        return scope
    return {**scope, "headers": [*scope["headers"], (b"content-length", b"%d" % length)]}


async def _send_to_reader(request: DaphneRequest, send: Send, message: Mapping[str, Any]) -> None:
    """Send once the client has read what was sent before, so that a slow client fills no memory."""
    await request.can_write.wait()
    await send(message)


def _limited(receive: Receive) -> Receive:
    received_bytes = 0

    async def receive_limited() -> Mapping[str, Any]:
        nonlocal received_bytes
        message = await receive()
        received_bytes += len(message.get("body", b""))
        if received_bytes > body_max_bytes():
            raise BodyTooLarge
        return message

    return receive_limited


async def _send_refusal(scope: Mapping[str, Any], send: Send) -> None:
    accept = next((value.decode("latin-1") for name, value in scope["headers"] if name == b"accept"), "")
    refused = FileTooLarge(too_large_sentence())
    content_type, body = write_refusal(refused, accept=accept)
    headers = [(b"content-type", content_type.encode()), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": refused.http_status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
