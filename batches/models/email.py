"""An Email is one recipient of a batch with its one true state; an Attempt is one try at it."""

from __future__ import annotations

from typing import Self, cast

from django.db import models
from django.db.models.functions import Now

from batches.models import sql
from batches.models.batch import Batch
from batches.models.choices import EmailStatus
from batches.models.job import Lane
from batches.outcomes import Outcome


class EmailQuerySet(models.QuerySet["Email"]):
    """Emails with their state: the status as people see it.

    The two differ in one case. A first attempt is claimed by its lane's row alone (docs/decisions/0015), so the row of
    an email in its first attempt says ``pending``, and its state is ``sending``. The SQL of the send path has the same
    predicate, ``is_in_flight`` in ``sql/parts.sql``.
    """

    def with_state(self) -> Self:
        """Annotate each email with ``state``, an ``EmailStatus``.

        Costs an index lookup for each untried email that is read, so read a page and not a batch.
        """
        in_flight = models.When(_IS_UNTRIED & _is_claimed(), then=models.Value(EmailStatus.SENDING.value))
        return self.annotate(state=models.Case(in_flight, default=models.F("status")))

    def in_state(self, state: str) -> Self:
        """Filter by what ``with_state`` shows.

        The emails in state ``sending`` are found through the rows that the lanes have claimed: no index holds the
        status, so a search for it would read the whole batch.
        """
        if state == EmailStatus.SENDING:
            keys = f"(batches_email.batch_id, batches_email.row) IN ({sql.CLAIMED_ROWS})"
            claimed = self.extra(where=[keys])  # noqa: S610  (a constant)
            return cast(Self, claimed).filter(_IS_UNTRIED | models.Q(status=EmailStatus.SENDING))
        if state == EmailStatus.PENDING:
            return self.filter(status=state).exclude(_IS_UNTRIED & _is_claimed())
        return self.filter(status=state)


_IS_UNTRIED = models.Q(status=EmailStatus.PENDING, next_attempt_at=None)


def _is_claimed() -> models.Exists:
    """Whether a lane of the batch's live job has claimed the email's row."""
    rows = [models.OuterRef("row")]
    lanes = Lane.objects.filter(
        job__batch=models.OuterRef("batch"), job__completed_at=None, claimed_rows__contains=rows
    )
    return models.Exists(lanes)


class Email(models.Model):
    """One recipient of a batch.

    The status goes ``pending -> sending -> sent | failed | unknown``, back to ``pending`` for a retry, or
    ``pending -> suppressed | cancelled``. Only the statements of ``models.sql`` change it while a job is live.
    """

    state: str
    """The status as people see it. Only emails that were read with ``with_state()`` have it."""

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

    objects = EmailQuerySet.as_manager()

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
