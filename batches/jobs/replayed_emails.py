"""The emails that a replay sends: find them, and make them pending again. Below ``opening``, which opens the job.

A batch enters, with the statuses of the emails or a chosen group of failures. A queryset leaves, or how many emails are
pending again.
"""

from __future__ import annotations

from collections.abc import Sequence

from django.db import connection
from django.db.models import Exists, OuterRef, Q
from django.db.models.functions import Coalesce, Now

from batches import suppressions
from batches.jobs.failure_groups import FailureChoice, filter_chosen
from batches.models import Attempt, Batch, Email, EmailQuerySet, EmailStatus, sql
from batches.outcomes import Outcome


def reset_sent(batch: Batch, *, topic_id: int | None) -> int:
    """Make the sent emails of a batch pending, and return how many. Needs the batch's row locked.

    Those that are suppressed now stay as they are: sent.

    Each keeps in ``sent_before_at`` that it was sent, and its Attempt keeps the reply. At the end of the job,
    ``lifecycle.finish_job`` sets the status to sent for those that it did not send.
    """
    with connection.cursor() as cursor:
        cursor.execute(sql.ADD_MISSING_ATTEMPTS, {"batch": batch.pk})
    suppressed = suppressions.in_force(topic_id).filter(digest=OuterRef("address_digest"))
    return (
        sent_emails(batch)
        .filter(~Exists(suppressed))
        .update(
            status=EmailStatus.PENDING,
            attempts=0,
            next_attempt_at=None,
            relay=None,
            sent_before_at=Coalesce("completed_at", Now()),
        )
    )


def reset_unsent(unsent: EmailQuerySet) -> int:
    """Make emails pending that were not sent, and return how many."""
    return unsent.update(
        status=EmailStatus.PENDING,
        attempts=0,
        next_attempt_at=None,
        completed_at=None,
        code=None,
        reply="",
        relay=None,
    )


def sent_emails(batch: Batch) -> EmailQuerySet:
    return Email.objects.filter(~Q(address=""), batch=batch, status=EmailStatus.SENT)


def unsent_emails(batch: Batch, statuses: Sequence[EmailStatus], failure: FailureChoice | None = None) -> EmailQuerySet:
    """Filter by status, and by a chosen group of failures, and leave out the emails that were sent.

    No email with another status than sent has an Attempt that was sent. It is looked up, because this is where
    somebody would get the mail twice.
    """
    sent = Attempt.objects.filter(email=OuterRef("pk"), outcome=Outcome.SENT)
    unsent = [status for status in statuses if status != EmailStatus.SENT]
    emails = Email.objects.filter(~Exists(sent), ~Q(address=""), batch=batch, status__in=unsent)
    return emails if failure is None else filter_chosen(emails, batch, failure)
