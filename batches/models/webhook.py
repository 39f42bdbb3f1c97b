"""A Webhook tells another program what happened. A WebhookDelivery is one message to it, with its attempts."""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from batches.models.choices import WebhookEvent


class Webhook(models.Model):
    """An address to which events are posted, signed as Standard Webhooks says."""

    name = models.CharField(max_length=100, unique=True)
    url = models.CharField("address", max_length=1000)
    secret = models.CharField(
        max_length=200,
        help_text=_(
            "Begins with whsec_. Messages are signed with it. If there are two, the newer one is first, and "
            "messages are signed with both."
        ),
    )
    events = ArrayField(models.CharField(max_length=40, choices=WebhookEvent), default=list)
    is_enabled = models.BooleanField("enabled", default=True)
    failure_count = models.PositiveIntegerField(
        default=0,
        db_default=0,
        editable=False,
        help_text=_("How often in a row the receiver did not answer, or could not take messages."),
    )
    waits_until = models.DateTimeField(
        null=True,
        blank=True,
        editable=False,
        help_text=_("After an outage of the receiver: when one message is attempted again. The others wait for it."),
    )
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class WebhookDelivery(models.Model):
    """One event for one Webhook.

    ``next_attempt_at`` is empty when the receiver has taken it, or when it was given up. While an attempt is made, it
    is the time at which the next attempt is due if the sender dies.
    """

    webhook = models.ForeignKey(Webhook, on_delete=models.CASCADE, related_name="deliveries")
    event = models.CharField(max_length=40, choices=WebhookEvent)
    message_id = models.CharField(max_length=64, unique=True, help_text=_("The header webhook-id."))
    payload = models.JSONField()
    attempts = models.PositiveSmallIntegerField(default=0)
    next_attempt_at = models.DateTimeField(null=True, blank=True)
    status = models.PositiveSmallIntegerField(null=True, blank=True, help_text=_("The last HTTP status."))
    error = models.TextField(blank=True, help_text=_("Why the last attempt failed."))
    created_at = models.DateTimeField(db_default=Now())
    delivered_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-id"]
        verbose_name_plural = _("webhook deliveries")
        indexes = [
            # For the claim of the sender, in this order, and for the sweep's question whether anything is due.
            models.Index(
                fields=["webhook", "next_attempt_at", "id"],
                name="webhook_due",
                condition=models.Q(next_attempt_at__isnull=False),
            ),
            # For the sweep, which gives up what is too old, and deletes what ended long ago.
            models.Index(
                fields=["created_at"], name="webhook_waiting", condition=models.Q(next_attempt_at__isnull=False)
            ),
            models.Index(fields=["created_at"], name="webhook_ended", condition=models.Q(next_attempt_at__isnull=True)),
        ]

    def __str__(self) -> str:
        return f"{self.event} to webhook {self.webhook_id}"
