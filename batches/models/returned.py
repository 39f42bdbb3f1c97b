"""A Return is what came back for an email after a relay had taken it: a bounce, a complaint or an automatic reply."""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Now

from batches.models.batch import Batch
from batches.models.choices import ReturnClass, ReturnKind
from batches.models.email import Email


class Return(models.Model):
    """One event about one email. The same event counts once, whatever door it comes through, and in which order."""

    batch = models.ForeignKey(Batch, on_delete=models.CASCADE, related_name="returns", db_index=False)
    email = models.ForeignKey(Email, on_delete=models.CASCADE, related_name="returns", db_index=False)
    kind = models.CharField(max_length=16, choices=ReturnKind)
    return_class = models.CharField(max_length=16, choices=ReturnClass, default=ReturnClass.OTHER)
    status_code = models.CharField(max_length=11, blank=True, help_text="The enhanced status (RFC 3463), as 5.1.1.")
    text = models.TextField(blank=True, help_text="What the receiver said. Emptied with the email's reply.")
    domain = models.CharField(max_length=255, blank=True, help_text="The domain of the recipient.")
    address_digest = models.BinaryField(
        max_length=16, null=True, blank=True, help_text="Of the recipient, as in Email. Emptied with the address."
    )
    door = models.CharField(max_length=50, help_text="imap, lmtp, webhook NAME, or session.")
    event_key = models.CharField(max_length=64, unique=True, help_text="The same for the same event at any door.")
    happened_at = models.DateTimeField(null=True, blank=True, help_text="As the report says, if it says it.")
    received_at = models.DateTimeField(db_default=Now())

    class Meta:
        indexes = [
            models.Index(fields=["batch", "kind", "email"], name="return_by_batch"),
            models.Index(fields=["email"], name="return_by_email"),
            # thresholds: on how many days was a mailbox full?
            models.Index(
                fields=["address_digest", "received_at"],
                name="return_full",
                condition=models.Q(return_class=ReturnClass.FULL, address_digest__isnull=False),
            ),
        ]
        constraints = [
            models.CheckConstraint(condition=models.Q(kind__in=ReturnKind.values), name="return_kind_known"),
            models.CheckConstraint(condition=models.Q(return_class__in=ReturnClass.values), name="return_class_known"),
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()}: {self.get_return_class_display()}"


class WaitingReturn(models.Model):
    """An event whose email is not known yet: a report can come before the ledger cycle that records the send.

    The sweep tries to match it again for ten minutes, and then counts it as not matched. Then the event loses what it
    says about a person.
    """

    event_key = models.CharField(max_length=64, unique=True)
    event = models.JSONField(help_text="The event as the parser made it.")
    received_at = models.DateTimeField(db_default=Now())
    next_try_at = models.DateTimeField(
        null=True, blank=True, db_default=Now(), help_text="When it is compared again. Empty: not any more."
    )
    gave_up_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        indexes = [
            # returns.waiting: those that are due.
            models.Index(
                fields=["next_try_at"], name="waiting_return_due", condition=models.Q(next_try_at__isnull=False)
            ),
        ]

    def __str__(self) -> str:
        return f"event of {self.received_at:%Y-%m-%d %H:%M}"
