"""Follow a job to its end on a terminal, and say at the end what became of it. Reads Postgres only."""

from __future__ import annotations

import json
import time

from django.core.management.base import CommandError, CommandParser, OutputWrapper

from batches.jobs.queues import fleet_status
from batches.models import EmailJob, JobStatus
from batches.progress import Snapshot, read_snapshot

POLL_SECONDS = 0.3
BAR_CELLS = 30


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
        stderr.write("No worker is running: it is sent when one starts (manage.py rqworker high default).", _plain)
    stdout.write(json.dumps(describe(job)) if as_json else say(job))
    if wait and not is_all_sent(job):
        raise CommandError(
            f"Not everybody got it: {job.sent_count:,} of {job.total_count:,} emails of batch {job.batch_id} are sent. "
            f"Send the rest again with 'manage.py replaybatch {job.batch_id} --failed'."
        )


def wait_for_end(job: EmailJob, *, stderr: OutputWrapper) -> EmailJob:
    """Block until the job has ended, and return it as it ended. Ctrl-C ends the waiting, not the job."""
    try:
        while job.completed_at is None:
            _draw(read_snapshot(job.batch_id), stderr)
            time.sleep(POLL_SECONDS)
            job = EmailJob.objects.get(pk=job.pk)
    except KeyboardInterrupt:
        raise CommandError(f"Stopped waiting. Batch {job.batch_id} goes on by itself.") from None
    _draw(read_snapshot(job.batch_id), stderr)
    if stderr.isatty():
        stderr.write("")
    return job


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


def _draw(snapshot: Snapshot | None, stderr: OutputWrapper) -> None:
    """One line that is written over; nothing where it could not be."""
    if snapshot is None or not stderr.isatty():
        return
    share = snapshot["processed"] / max(1, snapshot["total"])
    bar = "#" * int(share * BAR_CELLS)
    line = f"[{bar:<{BAR_CELLS}}] {share:4.0%}  {snapshot['processed']:,} of {snapshot['total']:,}"
    if snapshot["ratePerSecond"]:
        line += f"  {snapshot['ratePerSecond']:,.0f} a second"
    stderr.write(f"\r{line}\x1b[K", _plain, ending="")
    stderr.flush()


def _plain(text: str) -> str:
    """In place of the red of errors."""
    return text
