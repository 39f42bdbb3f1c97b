"""Learn from the refusals of a job's session what the returns teach too: which addresses are gone, or full.

A relay that delivers to mailboxes itself, or asks their servers at once, refuses in the session what another relay
sends back hours later. Such an email has failed and did not come back, so it counts nowhere else.
"""

from __future__ import annotations

from batches.models import EmailJob, EmailStatus, Return, ReturnClass, ReturnKind, Suppression, SuppressionReason
from batches.returns import sql
from batches.returns.classes import classify, find_status
from batches.returns.events import ReturnEvent, make_key
from batches.returns.matching import Match, Matched
from batches.returns.recording import EVENTS_MAX, Found, Recorded, record_found
from batches.returns.thresholds import GONE_SOURCES
from batches.suppressions import find_digest

DOOR = "session"

REFUSALS_MAX = 20_000
"""So many refusals are read of a job: its row is locked meanwhile, and the sweep waits for it."""


def record_refusals(job: EmailJob) -> Recorded:
    """Record the emails of an ending job whose refusals say that the address is gone, or its mailbox full.

    In the caller's transaction, so that a job has ended only if that was done. Reads the emails of the batch, so call
    it only if some have failed. Needs the job's row locked.
    """
    rows = sql.fetch(sql.REFUSED_EMAILS, {"batch": job.batch_id, "job": job.pk, "limit": REFUSALS_MAX})
    found = [each for row in rows if (each := _read(row, job)) is not None]
    recorded = Recorded()
    for first in range(0, len(found), EVENTS_MAX):
        recorded.add(record_found(found[first : first + EVENTS_MAX]))
    return recorded


def forgive_refusals(batch_id: int) -> int:
    """Take those off the suppression list whom the refusals of this batch have put there, and return how many.

    A replay of the failed is a person's word that they be attempted again: perhaps the refusal was the mail server's
    fault. If it refuses them again, they are suppressed again. In the caller's transaction.
    """
    refused = Return.objects.filter(
        batch=batch_id,
        kind=ReturnKind.REFUSED,
        return_class=ReturnClass.GONE,
        address_digest__isnull=False,
        email__status=EmailStatus.FAILED,
    )
    source, reason = GONE_SOURCES[ReturnKind.REFUSED], SuppressionReason.BOUNCED
    deleted, _ = Suppression.objects.filter(
        digest__in=refused.values("address_digest"), topic=None, reason=reason, source=source
    ).delete()
    return deleted


def _read(row: sql.RefusedEmail, job: EmailJob) -> Found | None:
    text = f"{row.code} {row.reply}"
    return_class = classify("", text)
    if return_class not in (ReturnClass.GONE, ReturnClass.FULL):
        return None
    event = ReturnEvent(
        kind=ReturnKind.REFUSED,
        return_class=return_class,
        door=DOOR,
        key=make_key(DOOR, str(row.email_id), str(job.pk)),
        recipient=row.address,
        status_code=find_status(text),
        text=row.reply,
        happened_at=row.completed_at,
    )
    digest = bytes(row.address_digest) if row.address_digest else find_digest(row.address)
    match = Match(
        email_id=row.email_id,
        batch_id=job.batch_id,
        digest=digest,
        domain=row.address.rpartition("@")[2].lower(),
        address=row.address,
        row=row.row,
        by=Matched.SESSION,
    )
    return Found(event.clean(), match)
