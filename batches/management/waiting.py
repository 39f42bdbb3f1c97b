"""Follow a job to its end on a terminal, and say at the end what became of it. Reads Postgres only."""

from __future__ import annotations

import json
import time

from django.core.management.base import CommandError, CommandParser, OutputWrapper
from django.db import OperationalError, connection

from batches.jobs.queues import fleet_status
from batches.management.terminal import ProgressLine, as_it_is
from batches.models import BatchStatus, EmailJob, JobStatus
from batches.progress import read_snapshot
from batches.wording import say_relay_error, say_why_waiting

POLL_SECONDS = 0.3
AWAY_SECONDS = 60
"""How long PostgreSQL may be away before the waiting is given up."""


def add_arguments(parser: CommandParser) -> None:
    parser.add_argument("--wait", action="store_true", help="Wait for the end, with a progress bar on a terminal.")
    parser.add_argument("--json", action="store_true", help="Print one JSON object at the end, and nothing else.")


def report(job: EmailJob, *, wait: bool, as_json: bool, stdout: OutputWrapper, stderr: OutputWrapper) -> None:
    """Wait if that is asked, then print the outcome as a sentence or as JSON.

    Raises:
        CommandError: it was waited for, and not every recipient got the mail.
    """
    if wait:
        job = wait_for_end(job, stderr=stderr)
    elif not fleet_status().workers:
        stderr.write("No worker is running: it is sent when one starts (manage.py rqworker high default).", as_it_is)
    stdout.write(json.dumps(describe(job)) if as_json else say(job))
    if wait and not is_all_sent(job):
        raise CommandError(
            f"Not everybody got it: {job.sent_count:,} of {job.total_count:,} emails of batch {job.batch_id} are sent. "
            f"Send the rest again with 'manage.py replaybatch {job.batch_id} --failed'."
        )


def wait_for_end(job: EmailJob, *, stderr: OutputWrapper) -> EmailJob:
    """Block until the job has ended, and return it as it ended. Ctrl-C ends the waiting, not the job.

    Raises:
        CommandError: the waiting was ended, by a person or because PostgreSQL stayed away.
    """
    line = ProgressLine(stderr)
    try:
        while (job := _look(job, line)).completed_at is None:
            time.sleep(POLL_SECONDS)
        return job
    except KeyboardInterrupt:
        raise CommandError(f"Stopped waiting. Batch {job.batch_id} goes on by itself.") from None
    finally:
        line.close()


def _look(job: EmailJob, line: ProgressLine) -> EmailJob:
    """Read how far the job is and show it, and what keeps it from going on."""
    try:
        fresh, now = EmailJob.objects.filter(pk=job.pk).first(), read_snapshot(job.batch_id)
    except OperationalError:
        _await_database(line)
        return job
    if fresh is None or now is None:
        raise CommandError(f"Batch {job.batch_id} was deleted, so there is nothing to wait for.")
    if fresh.completed_at is None:
        line.say(say_relay_error(fresh.last_error) or say_why_waiting(BatchStatus(now["status"]), fleet_status()))
    line.draw(now)
    return fresh


def _await_database(line: ProgressLine) -> None:
    line.say("PostgreSQL can't be reached. Waiting for it; nothing is lost.")
    deadline = time.monotonic() + AWAY_SECONDS
    while True:
        connection.close()
        try:
            connection.ensure_connection()
            return
        except OperationalError as exc:
            if time.monotonic() > deadline:
                raise CommandError(
                    "PostgreSQL can't be reached. Start it, and see how far it is at /batches/."
                ) from exc
        time.sleep(POLL_SECONDS)


def is_all_sent(job: EmailJob) -> bool:
    return job.status == JobStatus.COMPLETED and job.sent_count == job.total_count


def describe(job: EmailJob) -> dict[str, object]:
    """The outcome for a program; the counts of the job are true once it has ended."""
    snapshot = read_snapshot(job.batch_id)
    assert snapshot is not None  # noqa: S101  (a job's batch exists)
    return {
        "batchId": job.batch_id,
        "jobId": job.pk,
        "status": job.status.upper(),
        "totalCount": job.total_count,
        "sentCount": snapshot["sent"] if job.completed_at is None else job.sent_count,
        "failedCount": snapshot["failed"] if job.completed_at is None else job.failed_count,
        "unknownCount": snapshot["unknown"],
        "rejectedRows": job.batch.rejected_count,
        "duplicateRows": job.batch.duplicate_count,
        "lastError": job.last_error,
    }


def say(job: EmailJob) -> str:
    what = f"Batch {job.batch_id}, job {job.pk}"
    if job.completed_at is None:
        return f"{what}: {job.total_count:,} emails are {JobStatus(job.status).label.lower()}."
    return (
        f"{what} {JobStatus(job.status).label.lower()}: {job.sent_count:,} of {job.total_count:,} emails sent, "
        f"{job.failed_count:,} failed."
    )
