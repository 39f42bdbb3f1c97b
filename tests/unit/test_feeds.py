"""A feed: which finish time it keeps when snapshots come from lanes, which publish counts alone, and from PostgreSQL,
and how much it does for many watchers.
"""

from __future__ import annotations

import pytest

from batches.feeds import Feed, Watcher, fetch_seconds, interval_seconds
from batches.models import BatchStatus
from batches.progress import Snapshot
from batches.waiting import NOT_KNOWN_WHILE_REFUSED

FINISH: dict[str, str | None] = {"doneAt": "2026-11-26T20:25:00+00:00", "finish": "Done at about 20:25."}
NONE: dict[str, str | None] = {"doneAt": None, "finish": ""}
REFUSED: dict[str, str | None] = {"doneAt": None, "finish": NOT_KNOWN_WHILE_REFUSED}
NEAR: dict[str, str | None] = {"doneAt": "2026-11-26T18:25:00+00:00", "finish": ""}


def snapshot(status: BatchStatus, sequence: int, finish: dict[str, str | None]) -> Snapshot:
    return Snapshot(batchId=1, status=status, sequence=sequence, moments=[], **finish)  # type: ignore[typeddict-item, no-any-return]


@pytest.mark.parametrize(
    ("before", "after", "read", "shown"),
    [
        (BatchStatus.PROCESSING, BatchStatus.PROCESSING, NONE, FINISH),
        (BatchStatus.PENDING, BatchStatus.PROCESSING, NONE, FINISH),
        (BatchStatus.PROCESSING, BatchStatus.PROCESSING, REFUSED, REFUSED),
        (BatchStatus.PROCESSING, BatchStatus.PROCESSING, NEAR, NEAR),
        (BatchStatus.PROCESSING, BatchStatus.PAUSED, NONE, NONE),
        (BatchStatus.PAUSED, BatchStatus.PROCESSING, NONE, NONE),
        (BatchStatus.PROCESSING, BatchStatus.COMPLETED, NONE, NONE),
    ],
)
def test_finish_time_stays_until_another_is_known_or_the_batch_stops(
    before: BatchStatus, after: BatchStatus, read: dict[str, str | None], shown: dict[str, str | None]
) -> None:
    feed = Feed("group", lambda: {})
    feed._take(snapshot(before, 1, FINISH))
    feed._take(snapshot(after, 2, read))
    assert {key: dict(feed.snapshots[1])[key] for key in shown} == shown


@pytest.mark.parametrize(
    ("watchers", "interval", "fetch"), [(1, 0.2, 3.0), (100, 0.2, 20.0), (500, 1.0, 100.0), (100_000, 2.0, 120.0)]
)
def test_watchers_wait_longer_when_they_are_many(watchers: int, interval: float, fetch: float) -> None:
    assert (interval_seconds(watchers), fetch_seconds(watchers)) == (interval, fetch)


async def test_message_is_made_once_for_all_who_read_a_language() -> None:
    feed = Feed("group", lambda: {})
    feed._take(Snapshot(**{**snapshot(BatchStatus.PROCESSING, 1, NONE), "waitingFor": None}))
    first, second = Watcher(feed), Watcher(feed)
    [seen] = await first.next_snapshots(timeout_seconds=1)
    text = first.write(seen, "en")
    assert '"fetchWithinSeconds": 3.0' in text
    assert second.write(seen, "en") is text
    assert second.write(seen, "de") is not text
    feed._take(Snapshot(**{**seen, "sequence": 2, "sent": 1}))
    [newer] = await first.next_snapshots(timeout_seconds=1)
    assert first.write(newer, "en") != text


async def test_watcher_gets_nothing_again_when_only_the_sequence_number_changed() -> None:
    feed = Feed("group", lambda: {})
    watcher = Watcher(feed)
    feed._take(snapshot(BatchStatus.PROCESSING, 1, NONE))
    assert len(await watcher.next_snapshots(timeout_seconds=1)) == 1
    feed._take(snapshot(BatchStatus.PROCESSING, 2, NONE))
    assert await watcher.next_snapshots(timeout_seconds=0.01) == []
