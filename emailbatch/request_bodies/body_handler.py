"""Django's ASGI handler, with the body from daphne's temporary file.

Under another ASGI server it only applies the size limits: see ``admission``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import IO, Any

from django.core.exceptions import RequestAborted
from django.core.handlers.asgi import ASGIHandler
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from batches.files.errors import ListRefused
from emailbatch.logs import find_user_id
from emailbatch.request_bodies.admission import SMALL, Limit, find_limit, find_sender
from emailbatch.request_bodies.daphne_request import DaphneRequest, current_request
from emailbatch.request_bodies.refusal import write_refusal

Receive = Callable[[], Awaitable[Mapping[str, Any]]]
Send = Callable[[Mapping[str, Any]], Awaitable[None]]


class BodyTooLarge(Exception):
    """A body from another server than daphne is larger than the limit."""

    def __init__(self, limit: Limit) -> None:
        super().__init__()
        self.refused = limit.refuse()


class BodyHandler(ASGIHandler):
    """Reads the body from the request of daphne if there is one, else from the server's messages up to the limit."""

    async def handle(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        request = current_request.get()
        if request is not None:
            send = partial(_send_to_reader, request, send)
            scope = _with_length(scope, request.received_bytes)
        else:
            receive = _limited(receive, await _find_limit(scope))
        try:
            await super().handle(scope, receive, send)
        except BodyTooLarge as exc:
            await _send_refusal(scope, send, exc.refused)

    async def get_response_async(self, request: HttpRequest) -> HttpResponseBase:
        response = await super().get_response_async(request)
        if (current := current_request.get()) is not None:
            current.user_id = find_user_id(request)
        # A request refers to itself, so it lives until Python collects cycles. Its body is as large as 16 MB.
        vars(request).pop("_body", None)
        return response

    def create_request(self, scope: Any, body_file: IO[bytes]) -> Any:
        """Take a Content-Type that can't be read for none: Django's own handler answers 500."""
        try:
            return super().create_request(scope, body_file)
        except (LookupError, ValueError):  # for example a charset that is none
            headers = [(name, value) for name, value in scope["headers"] if name != b"content-type"]
            return super().create_request({**scope, "headers": headers}, body_file)

    async def read_body(self, receive: Receive) -> IO[bytes]:
        request = current_request.get()
        if request is None:
            return await super().read_body(receive)
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


async def _find_limit(scope: Mapping[str, Any]) -> Limit:
    limit = find_limit(scope["method"], scope["path"])
    if not limit.is_large:
        return limit
    try:
        await asyncio.to_thread(find_sender, scope["headers"])
    except ListRefused:
        return SMALL  # the view says why
    return limit


def _limited(receive: Receive, limit: Limit) -> Receive:
    received_bytes = 0

    async def receive_limited() -> Mapping[str, Any]:
        nonlocal received_bytes
        message = await receive()
        received_bytes += len(message.get("body", b""))
        if received_bytes > limit.max_bytes:
            raise BodyTooLarge(limit)
        return message

    return receive_limited


async def _send_refusal(scope: Mapping[str, Any], send: Send, refused: ListRefused) -> None:
    accept = next((value.decode("latin-1") for name, value in scope["headers"] if name == b"accept"), "")
    content_type, body = write_refusal(refused, accept=accept)
    headers = [(b"content-type", content_type.encode()), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": refused.http_status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
