"""A RoundTrip is the message of a sender check to the return mailbox, and the header with which it arrived there."""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Now

from batches.models.batch import Batch
from batches.models.sender import Sender


class RoundTrip(models.Model):
    """One message from a sender to the return mailbox. It has arrived when ``arrived_at`` is set."""

    sender = models.ForeignKey(Sender, on_delete=models.CASCADE, related_name="round_trips")
    batch = models.ForeignKey(Batch, on_delete=models.CASCADE, related_name="+", help_text="The batch that sends it.")
    token = models.CharField(max_length=26, unique=True, help_text="Random. Its recipient's address has it.")
    is_news = models.BooleanField(default=False, help_text="Whether it was sent with the headers of news.")
    header = models.TextField(blank=True, help_text="All header fields as they arrived.")
    created_at = models.DateTimeField(db_default=Now())
    arrived_at = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return f"round trip of {self.sender_id} at {self.created_at:%Y-%m-%d %H:%M}"
