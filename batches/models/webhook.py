"""A Webhook tells another program what happened. A WebhookDelivery is one message to it, with its attempts."""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models.functions import Now

from batches.models.choices import WebhookEvent


class Webhook(models.Model):
    """An address to which events are posted, signed as Standard Webhooks says."""

    name = models.CharField(max_length=100, unique=True)
    url = models.URLField("address", max_length=1000)
    secret = models.CharField(max_length=200, help_text="Begins with whsec_. Signatures are checked by it.")
    events = ArrayField(models.CharField(max_length=40, choices=WebhookEvent), default=list)
    is_enabled = models.BooleanField("enabled", default=True)
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class WebhookDelivery(models.Model):
    """One event for one Webhook. ``next_attempt_at`` is empty when it was taken, or was given up."""

    webhook = models.ForeignKey(Webhook, on_delete=models.CASCADE, related_name="deliveries")
    event = models.CharField(max_length=40, choices=WebhookEvent)
    message_id = models.CharField(max_length=64, unique=True, help_text="The header webhook-id.")
    payload = models.JSONField()
    attempts = models.PositiveSmallIntegerField(default=0)
    next_attempt_at = models.DateTimeField(null=True, blank=True)
    status = models.PositiveSmallIntegerField(null=True, blank=True, help_text="The last HTTP status.")
    error = models.TextField(blank=True, help_text="Why the last attempt failed.")
    created_at = models.DateTimeField(db_default=Now())
    delivered_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-id"]
        indexes = [
            models.Index(
                fields=["next_attempt_at"],
                name="webhook_due",
                condition=models.Q(next_attempt_at__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.event} to webhook {self.webhook_id}"
