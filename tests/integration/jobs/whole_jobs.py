"""Run lanes in this process: one of them, or all of a job until it has ended. Count what became of the emails."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable

from django.db import connection

from batches.jobs import creation
from batches.jobs.run_lane import run_lane
from batches.models import Batch, Email, EmailJob, EmailStatus, EmailTemplate, JobKind, Lane
from tests.smtpserver import RunningServer

JOB_SECONDS = 20.0


def run_to_end(job: EmailJob) -> EmailJob:
    """Run the lanes of a job one after another until it has ended."""
    deadline = time.monotonic() + JOB_SECONDS
    while job.completed_at is None:
        assert time.monotonic() < deadline, "the job did not end"
        for lane in job.lanes.order_by("number"):
            run(lane)
        job.refresh_from_db()
    return job


def replay(batch: Batch, which: JobKind = JobKind.ALL, *, include_unknown: bool = False) -> EmailJob:
    return creation.replay_batch(batch, which=which, user=None, include_unknown=include_unknown)


def start(batch: Batch, template: EmailTemplate) -> tuple[EmailJob, Lane]:
    job = creation.create_job(batch, template=template, user=None)
    return job, job.lanes.get(number=0)


def run(lane: Lane) -> str:
    return run_lane(lane_id=lane.pk)


def statuses(batch: Batch) -> Counter[str]:
    return Counter(Email.objects.filter(batch=batch).values_list("status", flat=True))


def accepted(relay: RunningServer, batch: Batch) -> Counter[str]:
    wanted = set(Email.objects.filter(batch=batch).values_list("address", flat=True))
    return Counter(entry.recipient for entry in relay.accepted() if entry.recipient in wanted)


def wait_for(condition: Callable[[], object], seconds: float = 10) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "the condition did not come true"
        time.sleep(0.01)


def wait_for_sent(batch: Batch, count: int) -> None:
    wait_for(lambda: statuses(batch)[EmailStatus.SENT] >= count)


def run_while(lane: Lane, action: Callable[[], object]) -> str:
    """Run the lane in this thread, the main one, as a work-horse does; and an action at the same time in another."""
    errors: list[BaseException] = []

    def work() -> None:
        try:
            action()
        except BaseException as exc:
            errors.append(exc)
        finally:
            connection.close()

    thread = threading.Thread(target=work)
    thread.start()
    end = run(lane)
    thread.join(timeout=20)
    assert not errors, errors
    return end
