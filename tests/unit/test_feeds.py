"""Which finish time a feed keeps when snapshots come from lanes, which publish counts alone, and from PostgreSQL."""

from __future__ import annotations

import pytest

from batches.feeds import Feed
from batches.models import BatchStatus
from batches.progress import Snapshot
from batches.waiting import NOT_KNOWN_WHILE_REFUSED

FINISH: dict[str, str | None] = {"doneAt": "2026-11-26T20:25:00+00:00", "finish": "Done at about 20:25."}
NONE: dict[str, str | None] = {"doneAt": None, "finish": ""}
REFUSED: dict[str, str | None] = {"doneAt": None, "finish": NOT_KNOWN_WHILE_REFUSED}
NEAR: dict[str, str | None] = {"doneAt": "2026-11-26T18:25:00+00:00", "finish": ""}


def snapshot(status: BatchStatus, sequence: int, finish: dict[str, str | None]) -> Snapshot:
    return Snapshot(batchId=1, status=status, sequence=sequence, **finish)  # type: ignore[typeddict-item, no-any-return]


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
