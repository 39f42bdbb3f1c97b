"""Server-sent events of one batch: a snapshot on connect and at each change, a ping when there is none.

The stream stays open after the batch ended, for a replay goes on in it; it holds no database connection.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing

from channels.db import database_sync_to_async
from django.http import HttpRequest, StreamingHttpResponse
from ninja import Router

from batches.api.errors import ApiError, not_found
from batches.credentials import Credentials
from batches.feeds import Refusal, Subscription, find_subscription, follow
from batches.progress import Snapshot

router = Router(tags=["batches"])

PING_SECONDS = 15.0
"""Shorter than the idle timeout of common proxies (30 to 60 s)."""


@router.get("/batches/{int:batch_id}/stream")
async def stream_batch(request: HttpRequest, batch_id: int) -> StreamingHttpResponse:
    """Server-sent events: each one's data is a full snapshot of the batch."""
    credentials = Credentials.of_request(request)
    # Run in the request's thread, this also closes the connection there that found the user. Held for the
    # life of the stream, twenty of them would use up the pool.
    seat = await database_sync_to_async(find_subscription)(credentials, batch_id)
    if seat is Refusal.NOT_LOGGED_IN:
        raise ApiError(401, "Log in, or send a token in the header 'Authorization: Bearer TOKEN'.")
    if not isinstance(seat, Subscription):
        raise not_found(f"batch {batch_id}")
    response = EventStream(_events(seat, credentials, batch_id), content_type="text/event-stream")
    response["Cache-Control"] = "no-cache"
    response["X-Accel-Buffering"] = "no"  # nginx would gather the events
    return response


class EventStream(StreamingHttpResponse):
    """A stream that is closed with its reader. Django's own leaves the generator to the garbage collector."""

    def __init__(self, events: AsyncGenerator[bytes, None], *, content_type: str) -> None:
        super().__init__(events, content_type=content_type)
        self._events = events

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async with aclosing(self._events) as events:
            async for event in events:
                yield event


async def _events(seat: Subscription, credentials: Credentials, batch_id: int) -> AsyncGenerator[bytes, None]:
    async with seat.watch() as watcher:
        async for snapshots in follow(
            watcher, credentials=credentials, batch_id=batch_id, heartbeat_seconds=PING_SECONDS
        ):
            yield b"".join(map(write_event, snapshots)) or b": ping\n\n"


def write_event(snapshot: Snapshot) -> bytes:
    """One event (WHATWG HTML, section 9.2.6), its id the place in the sequence."""
    return f"id: {snapshot['sequence']}\ndata: {json.dumps(snapshot)}\n\n".encode()
