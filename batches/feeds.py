"""Watch batches change: one feed for all who watch the same thing in this process, whatever carries it to them.

A feed takes snapshots from the channel layer, which may lose some, and reads them again from Postgres, which may
not: every 2 s while something is live. With Redis away the reading alone carries on. A watcher takes the latest
snapshot when it is ready for one, so a slow watcher is late by itself and nobody queues anything for it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from contextvars import Context
from dataclasses import dataclass
from enum import Enum
from typing import Any
from weakref import WeakKeyDictionary

from channels.db import database_sync_to_async
from channels.layers import get_channel_layer
from django.contrib.auth.models import User
from django.db import DatabaseError
from redis.exceptions import RedisError

from batches import progress
from batches.asyncio_tasks import end_tasks
from batches.credentials import Credentials
from batches.models import LIVE_JOB_STATUSES, Batch, BatchStatus, EmailJob
from batches.progress import Snapshot

logger = logging.getLogger(__name__)

RESYNC_SECONDS = 2.0
"""How stale a live batch may look (promise 4), when the channel layer lost every message."""

QUIET_RESYNC_SECONDS = 15.0
"""While nothing that is watched is live: a replay is told by the channel layer, this is for when that is away."""

SUBSCRIBE_RETRY_SECONDS = 3.0
THROTTLE_SECONDS = 0.2
"""At most five snapshots a second reach a watcher."""

RECHECK_SECONDS = 60.0
"""How long somebody who was logged out, locked or lost a batch may still watch."""

LISTED_COUNT = 50
"""How many of the newest batches a list of batches is told about when it connects."""

LIVE = (BatchStatus.SCHEDULED, BatchStatus.PENDING, BatchStatus.PROCESSING, BatchStatus.PAUSED)

ReadSnapshots = Callable[[], dict[int, Snapshot]]


class Feed:
    """The latest snapshots of one channel group, kept fresh by two tasks while anybody watches."""

    def __init__(self, group: str, read: ReadSnapshots) -> None:
        self.snapshots: dict[int, Snapshot] = {}
        self.watchers: set[Watcher] = set()
        self._group = group
        self._read = database_sync_to_async(read, thread_sensitive=False)
        self._wanted = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        # In a context of their own: the tasks outlive the request that happened to come first, and with it
        # the thread that its context names.
        loop = asyncio.get_running_loop()
        self._tasks = [loop.create_task(work(), context=Context()) for work in (self._resync, self._listen)]

    async def stop(self) -> None:
        await end_tasks(self._tasks)

    def ask(self) -> None:
        """Read from Postgres now instead of at the next turn."""
        self._wanted.set()

    def _take(self, snapshot: Snapshot) -> None:
        """Keep a snapshot and wake the watchers, unless it is older than the one there is, or says the same."""
        known = self.snapshots.get(snapshot["batchId"])
        if known is not None and snapshot["sequence"] <= known["sequence"]:
            return
        self.snapshots[snapshot["batchId"]] = snapshot
        if known is None or says(known) != says(snapshot):
            for watcher in self.watchers:
                watcher.wake()

    async def _resync(self) -> None:
        while True:
            self._wanted.clear()
            try:
                for snapshot in (await self._read()).values():
                    self._take(snapshot)
            except DatabaseError as exc:
                logger.warning("The progress could not be read: %s", exc, extra={"action": "resync_failed"})
            with suppress(TimeoutError):
                await asyncio.wait_for(self._wanted.wait(), self._pause_seconds())

    def _pause_seconds(self) -> float:
        is_live = any(snapshot["status"] in LIVE for snapshot in self.snapshots.values())
        return RESYNC_SECONDS if is_live or not self.snapshots else QUIET_RESYNC_SECONDS

    async def _listen(self) -> None:
        while True:
            try:
                await self._receive_all(get_channel_layer())
            except (RedisError, OSError) as exc:
                logger.warning("Live progress is not heard: %s", exc, extra={"action": "subscribe_failed"})
            await asyncio.sleep(SUBSCRIBE_RETRY_SECONDS)

    async def _receive_all(self, layer: Any) -> None:
        # new_channel() leaves a queue behind each time it fails; a send() that fails leaves nothing.
        await layer.send("probe", {"type": "probe"})
        channel = await layer.new_channel()
        try:
            await layer.group_add(self._group, channel)
            self.ask()  # what was published before the subscription stood is gone
            while True:
                message = await layer.receive(channel)
                was_quiet = self._pause_seconds() > RESYNC_SECONDS
                self._take(message["snapshot"])
                if was_quiet and self._pause_seconds() <= RESYNC_SECONDS:
                    self.ask()
        finally:
            with suppress(RedisError, OSError):
                await layer.group_discard(self._group, channel)


def says(snapshot: Snapshot) -> dict[str, object]:
    """What a person would see in a snapshot: all but its place in the sequence."""
    return {name: value for name, value in snapshot.items() if name != "sequence"}


class Watcher:
    """One reader of a feed: what it has seen, and a wait for what it has not."""

    def __init__(self, feed: Feed) -> None:
        self._feed = feed
        self._seen: dict[int, Snapshot] = {}
        self._changed = asyncio.Event()
        self._changed.set()

    def wake(self) -> None:
        self._changed.set()

    async def next_snapshots(self, *, timeout_seconds: float) -> list[Snapshot]:
        """The latest snapshot of each batch that changed since the last call; empty when nothing did in time."""
        deadline = asyncio.get_running_loop().time() + timeout_seconds
        while not (fresh := self._find_fresh()):
            try:
                async with asyncio.timeout_at(deadline):
                    await self._changed.wait()
            except TimeoutError:
                return []
        return fresh

    def _find_fresh(self) -> list[Snapshot]:
        self._changed.clear()
        fresh = [
            snapshot
            for batch_id, snapshot in self._feed.snapshots.items()
            if batch_id not in self._seen or says(self._seen[batch_id]) != says(snapshot)
        ]
        self._seen.update((snapshot["batchId"], snapshot) for snapshot in fresh)
        return fresh


_feeds: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, Feed]] = WeakKeyDictionary()


@asynccontextmanager
async def watch(group: str, read: ReadSnapshots) -> AsyncIterator[Watcher]:
    """Join the feed of a group, which is opened for the first watcher and closed after the last."""
    feeds = _feeds.setdefault(asyncio.get_running_loop(), {})
    feed = feeds.get(group)
    if feed is None:
        feed = feeds[group] = Feed(group, read)
        feed.start()
    watcher = Watcher(feed)
    feed.watchers.add(watcher)
    feed.ask()
    try:
        yield watcher
    finally:
        feed.watchers.discard(watcher)
        if not feed.watchers and feeds.get(group) is feed:
            del feeds[group]
            await feed.stop()


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscription:
    """A place to watch from that somebody is entitled to: the channel group, and how to read what it is about."""

    group: str
    read: ReadSnapshots

    def watch(self) -> AbstractAsyncContextManager[Watcher]:
        return watch(self.group, self.read)


class Refusal(Enum):
    """Why somebody may not watch; the value closes a websocket."""

    NOT_LOGGED_IN = 4401
    NOT_FOUND = 4404


def find_subscription(credentials: Credentials, batch_id: int | None) -> Subscription | Refusal:
    """The seat for one batch, or for all batches that a user may see."""
    user = credentials.find_user()
    if user is None:
        return Refusal.NOT_LOGGED_IN
    if batch_id is None:
        group = progress.STAFF_GROUP if user.is_staff else progress.owner_group(user.pk)
        return Subscription(group=group, read=lambda: _read_list(user))
    if not Batch.objects.visible_to(user).filter(pk=batch_id).exists():
        return Refusal.NOT_FOUND
    return Subscription(group=progress.batch_group(batch_id), read=lambda: progress.read_snapshots([batch_id]))


def _read_list(user: User) -> dict[int, Snapshot]:
    """The newest batches, and the live ones however old."""
    visible = Batch.objects.visible_to(user)
    newest = visible.order_by("-pk").values_list("pk", flat=True)[:LISTED_COUNT]
    live = EmailJob.objects.filter(status__in=LIVE_JOB_STATUSES, batch__in=visible).values_list("batch_id", flat=True)
    return progress.read_snapshots({*newest, *live})


async def follow(
    watcher: Watcher, *, credentials: Credentials, batch_id: int | None, heartbeat_seconds: float
) -> AsyncIterator[list[Snapshot]]:
    """Changed snapshots as they come, at most five times a second; an empty list each heartbeat without any.

    Ends when the watcher is no longer entitled to its seat, which is checked once a minute.
    """
    clock = asyncio.get_running_loop().time
    checked_at = clock()
    while True:
        snapshots = await watcher.next_snapshots(timeout_seconds=heartbeat_seconds)
        if clock() - checked_at >= RECHECK_SECONDS:
            if not await may_watch(credentials, batch_id):
                return
            checked_at = clock()
        yield snapshots
        await asyncio.sleep(THROTTLE_SECONDS)


async def may_watch(credentials: Credentials, batch_id: int | None) -> bool:
    """Whether the seat would be given again. While the database is away nobody loses it."""
    try:
        seat = await database_sync_to_async(find_subscription, thread_sensitive=False)(credentials, batch_id)
    except DatabaseError:
        return True
    return isinstance(seat, Subscription)
