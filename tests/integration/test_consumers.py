"""The websockets and the event stream, with the real ASGI application and the real Redis."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from asgiref.testing import ApplicationCommunicator
from channels.db import database_sync_to_async
from channels.layers import get_channel_layer
from channels.testing import WebsocketCommunicator
from channels_redis.pubsub import RedisPubSubChannelLayer
from django.conf import settings
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.db import connections
from django.test import AsyncClient, Client, override_settings
from django.utils import timezone

from batches import feeds, intake, progress
from batches.api import stream
from batches.jobs import creation
from batches.models import ApiToken, Batch, BatchStatus, EmailJob, EmailTemplate, Lane
from batches.progress import Snapshot
from emailbatch.asgi import application

pytestmark = pytest.mark.django_db(transaction=True)

HOST = (b"host", b"testserver")
OURS = (b"origin", b"http://testserver")
LAST_MESSAGE = -1
"""The batch id of a message that only ends a wait."""

SNAPSHOT_FIELDS = set(Snapshot.__annotations__)
MESSAGE_FIELDS = SNAPSHOT_FIELDS | {"fetchWithinSeconds"}


def log_in(user: User) -> tuple[bytes, bytes]:
    client = Client()
    client.force_login(user)
    return (b"cookie", f"{settings.SESSION_COOKIE_NAME}={client.cookies[settings.SESSION_COOKIE_NAME].value}".encode())


def make_batch(user: User | None, count: int = 3) -> Batch:
    recipients = [{"email": f"p{number}@example.org", "name": f"P{number}"} for number in range(1, count + 1)]
    return intake.import_list(recipients, user=user).batch


def send(batch: Batch, template: EmailTemplate) -> None:
    creation.create_job(batch, template=template, user=None)


def set_sent(batch: Batch, count: int, *, publish: bool) -> None:
    Lane.objects.filter(job__batch=batch, number=0).update(sent_count=count)
    if publish:
        progress.publish(batch.pk)


async def run(step: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    return await database_sync_to_async(step, thread_sensitive=False)(*args, **kwargs)


class Socket(WebsocketCommunicator):  # type: ignore[misc]  # channels has no types
    """A client. Channels' own one stops the application from closing its database connections; this one does not."""

    accepted = False

    async def send_input(self, message: dict[str, Any]) -> None:
        await ApplicationCommunicator.send_input(self, message)  # type: ignore[no-untyped-call]

    async def receive_output(self, timeout: float = 1) -> Any:
        return await ApplicationCommunicator.receive_output(self, timeout)  # type: ignore[no-untyped-call]


@pytest.fixture(autouse=True)
async def _close_connections() -> AsyncIterator[None]:
    """Close the connections that Django's async functions opened in the loop's thread for synchronous code."""
    yield
    await sync_to_async(connections.close_all)()


@pytest.fixture
async def connect() -> AsyncIterator[Callable[..., Any]]:
    """Opens sockets, and closes them when the test ends."""
    opened: list[Socket] = []

    async def open_socket(path: str, *headers: tuple[bytes, bytes]) -> Socket:
        socket = Socket(application, path, headers=[HOST, *headers])
        opened.append(socket)
        socket.accepted = (await socket.connect(timeout=10))[0]
        return socket

    yield open_socket
    for socket in opened:
        await socket.disconnect()


async def until(socket: Socket, field: str, value: object, *, seconds: float = 10) -> Snapshot:
    """The first snapshot with this value."""
    return (await receive_until(socket, field, value, seconds=seconds))[-1]


async def receive_until(socket: Socket, field: str, value: object, *, seconds: float = 10) -> list[Snapshot]:
    """All snapshots up to the first one with this value."""
    received: list[Snapshot] = []
    async with asyncio.timeout(seconds):
        while not received or received[-1][field] != value:  # type: ignore[literal-required]
            received.append(await socket.receive_json_from(timeout=seconds))
    return received


async def closing_code(socket: Socket) -> int:
    message = await socket.receive_output(timeout=10)
    assert message["type"] == "websocket.close"
    return int(message["code"])


async def test_whole_snapshot_is_sent_when_a_socket_connects(sender: User, connect: Callable[..., Any]) -> None:
    batch = await run(make_batch, sender)
    socket = await connect(f"/ws/batches/{batch.pk}/", OURS, await run(log_in, sender))
    snapshot = await socket.receive_json_from(timeout=10)
    assert set(snapshot) == MESSAGE_FIELDS
    assert (snapshot["batchId"], snapshot["status"]) == (batch.pk, BatchStatus.DRAFT)
    assert (snapshot["total"], snapshot["pending"]) == (3, 3)


async def test_change_is_sent_at_once_when_it_is_published(
    sender: User, welcome: EmailTemplate, connect: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feeds, "RESYNC_SECONDS", 60.0)
    monkeypatch.setattr(feeds, "QUIET_RESYNC_SECONDS", 60.0)
    batch = await run(make_batch, sender)
    await run(send, batch, welcome)
    socket = await connect(f"/ws/batches/{batch.pk}/", OURS, await run(log_in, sender))
    first = await until(socket, "sent", 0)
    await run(set_sent, batch, 2, publish=False)
    async with asyncio.timeout(10):
        # Published until it arrives: a test can't see when the feed has joined its channel group.
        while await socket.receive_nothing(timeout=0.2):
            await run(progress.publish, batch.pk)
    second = await until(socket, "sent", 2)
    assert second["sequence"] > first["sequence"] and second["processed"] == 2


async def test_change_is_sent_within_seconds_when_it_was_not_published(
    sender: User, welcome: EmailTemplate, connect: Callable[..., Any]
) -> None:
    batch = await run(make_batch, sender)
    await run(send, batch, welcome)
    socket = await connect(f"/ws/batches/{batch.pk}/", OURS, await run(log_in, sender))
    await until(socket, "sent", 0)
    await run(set_sent, batch, 2, publish=False)
    await until(socket, "sent", 2, seconds=feeds.RESYNC_SECONDS + 1)


async def test_change_is_sent_when_redis_is_away(
    sender: User,
    welcome: EmailTemplate,
    connect: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    away = RedisPubSubChannelLayer(hosts=[f"unix://{tmp_path}/nobody-listens.sock"])
    monkeypatch.setattr(feeds, "get_channel_layer", lambda: away)
    batch = await run(make_batch, sender)
    await run(send, batch, welcome)
    socket = await connect(f"/ws/batches/{batch.pk}/", OURS, await run(log_in, sender))
    await until(socket, "sent", 0)
    await run(set_sent, batch, 1, publish=False)
    await until(socket, "sent", 1, seconds=feeds.RESYNC_SECONDS + 1)


async def test_only_the_latest_snapshot_is_sent_when_changes_are_fast(
    sender: User, welcome: EmailTemplate, connect: Callable[..., Any]
) -> None:
    batch = await run(make_batch, sender, 300)
    await run(send, batch, welcome)
    socket = await connect(f"/ws/batches/{batch.pk}/", OURS, await run(log_in, sender))
    await until(socket, "sent", 0)
    snapshot, owner = (await run(progress.read_snapshot, batch.pk)), sender.pk
    assert snapshot is not None
    for sent in range(1, 201):
        snapshot = snapshot.copy()
        snapshot["sent"], snapshot["sequence"] = sent, snapshot["sequence"] + 1
        await progress.apublish(snapshot, owner)
    await run(set_sent, batch, 200, publish=False)
    received = 1
    async with asyncio.timeout(10):
        while (await socket.receive_json_from(timeout=10))["sent"] != 200:
            received += 1
    assert received <= 10


async def test_older_snapshot_is_dropped_when_it_arrives_late(
    sender: User, welcome: EmailTemplate, connect: Callable[..., Any]
) -> None:
    batch = await run(make_batch, sender)
    await run(send, batch, welcome)
    old: Snapshot = await run(progress.read_snapshot, batch.pk)
    socket = await connect(f"/ws/batches/{batch.pk}/", OURS, await run(log_in, sender))
    await run(set_sent, batch, 2, publish=False)
    await until(socket, "sent", 2)
    old["sent"] = 1
    await progress.apublish(old, sender.pk)
    # The layer keeps the order: when the last message is there, the old snapshot was there before it.
    last = old.copy()
    last["batchId"] = LAST_MESSAGE
    group = progress.batch_group(batch.pk)
    await get_channel_layer().group_send(group, progress.seal(group, last))
    received = await receive_until(socket, "batchId", LAST_MESSAGE)
    assert [snapshot["sent"] for snapshot in received if snapshot["batchId"] == batch.pk and snapshot["sent"] < 2] == []


async def test_waiting_and_finish_are_said_live_and_kept_when_a_lane_publishes_counts(
    sender: User, welcome: EmailTemplate, connect: Callable[..., Any]
) -> None:
    batch = await run(make_batch, sender)
    await run(send, batch, welcome)
    socket = await connect(f"/ws/batches/{batch.pk}/", OURS, await run(log_in, sender))
    first = await until(socket, "sent", 0)
    assert (first["waitingFor"] or "").startswith("Sending is switched off at the moment")
    assert first["finish"] == "Done in less than a minute."
    reason = "The daily limit of relay m365 is used up (10,000 in 24 hours)."
    wait = {"last_error": reason, "relay_retry_at": timezone.now() + timedelta(days=500)}
    await run(EmailJob.objects.filter(batch=batch).update, **wait)
    said = reason.replace("relay", "the mail server")
    async with asyncio.timeout(feeds.RESYNC_SECONDS + 5):
        while not (waiting := await socket.receive_json_from(timeout=10))["waitingFor"].startswith(said):
            pass
    assert waiting["waitingFor"].startswith(f"{said} Next try on ")
    assert waiting["doneAt"] and waiting["finish"].startswith("Done on ")
    await run(set_sent, batch, 1, publish=True)
    published = await until(socket, "sent", 1)
    assert (published["doneAt"], published["finish"]) == (waiting["doneAt"], waiting["finish"])


async def test_new_batch_is_sent_when_all_batches_are_watched(
    sender: User, staff: User, welcome: EmailTemplate, connect: Callable[..., Any]
) -> None:
    theirs, mine = await run(make_batch, staff), await run(make_batch, sender)
    socket = await connect("/ws/batches/", OURS, await run(log_in, sender))
    chief = await connect("/ws/batches/", OURS, await run(log_in, staff))
    assert (await socket.receive_json_from(timeout=10))["batchId"] == mine.pk
    assert {(await chief.receive_json_from(timeout=10))["batchId"] for _ in range(2)} == {mine.pk, theirs.pk}
    later = await run(make_batch, sender)
    await run(send, later, welcome)
    for watcher in (socket, chief):
        assert (await until(watcher, "status", BatchStatus.PENDING, seconds=20))["batchId"] == later.pk
    await run(send, theirs, welcome)
    await until(chief, "batchId", theirs.pk, seconds=20)
    await run(set_sent, later, 1, publish=True)
    received = await receive_until(socket, "sent", 1)
    assert {snapshot["batchId"] for snapshot in received} <= {mine.pk, later.pk}


async def test_socket_is_accepted_when_it_sends_a_token(sender: User, connect: Callable[..., Any]) -> None:
    batch, token = await run(make_batch, sender), await run(ApiToken.objects.issue, sender)
    bearer = (b"authorization", f"Bearer {token}".encode())
    socket = await connect(f"/ws/batches/{batch.pk}/", bearer)
    assert (await socket.receive_json_from(timeout=10))["batchId"] == batch.pk


@pytest.mark.parametrize("path", ["/ws/batches/", "/ws/batches/{}/", "/ws/batches/999999/"])
async def test_handshake_is_refused_when_nobody_is_logged_in(
    sender: User, connect: Callable[..., Any], path: str
) -> None:
    batch = await run(make_batch, sender)
    for header in (OURS, (b"authorization", b"Bearer wrong")):
        assert not (await connect(path.format(batch.pk), header)).accepted


async def test_socket_is_closed_when_the_batch_is_another_users(
    sender: User, staff: User, connect: Callable[..., Any]
) -> None:
    batch = await run(make_batch, staff)
    for number in (batch.pk, 999_999):
        socket = await connect(f"/ws/batches/{number}/", OURS, await run(log_in, sender))
        assert await closing_code(socket) == 4404


@pytest.mark.parametrize(
    "origin", [None, b"http://evil.example", b"http://testserver:81", b"null", b"http://testserver.evil.example"]
)
async def test_handshake_is_refused_when_another_site_opens_the_socket(
    sender: User, connect: Callable[..., Any], origin: bytes | None
) -> None:
    cookie = await run(log_in, sender)
    socket = await connect("/ws/batches/", cookie, *([(b"origin", origin)] if origin else []))
    assert not socket.accepted


async def test_handshake_is_refused_when_the_address_is_unknown(connect: Callable[..., Any]) -> None:
    assert not (await connect("/ws/nothing/", OURS)).accepted


@pytest.mark.parametrize("message", [{"text_data": "{"}, {"bytes_data": b"\xff"}])
async def test_socket_is_closed_when_the_client_sends_a_message(
    sender: User, connect: Callable[..., Any], message: dict[str, Any]
) -> None:
    batch = await run(make_batch, sender)
    socket = await connect(f"/ws/batches/{batch.pk}/", OURS, await run(log_in, sender))
    await socket.send_to(**message)
    while (output := await socket.receive_output(timeout=10))["type"] != "websocket.close":
        pass
    assert output["code"] == 1008


@pytest.mark.parametrize("revoke", ["deactivate", "log out", "be idle for too long", "require a factor"])
async def test_socket_is_closed_when_the_right_to_watch_ends(
    sender: User, connect: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, revoke: str
) -> None:
    monkeypatch.setattr(feeds, "RECHECK_SECONDS", 0.1)
    monkeypatch.setattr("batches.consumers.HEARTBEAT_SECONDS", 0.2)
    batch, cookie = await run(make_batch, sender), await run(log_in, sender)
    socket = await connect(f"/ws/batches/{batch.pk}/", OURS, cookie)
    await socket.receive_json_from(timeout=10)
    if revoke == "deactivate":
        await User.objects.aupdate(is_active=False)
    elif revoke == "be idle for too long":
        await Session.objects.aupdate(expire_date=timezone.now())
    elif revoke == "log out":
        client = AsyncClient(headers={"cookie": cookie[1].decode()})
        await client.alogout()
        client.cookies.load(cookie[1].decode())
        await client.alogout()
    with override_settings(REQUIRE_MFA="all" if revoke == "require a factor" else "off"):
        assert await closing_code(socket) == 4401


async def test_feed_is_closed_when_the_last_watcher_leaves(sender: User, connect: Callable[..., Any]) -> None:
    batch = await run(make_batch, sender)
    sockets = [await connect(f"/ws/batches/{batch.pk}/", OURS, await run(log_in, sender)) for _ in range(2)]
    for socket in sockets:
        await socket.receive_json_from(timeout=10)
    opened = feeds.open_feeds()
    assert len(opened) == 1
    await sockets[0].disconnect()
    assert len(opened) == 1
    await sockets[1].disconnect()
    assert not opened


async def open_stream(user: User, batch: Batch) -> AsyncIterator[bytes]:
    client = AsyncClient()
    await client.aforce_login(user)
    response = await client.get(f"/api/batches/{batch.pk}/stream")
    assert response.status_code == 200
    assert response["Content-Type"] == "text/event-stream"
    assert (response["Cache-Control"], response["X-Accel-Buffering"]) == ("no-store", "no")
    return aiter(response)  # type: ignore[arg-type]


async def test_snapshots_and_pings_are_sent_when_a_batch_is_streamed(
    sender: User, welcome: EmailTemplate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "HEARTBEAT_SECONDS", 0.2)
    batch = await run(make_batch, sender)
    await run(send, batch, welcome)
    events = await open_stream(sender, batch)
    async with asyncio.timeout(10):
        identifier, data, *rest = (await anext(events)).decode().split("\n")
        snapshot = json.loads(data.removeprefix("data: "))
        assert set(snapshot) == MESSAGE_FIELDS and rest == ["", ""]
        assert identifier == f"id: {snapshot['sequence']}"
        assert await anext(events) == b": ping\n\n"
        await run(set_sent, batch, 3, publish=True)
        while b'"sent": 3' not in await anext(events):
            pass
        await events.aclose()  # type: ignore[attr-defined]
        while feeds.open_feeds():
            await asyncio.sleep(0.01)
