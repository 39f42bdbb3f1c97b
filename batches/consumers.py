"""The websockets: one batch, or all batches of a user. A snapshot on connect and at each change, never a delta.

Let in by session cookie from our own pages, or by the ``Authorization`` header. What a client sends is ignored.
"""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

from channels.db import database_sync_to_async
from channels.generic.websocket import AsyncWebsocketConsumer
from django.conf import settings
from django.http.request import split_domain_port, validate_host

from batches.credentials import Credentials, find_header
from batches.feeds import Refusal, Subscription, find_subscription, follow

HEARTBEAT_SECONDS = 15.0
"""How often a quiet socket's right to watch may be looked at; the pings are the server's."""


class ProgressConsumer(AsyncWebsocketConsumer):  # type: ignore[misc]  # channels has no types
    """Sends a feed's snapshots as JSON. Closes with 4401 if nobody is logged in, 4404 if there is no such batch."""

    # A feed listens to Redis for all sockets; with a layer of its own a socket could not open while Redis is away.
    channel_layer_alias = "none"

    async def connect(self) -> None:
        self._sending: asyncio.Task[None] | None = None
        credentials = Credentials.of_scope(self.scope)
        if credentials.bearer is None and not is_same_origin(self.scope):
            await self.close()  # before the handshake: another site's page learns nothing, not even a code
            return
        batch_id: int | None = self.scope["url_route"]["kwargs"].get("batch_id")
        seat = await database_sync_to_async(find_subscription, thread_sensitive=False)(credentials, batch_id)
        await self.accept()
        if isinstance(seat, Subscription):
            self._sending = asyncio.create_task(self._send_all(seat, credentials, batch_id))
        else:
            await self.close(code=seat.value)

    async def disconnect(self, code: int) -> None:
        if self._sending is not None:
            self._sending.cancel()
            with suppress(asyncio.CancelledError):
                await self._sending

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        """Nothing is expected from a client, and nothing that it sends can do harm."""

    async def _send_all(self, seat: Subscription, credentials: Credentials, batch_id: int | None) -> None:
        async with seat.watch() as watcher:
            async for snapshots in follow(
                watcher, credentials=credentials, batch_id=batch_id, heartbeat_seconds=HEARTBEAT_SECONDS
            ):
                for snapshot in snapshots:
                    await self.send(text_data=json.dumps(snapshot))
        await self.close(code=Refusal.NOT_LOGGED_IN.value)


class StrangerConsumer(AsyncWebsocketConsumer):  # type: ignore[misc]  # channels has no types
    """Turns away a socket at an address that does not exist."""

    channel_layer_alias = "none"

    async def connect(self) -> None:
        await self.close()


def is_same_origin(scope: dict[str, Any]) -> bool:
    """Whether a browser's page of ours opens the socket: cookies alone would let any site's page in.

    The Origin must be that of the Host that was asked, which must be an allowed one, or be trusted by
    CSRF_TRUSTED_ORIGINS (RFC 6455 section 10.2).
    """
    origin = urlsplit(find_header(scope["headers"], b"origin").lower())
    host = find_header(scope["headers"], b"host").lower()
    if f"{origin.scheme}://{origin.netloc}" in settings.CSRF_TRUSTED_ORIGINS:
        return True
    domain, _ = split_domain_port(host)
    return bool(origin.netloc) and origin.netloc == host and validate_host(domain, settings.ALLOWED_HOSTS)
