"""A Suppression keeps mail from an address. It stores a digest of the address, so that erasing a person keeps it."""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Now

from batches.models.choices import SuppressionReason
from batches.models.topic import Topic


class SuppressionList(models.Model):
    """The one row that all suppressions share: the key of their digests, and the version of the list.

    The version rises with each new suppression, under the lock of this row, and is committed with it. So a reader that
    knows a version knows every suppression up to it.
    """

    id = models.PositiveSmallIntegerField(primary_key=True, default=1)
    key = models.BinaryField(max_length=32, help_text="Random. It keys the digests: see decision 33.")
    version = models.BigIntegerField(default=0)

    class Meta:
        constraints = [models.CheckConstraint(condition=models.Q(id=1), name="suppression_list_is_one_row")]

    def __str__(self) -> str:
        return f"version {self.version} of the suppression list"


class Suppression(models.Model):
    """Why one address gets no mail from here any more: none of a topic, or none at all."""

    digest = models.BinaryField(max_length=16, help_text="Of the address: suppressions.find_digest.")
    topic = models.ForeignKey(
        Topic,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        help_text="Empty: every topic. If the reason is that somebody unsubscribed, every topic of news.",
    )
    reason = models.CharField(max_length=16, choices=SuppressionReason)
    source = models.CharField(max_length=200, blank=True, help_text="Where it came from, without the address.")
    version = models.BigIntegerField(default=0, db_default=0, help_text="The version of the list that it made.")
    created_at = models.DateTimeField(db_default=Now())
    ends_at = models.DateTimeField(null=True, blank=True, help_text="Empty: it does not end.")

    class Meta:
        indexes = [
            # SUPPRESSIONS_AFTER: what was added since a job began.
            models.Index(fields=["version"], name="suppression_by_version"),
            # The page of the list and GET /api/suppressions: those of one reason, newest first.
            models.Index(fields=["reason", "-id"], name="suppression_by_reason"),
        ]
        constraints = [
            # An address may be there for several reasons: one may end or be undone, and the others stay.
            models.UniqueConstraint(
                fields=["digest", "topic", "reason"], name="suppression_once", nulls_distinct=False
            ),
            models.CheckConstraint(
                condition=models.Q(reason__in=SuppressionReason.values), name="suppression_reason_known"
            ),
        ]

    def __str__(self) -> str:
        return self.get_reason_display()
