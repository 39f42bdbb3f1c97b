"""Server-sent events of one batch: a snapshot at the start and at each change, and a ping while nothing changes.

The stream stays open after the batch has ended, because a replay may follow. It holds no database connection.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing

from channels.db import database_sync_to_async
from django.http import HttpRequest, StreamingHttpResponse
from django.utils.translation import get_language
from ninja import Router

from batches.api.errors import ApiError, not_found
from batches.credentials import Credentials
from batches.feeds import follow, watch
from batches.limits import HEARTBEAT_SECONDS
from batches.subscriptions import Refusal, Subscription, find_subscription

router = Router(tags=["batches"])


@router.get("/batches/{int:batch_id}/stream")
async def stream_batch(request: HttpRequest, batch_id: int) -> StreamingHttpResponse:
    """The snapshots of a batch as server-sent events.

    The data of each event is the whole snapshot, as on the websocket.
    """
    credentials = Credentials.of_request(request)
    # This query runs in the request's thread, as the query for the user did. So Channels closes the connection of both.
    # If each stream kept a connection, twenty streams would use up the pool.
    found = await database_sync_to_async(find_subscription)(credentials, batch_id)
    if found is Refusal.NOT_LOGGED_IN:
        raise ApiError(401, "Sign in, or send a token in the header 'Authorization: Bearer TOKEN'.")
    if not isinstance(found, Subscription):
        raise not_found(f"batch {batch_id}")
    response = EventStream(_events(found, get_language()), content_type="text/event-stream")
    response["Cache-Control"] = "no-store"
    response["X-Accel-Buffering"] = "no"  # otherwise nginx would hold events back
    return response


class EventStream(StreamingHttpResponse):
    """A stream whose generator is closed when its reader leaves. Django leaves that to the garbage collector."""

    def __init__(self, events: AsyncGenerator[bytes, None], *, content_type: str) -> None:
        super().__init__(events, content_type=content_type)
        self._events = events

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async with aclosing(self._events) as events:
            async for event in events:
                yield event


async def _events(subscription: Subscription, language: str) -> AsyncGenerator[bytes, None]:
    async with watch(subscription) as watcher:
        async for snapshots in follow(watcher, subscription, heartbeat_seconds=HEARTBEAT_SECONDS):
            events = (write_event(each["sequence"], watcher.write(each, language)) for each in snapshots)
            yield b"".join(events) or b": ping\n\n"


def write_event(sequence: int, message: str) -> bytes:
    """One event (WHATWG HTML, section 9.2.6). Its id is the sequence number of the snapshot."""
    return f"id: {sequence}\ndata: {message}\n\n".encode()
