"""End the emails to one person that are still to be sent, and wait for those that are on their way.

The emails of one batch enter. They have ended when this returns: as suppressed, or as the relay's reply to an email in
flight says. The address is on the suppression list before, so no lane claims another email to it.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from django.db import transaction
from django.db.models import F

from batches import progress
from batches.jobs import lifecycle
from batches.models import Batch, Email, EmailJob, EmailStatus, Lane
from batches.people import sql
from batches.suppressions import SUPPRESSED_REPLY

POLL_SECONDS = 0.1

HEARTBEATS = 2
"""After how many heartbeats of a lane its claims are known: the first may end a cycle that began before the change."""


class StillSending(Exception):
    """An email to the person was still in flight when the time was over."""


@dataclass(kw_only=True, slots=True)
class _Lanes:
    """What was seen of the leased lanes of a job since the emails were emptied."""

    heartbeats: dict[int, set[datetime]] = field(default_factory=dict)

    def are_done(self, job: EmailJob, rows: Sequence[int]) -> bool:
        """Whether no lane has one of these rows in flight, or can have claimed it with the address."""
        now = sql.fetch(sql.LANES_NOW, {"job": job.pk, "rows": list(rows)})
        for lane in now:
            self.heartbeats.setdefault(lane.id, set()).add(lane.heartbeat_at)
        # The first that was seen is from before.
        return not any(lane.is_sending or len(self.heartbeats[lane.id]) <= HEARTBEATS for lane in now)


def end_pending(batch_id: int, email_ids: Sequence[int], *, blank: Sequence[str], wait_seconds: float) -> None:
    """End the pending emails of a live job, and wait for those in flight. Does nothing if no job is live.

    Args:
        blank: what an emptied email has in place of its cells.
        wait_seconds: how long to wait for the emails in flight.

    Raises:
        StillSending: the time is over. Call it again.
    """
    deadline = time.monotonic() + wait_seconds
    lanes = _Lanes()
    ended = emptied = False
    while True:
        job = EmailJob.objects.filter(batch=batch_id, completed_at=None).first()
        if job is None:
            break
        rows = _change(job, email_ids, blank=blank)
        ended, emptied = True, emptied or bool(rows)
        if not _is_open(email_ids) and (not emptied or lanes.are_done(job, _rows_of(email_ids))):
            break
        if time.monotonic() > deadline:
            raise StillSending(f"An email to this person in batch {batch_id} is on its way.")
        time.sleep(POLL_SECONDS)
    if ended:
        progress.publish(batch_id)
        if job is not None:
            lifecycle.finish_job(job.pk)


def _change(job: EmailJob, email_ids: Sequence[int], *, blank: Sequence[str]) -> list[sql.EmptiedRow]:
    """End the emails that no lane can have claimed, and empty the others.

    The locks are taken in the order job, batch, lanes.
    """
    values: dict[str, object] = {"job": job.pk, "emails": list(email_ids), "blank": json.dumps(list(blank))}
    with transaction.atomic():
        if not EmailJob.objects.select_for_update().filter(pk=job.pk, completed_at=None).exists():
            return []
        batch = Batch.objects.select_for_update().get(pk=job.batch_id)
        lanes = sql.fetch(sql.LOCK_LANES, values)
        values |= {"is_leased": any(lane.is_leased for lane in lanes), "reply": SUPPRESSED_REPLY}
        ended = sql.fetch(sql.END_PENDING, values)
        sent_count = sum(email.was_sent for email in ended)
        # The counts of a live job are those of its batch and of its lanes. Each change of an email changes one of them.
        Batch.objects.filter(pk=batch.pk).update(suppressed_count=F("suppressed_count") + len(ended) - sent_count)
        if sent_count:
            Lane.objects.filter(pk=lanes[0].id).update(resent_count=F("resent_count") + sent_count)
        return sql.fetch(sql.EMPTY_UNTRIED, values)


def _is_open(email_ids: Sequence[int]) -> bool:
    """Whether an email is in flight in its own row, or still has its address to be sent to."""
    emails = Email.objects.filter(pk__in=email_ids)
    is_sending = emails.filter(status=EmailStatus.SENDING)
    return is_sending.exists() or emails.filter(status=EmailStatus.PENDING).exclude(address="").exists()


def _rows_of(email_ids: Sequence[int]) -> list[int]:
    return list(Email.objects.filter(pk__in=email_ids).values_list("row", flat=True))
