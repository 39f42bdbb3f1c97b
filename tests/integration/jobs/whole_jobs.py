"""Run the lanes of a job in this process until it has ended, and replay a batch."""

from __future__ import annotations

import time

from batches.jobs import creation
from batches.jobs.run_lane import run_lane
from batches.models import Batch, EmailJob, JobKind

JOB_SECONDS = 20.0


def run_to_end(job: EmailJob) -> EmailJob:
    """Run the lanes of a job one after another until it has ended."""
    deadline = time.monotonic() + JOB_SECONDS
    while job.completed_at is None:
        assert time.monotonic() < deadline, "the job did not end"
        for lane in job.lanes.order_by("number"):
            run_lane(lane_id=lane.pk)
        job.refresh_from_db()
    return job


def replay(batch: Batch, which: JobKind = JobKind.ALL, *, include_unknown: bool = False) -> EmailJob:
    return creation.replay_batch(batch, which=which, user=None, include_unknown=include_unknown)
