"""An Email is one recipient of a batch with its one true state; an Attempt is one try at it."""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Now

from batches.models.batch import Batch
from batches.models.choices import EmailStatus
from batches.models.job import Lane
from batches.outcomes import Outcome


class Email(models.Model):
    """One recipient of a batch.

    ``pending -> sending -> sent | failed | unknown``, back to ``pending`` for a retry, and
    ``pending -> suppressed | cancelled``. Only the named SQL of ``models.sql`` changes a state. A first try is
    ``sending`` by its lane's claims alone (docs/decisions/0015): ask ``models.claims`` what to show.
    """

    batch = models.ForeignKey(Batch, on_delete=models.CASCADE, related_name="emails", db_index=False)
    row = models.PositiveIntegerField(help_text="The line of the file, or the place in the list, from 1.")
    address = models.CharField(max_length=320)
    fields = models.JSONField(
        db_default=models.Value([], models.JSONField()),
        default=list,
        help_text="The cells, strings, in the order of the batch's merge fields.",
    )
    status = models.CharField(
        max_length=16, choices=EmailStatus, default=EmailStatus.PENDING, db_default=EmailStatus.PENDING
    )
    attempts = models.PositiveSmallIntegerField(
        default=0,
        db_default=0,
        help_text="Tries so far; one at which its worker died counts, so a message that kills ends.",
    )
    next_attempt_at = models.DateTimeField(
        null=True, blank=True, help_text="When a retry is due; empty before the first try and in the end."
    )
    # No constraint in the database for this key and Attempt's two: their checks took a fifth of Postgres' time
    # for an email, and only LEDGER_CYCLE and REAP_LANE write them, from rows that they hold locked.
    lane = models.ForeignKey(
        Lane, on_delete=models.SET_NULL, null=True, blank=True, db_index=False, db_constraint=False
    )
    code = models.PositiveSmallIntegerField(null=True, blank=True, help_text="The relay's last reply code.")
    reply = models.TextField(default="", db_default="", blank=True, help_text="The relay's last reply, or why not.")
    completed_at = models.DateTimeField(null=True, blank=True, help_text="When the terminal state was recorded.")

    class Meta:
        # No index holds the status or another column that a send changes: so an email's UPDATE writes no
        # index entry (docs/decisions/0014). The first tries are found by (batch, row).
        indexes = [
            models.Index(
                "batch",
                "next_attempt_at",
                "id",
                name="email_retry",
                condition=models.Q(next_attempt_at__isnull=False),
            ),
        ]
        constraints = [
            models.CheckConstraint(condition=models.Q(status__in=EmailStatus.values), name="email_status_known"),
            models.UniqueConstraint(fields=["batch", "row"], name="email_row_once"),
        ]

    def __str__(self) -> str:
        return self.address


class Attempt(models.Model):
    """One try at delivering one email: outcome, SMTP code and reply, when, through which relay.

    Written by the statement that ends the email's being sent, so once a claim, even where a commit's reply is lost.
    """

    pk = models.CompositePrimaryKey("email_id", "lane_id", "number")
    email = models.ForeignKey(
        Email, on_delete=models.CASCADE, related_name="tries", db_index=False, db_constraint=False
    )
    lane = models.ForeignKey(Lane, on_delete=models.CASCADE, related_name="tries", db_index=False, db_constraint=False)
    number = models.PositiveSmallIntegerField()
    outcome = models.CharField(max_length=16, choices=Outcome)
    code = models.PositiveSmallIntegerField(null=True, blank=True)
    reply = models.TextField(blank=True)
    relay = models.CharField(max_length=255, blank=True)
    at = models.DateTimeField(db_default=Now())

    def __str__(self) -> str:
        return f"attempt {self.number} at email {self.email_id}: {self.outcome}"
