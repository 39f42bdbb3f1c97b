"""An unknown report: a message at a door for returns that no parser understood. It is kept, and it is counted."""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _


class UnknownReport(models.Model):
    """One message. One that stays in the return mailbox has no content here."""

    digest = models.CharField(max_length=64, unique=True, help_text="Of its content: the same message counts once.")
    door = models.CharField(max_length=50, help_text=_("imap or lmtp."))
    recipient = models.TextField(blank=True, help_text=_("The address to which it came."))
    content = models.TextField(blank=True, help_text=_("Its beginning, if no mailbox keeps it."))
    received_at = models.DateTimeField(db_default=Now())

    class Meta:
        indexes = [models.Index(fields=["received_at"], name="unknown_report_by_time")]

    def __str__(self) -> str:
        return f"message of {self.received_at:%Y-%m-%d %H:%M}"
