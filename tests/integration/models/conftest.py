"""Batches that are large enough for the planner to prefer the right index."""

from __future__ import annotations

import pytest
from django.db import connection

from batches.models import Batch, BatchStatus, JobStatus, Lane
from tests.conftest import MakeBatch, MakeJob

ROWS = 20_000


@pytest.fixture
def large_batch(make_batch: MakeBatch, make_job: MakeJob) -> Batch:
    """A batch of 20,000 untried emails, whose two lanes have claimed 128 each. The table holds another such batch."""
    batches = [make_batch(BatchStatus.PROCESSING) for _ in range(2)]
    with connection.cursor() as cursor:
        for batch in batches:
            cursor.execute(
                "INSERT INTO batches_email (batch_id, row, address, fields)"
                " SELECT %s, row, 'p' || row || '@example.org', '[]' FROM generate_series(1, %s) AS row",
                [batch.pk, ROWS],
            )
        cursor.execute("ANALYZE batches_email")
    for batch in batches:
        job = make_job(batch, JobStatus.PROCESSING)
        for number, first in enumerate((1, ROWS // 2 + 1)):
            Lane.objects.create(job=job, number=number, claimed_rows=list(range(first, first + 128)))
    return batches[0]
