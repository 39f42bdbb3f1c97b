"""A Suppression keeps mail from an address. It stores a digest of the address, so that erasing a person keeps it."""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Now


class Suppression(models.Model):
    """One address that gets no mail from here any more."""

    digest = models.CharField(max_length=64, unique=True, help_text="Of the address: suppressions.digest_address.")
    reason = models.CharField(max_length=200)
    created_at = models.DateTimeField(db_default=Now())

    def __str__(self) -> str:
        return self.reason
