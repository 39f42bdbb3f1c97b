"""Fan snapshots out: one feed for all watchers of one channel group in this process.

A feed takes snapshots from the channel layer, which may lose some. It also reads them from PostgreSQL, every 2 s while
a watched batch is live; while Redis is away, that reading alone keeps the watchers up to date. A watcher takes the
latest snapshots when it is ready for them, so a slow watcher is late alone and nothing is queued for it.

A message that this program did not seal is dropped, whatever it is: who can write to Redis can neither show anything
nor end a feed.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from contextvars import Context
from typing import Any
from weakref import WeakKeyDictionary

from channels.db import database_sync_to_async
from channels.layers import get_channel_layer
from django.db import DatabaseError
from redis.exceptions import RedisError

from batches.asyncio_tasks import end_tasks
from batches.jobs.forecasts import FORECAST_STATUSES
from batches.languages import say_snapshot
from batches.models import BatchStatus
from batches.progress import Snapshot, unseal
from batches.subscriptions import ReadSnapshots, Subscription, may_watch

logger = logging.getLogger(__name__)

RESYNC_SECONDS = 2.0
"""How stale a live batch may look when the channel layer has lost every message: promise 4 (docs/design.md)."""

QUIET_RESYNC_SECONDS = 15.0
"""The interval while no watched batch is live. The channel layer announces a replay; this covers its absence."""

SUBSCRIBE_RETRY_SECONDS = 3.0
"""How long a feed waits before it tries again to listen to a channel layer that failed."""

SNAPSHOT_INTERVAL_SECONDS = 0.2
"""The shortest time between two messages to one watcher: at most five a second."""

MESSAGES_PER_SECOND = 500
"""How many messages a process sends to up to a thousand watchers. Of more than a hundred, each waits longer for one."""

FETCH_SECONDS = 3.0
"""Within this time after a message, at a random moment, a page fetches what no snapshot holds."""

FETCH_MAX_SECONDS = 120.0

FETCHES_PER_SECOND = 5
"""How many such fetches a process wants to answer. The pages of more watchers take more time for theirs."""

FOREIGN_LOG_SECONDS = 60.0
"""How often a feed logs that it dropped messages which this program did not make."""

RECHECK_SECONDS = 60.0
"""How often the right to watch is checked again.

A user who logs out, is locked out or loses a batch can watch until the next check.
"""

SHARED_SECONDS = 1.0
"""How long what a page fetched is shared with others. A page asks every five seconds at most."""

SHARED_BY = 50
"""For so many watchers it is shared a second longer."""

LIVE = (BatchStatus.SCHEDULED, BatchStatus.PENDING, BatchStatus.PROCESSING, BatchStatus.PAUSED)


class Feed:
    """The latest snapshots of one channel group, kept up to date by two tasks while there are watchers."""

    def __init__(self, group: str, read: ReadSnapshots) -> None:
        self.snapshots: dict[int, Snapshot] = {}
        self.changes: dict[int, int] = {}
        """How often what a person sees of a batch has changed."""
        self._texts: dict[tuple[int, str], tuple[Snapshot, str]] = {}
        self.watchers: set[Watcher] = set()
        self._group = group
        self._read = database_sync_to_async(read, thread_sensitive=False)
        self._read_wanted = asyncio.Event()
        self._foreign_logged_at = float("-inf")
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        # Each task gets an empty context. It outlives the request of the first watcher, and also the thread that
        # the context of that request names.
        loop = asyncio.get_running_loop()
        self._tasks = [loop.create_task(work(), context=Context()) for work in (self._resync, self._listen)]

    async def stop(self) -> None:
        await end_tasks(self._tasks)

    def read_soon(self) -> None:
        """Read from PostgreSQL now instead of at the end of the interval."""
        self._read_wanted.set()

    def _take(self, snapshot: Snapshot) -> None:
        """Keep a snapshot, unless a newer one is known. Wake the watchers if a count or the status changed."""
        known = self.snapshots.get(snapshot["batchId"])
        if known is not None and snapshot["sequence"] <= known["sequence"]:
            return
        has_finish = snapshot["doneAt"] is not None or snapshot["finish"]
        if known is not None and not has_finish and {known["status"], snapshot["status"]} <= {*FORECAST_STATUSES}:
            # A lane publishes counts alone. Only the reading from PostgreSQL estimates the finish time, or says why
            # there is none. Without it, the page would say the time that the rate gives, which knows no quota.
            finish = [moment for moment in known.get("moments", []) if moment["words"] in known["finish"]]
            moments = [*snapshot.get("moments", []), *finish]
            snapshot = Snapshot(
                **{**snapshot, "doneAt": known["doneAt"], "finish": known["finish"], "moments": moments}
            )
        self.snapshots[snapshot["batchId"]] = snapshot
        if known is None or without_sequence(known) != without_sequence(snapshot):
            self.changes[snapshot["batchId"]] = self.changes.get(snapshot["batchId"], 0) + 1
            for watcher in self.watchers:
                watcher.wake()

    def write(self, snapshot: Snapshot, language: str) -> str:
        """Return the message with a snapshot, as JSON. It is made once for all watchers who read a language."""
        key = (snapshot["batchId"], language)
        known = self._texts.get(key)
        if known is None or known[0] is not snapshot:
            said = {**say_snapshot(snapshot, language), "fetchWithinSeconds": fetch_seconds(count_watchers())}
            known = self._texts[key] = (snapshot, json.dumps(said))
        return known[1]

    async def _resync(self) -> None:
        while True:
            self._read_wanted.clear()
            try:
                for snapshot in (await self._read()).values():
                    self._take(snapshot)
            except DatabaseError as exc:  # the feed outlives an outage
                logger.warning("The progress could not be read: %s", exc, extra={"action": "resync_failed"})
            with suppress(TimeoutError):
                await asyncio.wait_for(self._read_wanted.wait(), self._pause_seconds())

    def _pause_seconds(self) -> float:
        is_live = any(snapshot["status"] in LIVE for snapshot in self.snapshots.values())
        return RESYNC_SECONDS if is_live or not self.snapshots else QUIET_RESYNC_SECONDS

    async def _listen(self) -> None:
        while True:
            try:
                await self._receive_all(get_channel_layer())
            except (RedisError, OSError) as exc:
                logger.warning("The channel layer can't be listened to: %s", exc, extra={"action": "subscribe_failed"})
            except Exception:  # otherwise the watchers' pages would show the same for ever
                logger.exception("A feed stopped to listen. It begins again.", extra={"action": "subscribe_failed"})
            await asyncio.sleep(SUBSCRIBE_RETRY_SECONDS)

    async def _receive_all(self, layer: Any) -> None:
        # new_channel() leaks a queue each time it fails, and a send() that fails leaks nothing: so send() goes first.
        await layer.send("probe", {"type": "probe"})
        channel = await layer.new_channel()
        try:
            await layer.group_add(self._group, channel)
            self.read_soon()  # messages that were published before group_add are lost
            while True:
                snapshot = await self._receive(layer, channel)
                if snapshot is None:
                    self._log_foreign()
                    continue
                was_quiet = self._pause_seconds() > RESYNC_SECONDS
                self._take(snapshot)
                if was_quiet and self._pause_seconds() <= RESYNC_SECONDS:
                    self.read_soon()
        finally:
            with suppress(RedisError, OSError):
                await layer.group_discard(self._group, channel)

    async def _receive(self, layer: Any, channel: str) -> Snapshot | None:
        """Receive one message. Returns None for one that this program did not make."""
        try:
            message = await layer.receive(channel)
        except (RedisError, OSError):
            raise
        except Exception:  # the library can't decode it: each kind of rubbish raises an error of its own
            await asyncio.sleep(0)
            return None
        return unseal(self._group, message)

    def _log_foreign(self) -> None:
        now = asyncio.get_running_loop().time()
        if now - self._foreign_logged_at >= FOREIGN_LOG_SECONDS:
            self._foreign_logged_at = now
            logger.warning(
                "Messages in the channel layer were not sealed with this SECRET_KEY, so they are dropped. Give all "
                "processes the same key, and find out who else writes to Redis.",
                extra={"action": "foreign_message"},
            )


def without_sequence(snapshot: Snapshot) -> dict[str, object]:
    """The values that a person sees. The sequence number differs between snapshots with the same values."""
    return {name: value for name, value in snapshot.items() if name != "sequence"}


class Watcher:
    """One reader of a feed. It knows the snapshots that it has returned, and waits for newer ones."""

    def __init__(self, feed: Feed) -> None:
        self._feed = feed
        self._seen: dict[int, int] = {}
        self._changed = asyncio.Event()
        self._changed.set()

    def wake(self) -> None:
        self._changed.set()

    async def next_snapshots(self, *, timeout_seconds: float) -> list[Snapshot]:
        """The latest snapshot of each batch that changed since the last call. An empty list: none did in time."""
        deadline = asyncio.get_running_loop().time() + timeout_seconds
        while not (changed := self._take_changed()):
            try:
                async with asyncio.timeout_at(deadline):
                    await self._changed.wait()
            except TimeoutError:
                return []
        return changed

    def write(self, snapshot: Snapshot, language: str) -> str:
        """Return the message with a snapshot, as JSON."""
        return self._feed.write(snapshot, language)

    def _take_changed(self) -> list[Snapshot]:
        self._changed.clear()
        changes = self._feed.changes
        batch_ids = [batch_id for batch_id, change in changes.items() if self._seen.get(batch_id) != change]
        self._seen.update((batch_id, changes[batch_id]) for batch_id in batch_ids)
        return [self._feed.snapshots[batch_id] for batch_id in batch_ids]


_feeds: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, Feed]] = WeakKeyDictionary()


def open_feeds() -> dict[str, Feed]:
    """The feeds of the running event loop, by channel group."""
    return _feeds.setdefault(asyncio.get_running_loop(), {})


def count_watchers() -> int:
    """Count the watchers of all feeds of this process. Any thread may ask."""
    return sum(len(feed.watchers) for feeds in list(_feeds.values()) for feed in list(feeds.values()))


def interval_seconds(watcher_count: int) -> float:
    """Return the shortest time between two messages to one watcher."""
    return min(RESYNC_SECONDS, max(SNAPSHOT_INTERVAL_SECONDS, watcher_count / MESSAGES_PER_SECOND))


def fetch_seconds(watcher_count: int) -> float:
    """Return within how many seconds a page may fetch what no snapshot holds."""
    return min(FETCH_MAX_SECONDS, max(FETCH_SECONDS, round(watcher_count / FETCHES_PER_SECOND, 1)))


def shared_seconds(watcher_count: int) -> float:
    """Return how long what one page fetched is good enough for the others."""
    return max(SHARED_SECONDS, watcher_count / SHARED_BY)


@asynccontextmanager
async def watch(subscription: Subscription) -> AsyncIterator[Watcher]:
    """Join the feed of the subscription's group. The first watcher opens the feed, the last one closes it."""
    group, feeds = subscription.group, open_feeds()
    feed = feeds.get(group)
    if feed is None:
        feed = feeds[group] = Feed(group, subscription.read)
        feed.start()
    watcher = Watcher(feed)
    feed.watchers.add(watcher)
    feed.read_soon()
    try:
        yield watcher
    finally:
        feed.watchers.discard(watcher)
        if not feed.watchers and feeds.get(group) is feed:
            del feeds[group]
            await feed.stop()


async def follow(
    watcher: Watcher, subscription: Subscription, *, heartbeat_seconds: float
) -> AsyncIterator[list[Snapshot]]:
    """Yield the snapshots that changed, at most five times a second; an empty list for each heartbeat without any.

    Beside many watchers it is less often: see ``interval_seconds``.

    Ends when the user has lost the subscription, which is checked once a minute.
    """
    clock = asyncio.get_running_loop().time
    checked_at = clock()
    while True:
        snapshots = await watcher.next_snapshots(timeout_seconds=heartbeat_seconds)
        if clock() - checked_at >= RECHECK_SECONDS:
            if not await database_sync_to_async(may_watch, thread_sensitive=False)(subscription):
                return
            checked_at = clock()
        yield snapshots
        await asyncio.sleep(interval_seconds(count_watchers()))
