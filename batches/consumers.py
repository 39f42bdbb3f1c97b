"""The websockets: for one batch, or for all batches of a user. Each message is a whole snapshot, never a change.

A socket is accepted with the session cookie from our own pages, or with the ``Authorization`` header. A stranger is
refused before the handshake. A client that sends a message is disconnected: the protocol has none from a client.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any
from urllib.parse import parse_qs, urlsplit

from channels.db import database_sync_to_async
from channels.generic.websocket import AsyncWebsocketConsumer
from django.conf import settings
from django.http.request import split_domain_port, validate_host

from batches.credentials import Credentials, find_header
from batches.feeds import follow, watch
from batches.languages import CODES
from batches.limits import HEARTBEAT_SECONDS
from batches.subscriptions import Refusal, Subscription, find_subscription

POLICY_VIOLATION = 1008
"""The close code for a client that sends what nobody reads (RFC 6455 section 7.4.1)."""


class ProgressConsumer(AsyncWebsocketConsumer):  # type: ignore[misc]  # channels has no types
    """Sends a feed's snapshots as JSON. Closes with 4404: no such batch; 4401: the user is not logged in any more."""

    # No channel layer of its own: the feed listens for all sockets, and a socket must open while Redis is away.
    channel_layer_alias = "none"

    async def connect(self) -> None:
        self._sending: asyncio.Task[None] | None = None
        credentials = Credentials.of_scope(self.scope)
        if credentials.bearer is None and not is_same_origin(self.scope):
            # Before the handshake, so that the page of another site learns nothing, not even a close code.
            await self.close()
            return
        batch_id: int | None = self.scope["url_route"]["kwargs"].get("batch_id")
        found = await database_sync_to_async(find_subscription, thread_sensitive=False)(credentials, batch_id)
        if found is Refusal.NOT_LOGGED_IN:
            # Before the handshake (HTTP 403), so that a stranger has no socket to send anything over.
            await self.close()
            return
        await self.accept()
        if isinstance(found, Subscription):
            self._sending = asyncio.create_task(self._send_all(found))
        else:
            await self.close(code=found.value)

    async def disconnect(self, code: int) -> None:
        if self._sending is not None:
            self._sending.cancel()
            with suppress(asyncio.CancelledError):
                await self._sending

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        """Close the socket. Under daphne ``GuardedSocket`` does so before the message is read."""
        await self.close(code=POLICY_VIOLATION)

    async def _send_all(self, subscription: Subscription) -> None:
        language = read_language(self.scope)
        async with watch(subscription) as watcher:
            async for snapshots in follow(watcher, subscription, heartbeat_seconds=HEARTBEAT_SECONDS):
                for snapshot in snapshots:
                    await self.send(text_data=watcher.write(snapshot, language))
        await self.close(code=Refusal.NOT_LOGGED_IN.value)


class UnknownAddressConsumer(AsyncWebsocketConsumer):  # type: ignore[misc]  # channels has no types
    """Refuses a socket at an address that does not exist."""

    channel_layer_alias = "none"

    async def connect(self) -> None:
        await self.close()


def read_language(scope: dict[str, Any]) -> str:
    """Return the language of the page that opened the socket, which its address names. Without one: English."""
    named = parse_qs(scope["query_string"].decode("ascii", "replace")).get("lang", [""])[0]
    return named if named in CODES else settings.LANGUAGE_CODE


def is_same_origin(scope: dict[str, Any]) -> bool:
    """Whether one of our own pages opens the socket. A browser sends its cookies from any site's page.

    The Origin header must name the host of the Host header, which must be in ALLOWED_HOSTS; or it must be in
    CSRF_TRUSTED_ORIGINS (RFC 6455 section 10.2).
    """
    origin = urlsplit(find_header(scope["headers"], b"origin").lower())
    host = find_header(scope["headers"], b"host").lower()
    if f"{origin.scheme}://{origin.netloc}" in settings.CSRF_TRUSTED_ORIGINS:
        return True
    domain, _ = split_domain_port(host)
    return bool(origin.netloc) and origin.netloc == host and validate_host(domain, settings.ALLOWED_HOSTS)
