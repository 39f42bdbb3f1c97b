"""An Email is one recipient of a batch, with its one true status. An Attempt is one effort to deliver it."""

from __future__ import annotations

from typing import Self, cast

from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from batches.models import sql
from batches.models.batch import Batch
from batches.models.choices import EmailStatus
from batches.models.job import Lane
from batches.outcomes import Outcome


class EmailQuerySet(models.QuerySet["Email"]):
    """Emails with their state: the status as people see it.

    The two differ in two cases. A first attempt is claimed by its lane's row alone (docs/decisions/0015), so the row of
    an email in its first attempt says ``pending``, and its state is ``sending``. The SQL of the send path has the same
    predicate, ``is_in_flight`` in ``sql/parts.sql``. And an email that an earlier job sent stays in state ``sent``,
    whatever a replay of all does with it (docs/decisions/0029).
    """

    def with_state(self) -> Self:
        """Annotate each email with ``state``, an ``EmailStatus``.

        Costs an index lookup for each untried email that is read, so read a page and not a batch.
        """
        was_sent = models.When(WAS_SENT, then=models.Value(EmailStatus.SENT.value))
        in_flight = models.When(_IS_UNTRIED & _is_claimed(), then=models.Value(EmailStatus.SENDING.value))
        return self.annotate(state=models.Case(was_sent, in_flight, default=models.F("status")))

    def in_state(self, state: str) -> Self:
        """Filter by what ``with_state`` shows.

        The emails in state ``sending`` are found through the rows that the lanes have claimed: no index holds the
        status, so a search for it would read the whole batch.
        """
        if state == EmailStatus.SENT:
            return self.filter(WAS_SENT | models.Q(status=state))
        if state == EmailStatus.SENDING:
            keys = f"(batches_email.batch_id, batches_email.row) IN ({sql.CLAIMED_ROWS})"
            claimed = self.extra(where=[keys])  # noqa: S610  (a constant)
            return cast(Self, claimed).filter(_IS_UNTRIED | models.Q(status=EmailStatus.SENDING), ~WAS_SENT)
        if state == EmailStatus.PENDING:
            return self.filter(~WAS_SENT, status=state).exclude(_IS_UNTRIED & _is_claimed())
        return self.filter(~WAS_SENT, status=state)


WAS_SENT = models.Q(sent_before_at__isnull=False)
"""The emails that were sent before a replay of all began. The SQL has the same predicate, ``was_sent``."""

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
    ``pending -> suppressed | cancelled``. If a replay of all does not send an email again that was sent before, its
    status is ``sent`` again at the end of the job. Sending changes it only by the statements of ``models.sql``. The
    cancellation of a job (``jobs.lifecycle``) and the creation of a replay (``jobs.creation``) change it by the ORM.
    The opening of a job and the erasure of a person set ``suppressed``.

    Erasure and retention empty ``address``, ``fields`` and ``reply``. The row stays, because it is counted. No replay
    sends to an empty address.
    """

    state: str
    """The status as people see it. Only emails that were read with ``with_state()`` have it."""

    batch = models.ForeignKey(Batch, on_delete=models.CASCADE, related_name="emails", db_index=False)
    row = models.PositiveIntegerField(
        help_text=_("The place in the batch, counted from 1: the line of the file, unless a line made several emails.")
    )
    line = models.PositiveIntegerField(
        null=True, blank=True, help_text=_("The line of the file, if it is not the row.")
    )
    address = models.CharField(max_length=320)
    address_digest = models.BinaryField(
        max_length=16,
        null=True,
        blank=True,
        help_text="Of the address: suppressions.find_digest. Set by the import.",
    )
    fields = models.JSONField(
        db_default=models.Value([], models.JSONField()),
        default=list,
        help_text=_("The cells, all of them strings, in the order of the batch's merge fields."),
    )
    status = models.CharField(
        max_length=16, choices=EmailStatus, default=EmailStatus.PENDING, db_default=EmailStatus.PENDING
    )
    # An attempt counts even if its worker died: otherwise a message that kills workers would be attempted forever.
    attempts = models.PositiveSmallIntegerField(
        default=0,
        db_default=0,
        help_text=_("The attempts so far. An attempt counts even if its worker died."),
    )
    next_attempt_at = models.DateTimeField(
        null=True,
        blank=True,
        help_text=_("When the next attempt is due. Empty before the first attempt ends, and at the end."),
    )
    # The lane that attempted the email last. This key and the two of Attempt have no constraint in the database,
    # because PostgreSQL would check them for each email. Only LEDGER_CYCLE and RECORD_DEATHS write them, from rows
    # that exist.
    lane = models.ForeignKey(
        Lane, on_delete=models.SET_NULL, null=True, blank=True, db_index=False, db_constraint=False
    )
    relay = models.ForeignKey(
        "Relay",
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
        db_index=False,
        db_constraint=False,
        help_text="The relay that may have taken the message. Only it may carry the next attempt.",
    )
    code = models.PositiveSmallIntegerField(null=True, blank=True, help_text="The relay's last reply code.")
    reply = models.TextField(
        default="", db_default="", blank=True, help_text="The relay's last reply, or the reason why there is none."
    )
    completed_at = models.DateTimeField(null=True, blank=True, help_text="When the terminal status was recorded.")
    sent_before_at = models.DateTimeField(
        null=True, blank=True, help_text=_("When an earlier job sent it. Set when a replay of all begins.")
    )

    objects = EmailQuerySet.as_manager()

    class Meta:
        # No index holds the status or another column that changes when an email is sent, so that its UPDATE writes no
        # index entry (docs/decisions/0014). Untried emails are found by (batch, row).
        indexes = [
            # LEDGER_CYCLE, LANES_TO_ENQUEUE and JOBS_TO_FINISH: the retries of one batch, in the order they are due.
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

    @property
    def shown_line(self) -> int:
        """The line of the file that people see. In a list that was no file, it is the place in the list."""
        return self.row if self.line is None else self.line


class Attempt(models.Model):
    """The record of one attempt at one email: outcome, SMTP code and reply, time, relay.

    The statement that records the decision about the email inserts it too. So there is one for each claim that ended,
    even if the reply to a commit is lost.
    """

    pk = models.CompositePrimaryKey("email_id", "lane_id", "number")
    email = models.ForeignKey(
        Email, on_delete=models.CASCADE, related_name="recorded_attempts", db_index=False, db_constraint=False
    )
    lane = models.ForeignKey(
        Lane, on_delete=models.CASCADE, related_name="recorded_attempts", db_index=False, db_constraint=False
    )
    number = models.PositiveSmallIntegerField()
    outcome = models.CharField(max_length=16, choices=Outcome)
    code = models.PositiveSmallIntegerField(null=True, blank=True)
    reply = models.TextField(blank=True)
    relay = models.CharField(max_length=255, blank=True)
    at = models.DateTimeField(db_default=Now())

    class Meta:
        indexes = [
            # ROWS_WITH_ATTEMPTS: who failed, among millions. A sent attempt writes no entry.
            models.Index(fields=["lane", "email"], name="attempt_not_sent", condition=~models.Q(outcome=Outcome.SENT)),
        ]

    def __str__(self) -> str:
        return f"attempt {self.number} at email {self.email_id}: {self.outcome}"
