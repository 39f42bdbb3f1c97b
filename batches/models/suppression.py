"""A Suppression keeps mail from an address. It stores a digest of the address, so that erasing a person keeps it."""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Now


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
    """One address that gets no mail from here any more."""

    digest = models.CharField(max_length=64, unique=True, help_text="Of the address: suppressions.digest_address.")
    checksum = models.BigIntegerField(
        default=0, db_default=0, help_text="CRC-32 of the address. Compared first, because it is cheap."
    )
    version = models.BigIntegerField(default=0, db_default=0, help_text="The version of the list that it made.")
    reason = models.CharField(max_length=200)
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        indexes = [
            # SUPPRESSIONS_AFTER: what was added since a list was imported.
            models.Index(fields=["version"], name="suppression_by_version"),
        ]

    def __str__(self) -> str:
        return self.reason
