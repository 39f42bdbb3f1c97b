"""A Confirmation says that a person looked at something that the program can't find out, such as a backup."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models.functions import Now


class ConfirmedThing(models.TextChoices):
    """What a person confirms."""

    BACKUP = "backup", "A backup was made and read back"


class Confirmation(models.Model):
    """The last confirmation of one thing: who looked, and when."""

    thing = models.CharField(max_length=20, primary_key=True, choices=ConfirmedThing)
    at = models.DateTimeField(db_default=Now())
    by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+")

    def __str__(self) -> str:
        return f"{self.thing} at {self.at}"
