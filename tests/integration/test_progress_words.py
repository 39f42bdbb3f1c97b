"""What a snapshot says while the counts at the end of a large batch are made."""

from __future__ import annotations

import pytest

from batches.models import Batch, BatchStatus, JobStatus
from batches.progress import LONG_COUNT, read_snapshot
from batches.waiting import COUNTING
from tests.conftest import MakeBatch, MakeJob


@pytest.mark.parametrize(("done", "words"), [(LONG_COUNT, COUNTING), (LONG_COUNT - 1, None)])
def test_batch_says_that_it_is_counted_when_every_email_of_many_is_done(
    make_batch: MakeBatch, make_job: MakeJob, done: int, words: str | None
) -> None:
    batch = make_batch(BatchStatus.PROCESSING)
    make_job(batch, JobStatus.PROCESSING)
    Batch.objects.filter(pk=batch.pk).update(total_count=LONG_COUNT, sent_count=done)
    snapshot = read_snapshot(batch.pk)
    assert snapshot is not None and snapshot["waitingFor"] == words
