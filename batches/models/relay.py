"""A Relay is one SMTP server of EMAIL_URL or EMAIL_URL_<NAME>: what it may carry, how much, and when.

The address and the credentials are in the environment alone. These tables hold what a person sets in the admin, and
what the lanes note: how much of each quota is used, and which relay accepts no mail now.
"""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from batches.models.choices import RelayPreset
from batches.models.job import Lane
from batches.models.sender import Sender
from batches.outcomes import ReplyMeaning
from batches.waiting import say_quota

DEFAULT_RELAY = "default"
"""The name of the relay of EMAIL_URL."""


class Relay(models.Model):
    """One relay, with the limits that hold for all workers together."""

    name = models.SlugField(
        max_length=50, unique=True, help_text=_("'default' for EMAIL_URL, NAME for EMAIL_URL_NAME.")
    )
    is_enabled = models.BooleanField("enabled", default=True)
    preset = models.CharField(
        max_length=16, choices=RelayPreset, default=RelayPreset.NONE, help_text=_("The usual limits of a provider.")
    )
    weight = models.PositiveSmallIntegerField(
        default=1,
        validators=[MinValueValidator(1)],
        help_text=_("Its share of the mail among relays of the same order."),
    )
    order = models.PositiveSmallIntegerField(
        default=0, help_text=_("Relays with a higher order carry mail only while none with a lower one can.")
    )
    connections = models.PositiveSmallIntegerField(
        null=True,
        blank=True,
        validators=[MinValueValidator(1)],
        help_text=_("SMTP connections for each lane. Empty: SEND_CONNECTIONS."),
    )
    rate_per_second = models.FloatField(
        default=0, validators=[MinValueValidator(0)], help_text=_("Messages a second. 0: no limit, or SEND_RATE.")
    )
    rate_per_minute = models.PositiveIntegerField(default=0, help_text=_("Messages in any minute. 0: no limit."))
    opens_at = models.TimeField(null=True, blank=True, help_text=_("The time of day from which it carries mail."))
    closes_at = models.TimeField(
        null=True,
        blank=True,
        help_text=_("The time of day until which it carries mail. Earlier than the start: past midnight."),
    )
    weekdays = ArrayField(
        models.PositiveSmallIntegerField(validators=[MaxValueValidator(6)]),
        default=list,
        blank=True,
        help_text=_("The days on which it carries mail, from 0 for Monday. Empty: every day."),
    )
    senders = models.ManyToManyField(
        Sender, blank=True, related_name="+", help_text=_("The senders that it may carry. None: every sender.")
    )
    keeps_return_path = models.BooleanField(
        default=True,
        db_default=True,
        verbose_name=_("takes our return paths"),
        help_text=_(
            "Whether it takes a return path of our own (BOUNCE_ADDRESS). Microsoft 365 and Gmail want the login."
        ),
    )
    closes_after_refusals = models.BooleanField(
        default=False,
        help_text=_("It was seen to close connections after refusals, so each connection sends one message at a time."),
    )
    created_at = models.DateTimeField(db_default=Now())
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["order", "name"]
        constraints = [
            models.CheckConstraint(condition=models.Q(weight__gte=1), name="relay_weight_positive"),
            models.CheckConstraint(condition=models.Q(preset__in=RelayPreset.values), name="relay_preset_known"),
        ]

    def __str__(self) -> str:
        return self.name


class RelayQuota(models.Model):
    """A rolling quota: at most ``amount`` messages in any span of ``period_seconds``."""

    relay = models.ForeignKey(Relay, on_delete=models.CASCADE, related_name="quotas", db_index=False)
    amount = models.PositiveIntegerField(validators=[MinValueValidator(1)])
    period_seconds = models.PositiveIntegerField(validators=[MinValueValidator(1)])

    class Meta:
        constraints = [models.UniqueConstraint(fields=["relay", "period_seconds"], name="quota_period_once")]
        ordering = ["relay", "period_seconds"]

    def __str__(self) -> str:
        return say_quota(self.amount, self.period_seconds)


class RelayUse(models.Model):
    """How many messages a quota's relay accepted up to ``at``, since the slice before."""

    pk = models.CompositePrimaryKey("quota_id", "at")
    quota = models.ForeignKey(RelayQuota, on_delete=models.CASCADE, related_name="uses", db_index=False)
    at = models.DateTimeField(help_text=_("The end of the slice. Never before the relay's reply."))
    count = models.PositiveIntegerField()

    def __str__(self) -> str:
        return f"{self.count} until {self.at}"


class Reservation(models.Model):
    """How many messages of a relay's quotas a lane has in flight, or may claim in its present cycle."""

    pk = models.CompositePrimaryKey("relay_id", "lane_id")
    relay = models.ForeignKey(Relay, on_delete=models.CASCADE, related_name="reservations", db_index=False)
    # No constraint and no cascade: a lane that is deleted with its batch may have messages in flight. The sweep turns
    # its reservation into uses.
    lane = models.ForeignKey(Lane, on_delete=models.DO_NOTHING, related_name="reservations", db_constraint=False)
    count = models.PositiveIntegerField()

    def __str__(self) -> str:
        return f"{self.count} in lane {self.lane_id}"


class RelayToken(models.Model):
    """The access token of one relay for all processes, and the newest refresh token, sealed with SECRET_KEY.

    One process at a time renews it: the one that set ``renewing_until``.
    """

    relay = models.OneToOneField(Relay, on_delete=models.CASCADE, related_name="token", primary_key=True)
    client_digest = models.CharField(max_length=64, help_text=_("Of the OAuth client to which the tokens belong."))
    sealed = models.TextField(help_text=_("Both tokens, encrypted."))
    renew_at = models.DateTimeField()
    ends_at = models.DateTimeField()
    renewing_until = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return f"the token of {self.relay_id}"


class RelayPause(models.Model):
    """Why a relay accepts no mail now, from anybody or from one sender, and when it is tried again."""

    relay = models.ForeignKey(Relay, on_delete=models.CASCADE, related_name="pauses", db_index=False)
    sender = models.ForeignKey(
        Sender, on_delete=models.CASCADE, null=True, blank=True, related_name="+", help_text=_("Empty: every sender.")
    )
    meaning = models.CharField(max_length=16, choices=ReplyMeaning)
    sentence = models.TextField(help_text=_("Why, in a sentence."))
    until = models.DateTimeField(help_text=_("When it is tried again."))
    failure_count = models.PositiveIntegerField(default=1, help_text=_("Pauses in a row. Each doubles the wait."))

    class Meta:
        constraints = [
            models.CheckConstraint(condition=models.Q(meaning__in=ReplyMeaning.values), name="pause_meaning_known"),
            models.UniqueConstraint(fields=["relay", "sender"], name="pause_once", nulls_distinct=False),
        ]

    def __str__(self) -> str:
        return self.sentence
