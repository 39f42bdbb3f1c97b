"""Follow a job to its end on a terminal, and report the result. Reads only PostgreSQL.

A job enters. A sentence or one JSON object leaves on standard output, and the progress on standard error.
"""

from __future__ import annotations

import json
import time

from django.contrib.auth.models import User
from django.core.management.base import CommandError, CommandParser, OutputWrapper
from django.db import OperationalError, connection

from batches.jobs.queues import fleet_status
from batches.management.terminal import ProgressLine, without_style
from batches.models import BatchStatus, EmailJob, JobStatus
from batches.progress import name_counts, read_job_counts, read_snapshot
from batches.wording import say_why_waiting

POLL_SECONDS = 0.3
AWAY_SECONDS = 60
"""How long PostgreSQL may be away before the command gives up."""


def add_approver(parser: CommandParser) -> None:
    """Add the option that names who has approved a send for more recipients than APPROVAL_ABOVE."""
    parser.add_argument(
        "--approved-by", metavar="U", help="The user who has approved it, if so many recipients need a second person."
    )


def find_approver(username: str | None) -> User | None:
    """Find the user of --approved-by. ``creation`` checks that the user may approve.

    Raises:
        CommandError: There is no such user.
    """
    if username is None:
        return None
    user = User.objects.filter(username=username).first()
    if user is None:
        raise CommandError(f"There is no user '{username}'. See the users at /admin/auth/user/.")
    return user


def add_arguments(parser: CommandParser) -> None:
    parser.add_argument("--wait", action="store_true", help="Wait until the job has ended, with a progress bar.")
    parser.add_argument("--json", action="store_true", help="Print one JSON object at the end, and nothing else.")


def report(job: EmailJob, *, wait: bool, as_json: bool, stdout: OutputWrapper, stderr: OutputWrapper) -> None:
    """Wait for the job with ``wait``, then print the result as a sentence or as JSON.

    Raises:
        CommandError: With ``wait``, the job has ended and not every email of it is sent.
    """
    if wait:
        job = wait_for_end(job, stderr=stderr)
    elif not fleet_status().workers:
        stderr.write("No worker is running. Start one to send: manage.py rqworker high default.", without_style)
    stdout.write(json.dumps(describe(job)) if as_json else say(job))
    if wait and not is_all_sent(job):
        raise CommandError(
            f"Only {job.sent_count:,} of {job.total_count:,} emails of batch {job.batch_id} are sent. "
            f"Send those that failed again with 'manage.py replaybatch {job.batch_id} --failed'."
        )


def wait_for_end(job: EmailJob, *, stderr: OutputWrapper) -> EmailJob:
    """Block until the job has ended, and return the ended job. Ctrl-C ends the command, not the job.

    Raises:
        CommandError: A person pressed Ctrl-C, PostgreSQL stayed away, or the batch was deleted.
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
    """Read the job, and show its progress and what delays it."""
    try:
        current, now = EmailJob.objects.filter(pk=job.pk).first(), read_snapshot(job.batch_id)
    except OperationalError:
        _await_database(line)
        return job
    if current is None or now is None:
        raise CommandError(f"Batch {job.batch_id} was deleted, so there is nothing to wait for.")
    if current.completed_at is None:
        line.say(now["waitingFor"] or say_why_waiting(BatchStatus(now["status"]), fleet_status()))
    line.draw(now)
    return current


def _await_database(line: ProgressLine) -> None:
    line.say("PostgreSQL can't be reached. The command waits for it; no email is lost.")
    deadline = time.monotonic() + AWAY_SECONDS
    while True:
        connection.close()
        try:
            connection.ensure_connection()
            return
        except OperationalError as exc:
            if time.monotonic() > deadline:
                raise CommandError("PostgreSQL can't be reached. Start it, then see the batch at /batches/.") from exc
        time.sleep(POLL_SECONDS)


def is_all_sent(job: EmailJob) -> bool:
    return job.status == JobStatus.COMPLETED and job.sent_count == job.total_count


def describe(job: EmailJob) -> dict[str, object]:
    """Describe the job for a program: with its own counts, and the number of unknown emails in its batch."""
    snapshot = read_snapshot(job.batch_id)
    assert snapshot is not None  # noqa: S101  (a job's batch exists)
    counts = read_job_counts(job)
    return {
        "batchId": job.batch_id,
        "jobId": job.pk,
        "status": job.status.upper(),
        "totalCount": job.total_count,
        "sentCount": counts.sent,
        "failedCount": counts.failed,
        "unknownCount": name_counts(snapshot)["unknownCount"],
        "rejectedRows": job.batch.rejected_count,
        "duplicateRows": job.batch.duplicate_count,
        "lastError": job.last_error,
    }


def say(job: EmailJob) -> str:
    """Describe the job for a person, in one sentence."""
    what = f"Batch {job.batch_id}, job {job.pk}"
    if job.completed_at is None:
        return f"{what}: {job.total_count:,} emails are {JobStatus(job.status).label.lower()}."
    return (
        f"{what} {JobStatus(job.status).label.lower()}: {job.sent_count:,} of {job.total_count:,} emails sent, "
        f"{job.failed_count:,} failed."
    )
