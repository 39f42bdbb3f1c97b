"""What somebody who can write to Redis can make a page show: nothing. And what ends a feed: nothing."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import msgpack
import pytest
from channels.layers import get_channel_layer
from django.contrib.auth.models import User

from batches import feeds, progress, redis_client
from batches.feeds import Feed, Watcher
from batches.models import BatchStatus, EmailTemplate
from batches.progress import Snapshot, seal, unseal
from tests.integration.test_consumers import (
    OURS,
    _close_connections,
    connect,
    log_in,
    make_batch,
    receive_until,
    run,
    send,
    set_sent,
    until,
)

__all__ = ["_close_connections", "connect"]  # fixtures

pytestmark = pytest.mark.django_db(transaction=True)

GROUP = "batch.777777"


def forged(**changes: object) -> dict[str, Any]:
    snapshot = dict.fromkeys(Snapshot.__annotations__, 0) | {"batchId": 7, "status": "COMPLETED", "sequence": 2**62}
    return snapshot | changes


def publish_raw(group: str, data: bytes) -> None:
    """Publish to a channel group as somebody with a client of Redis would."""
    with redis_client.connect() as client:
        assert client.publish(f"asgi__group__{group}", data) == 1  # a feed is listening


FOREIGN: dict[str, Callable[[int], bytes]] = {
    "no message": lambda batch: b"",
    "no msgpack": lambda batch: b"\xc1\xff\xff",
    "a number": lambda batch: pack(7),
    "a list": lambda batch: pack([1, 2]),
    "nothing in it": lambda batch: pack({}),
    "the former form": lambda batch: pack({"type": progress.EVENT_TYPE, "snapshot": forged(batchId=batch)}),
    "no seal": lambda batch: pack({"type": progress.EVENT_TYPE, "snapshot": json.dumps(forged(batchId=batch))}),
    "a wrong seal": lambda batch: pack({"snapshot": json.dumps(forged(batchId=batch)), "seal": "0" * 64}),
    "a seal that is no text": lambda batch: pack({"snapshot": json.dumps(forged(batchId=batch)), "seal": {"a": [1]}}),
    "a seal of odd letters": lambda batch: pack({"snapshot": json.dumps(forged(batchId=batch)), "seal": "ü" * 64}),
    "a seal of another group": lambda batch: pack(dict(seal(GROUP, Snapshot(**forged(batchId=batch))))),  # type: ignore[typeddict-item]
    "deep": lambda batch: b"\x91" * 100_000,
    "huge": lambda batch: pack({"snapshot": "x" * 5_000_000, "seal": "0" * 64}),
    "half of a text": lambda batch: b"\xdb\xff\xff\xff\xff",
}


def pack(message: object) -> bytes:
    packed: bytes = msgpack.packb(message)
    return packed


@pytest.mark.parametrize("name", FOREIGN)
async def test_page_shows_the_truth_and_goes_on_when_a_message_is_foreign(
    sender: User,
    welcome: EmailTemplate,
    connect: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    name: str,
) -> None:
    monkeypatch.setattr(feeds, "RESYNC_SECONDS", 60.0)  # otherwise the reading from PostgreSQL would repair it
    monkeypatch.setattr(feeds, "QUIET_RESYNC_SECONDS", 60.0)
    batch = await run(make_batch, sender)
    await run(send, batch, welcome)
    socket = await connect(f"/ws/batches/{batch.pk}/", OURS, await run(log_in, sender))
    await until(socket, "sent", 0)
    group = progress.batch_group(batch.pk)
    await until_listening(group)
    await run(publish_raw, group, FOREIGN[name](batch.pk))
    await run(set_sent, batch, 2, publish=True)
    received = await receive_until(socket, "sent", 2)
    assert {(each["batchId"], each["status"]) for each in received} == {(batch.pk, BatchStatus.PENDING)}
    assert caplog.text.count("were not sealed with this SECRET_KEY") == 1


async def until_listening(group: str) -> None:
    """Wait until the feed has joined the channel group: a message before that is lost."""
    async with asyncio.timeout(10):
        while f"asgi__group__{group}" not in get_channel_layer().groups:
            await asyncio.sleep(0.01)


def test_snapshot_is_read_when_it_was_sealed_for_the_group() -> None:
    snapshot = Snapshot(**forged())  # type: ignore[typeddict-item]
    assert unseal(GROUP, seal(GROUP, snapshot)) == snapshot
    assert unseal(GROUP, dict(msgpack.unpackb(msgpack.packb(seal(GROUP, snapshot))))) == snapshot


def test_message_of_another_group_is_dropped() -> None:
    """Otherwise the counts of one user's batch could be copied to another user's page."""
    message = seal(progress.owner_group(1), Snapshot(**forged()))  # type: ignore[typeddict-item]
    assert unseal(progress.owner_group(2), message) is None
    assert unseal(progress.ALL_BATCHES_GROUP, message) is None


@pytest.mark.parametrize("part", ["snapshot", "seal"])
def test_message_is_dropped_when_one_letter_of_it_differs(part: str) -> None:
    message: dict[str, Any] = {**seal(GROUP, Snapshot(**forged()))}  # type: ignore[typeddict-item]
    text = message[part]
    message[part] = text[:-1] + chr(ord(text[-1]) ^ 1)
    assert unseal(GROUP, message) is None


def test_seal_depends_on_the_secret_key(settings: Any) -> None:
    message = seal(GROUP, Snapshot(**forged()))  # type: ignore[typeddict-item]
    settings.SECRET_KEY = "another"
    assert unseal(GROUP, message) is None


async def test_hundred_watchers_of_one_batch_cost_one_reading_and_one_seal_for_each_message() -> None:
    """A message is unsealed once for all watchers of a group, and each watcher gets the last of a burst."""
    feed = Feed(GROUP, dict)
    watchers = [Watcher(feed) for _ in range(100)]
    feed.watchers.update(watchers)
    for count in range(1, 501):
        snapshot = unseal(GROUP, seal(GROUP, Snapshot(**forged(sent=count, sequence=count))))  # type: ignore[typeddict-item]
        assert snapshot is not None
        feed._take(snapshot)
    taken = [await watcher.next_snapshots(timeout_seconds=1) for watcher in watchers]
    assert [[each["sent"] for each in snapshots] for snapshots in taken] == [[500]] * 100
