"""The one row that says when old data was purged last, so that all workers together do it once a day."""

from __future__ import annotations

from django.db import models


class Retention(models.Model):
    """When the last purge by the sweep began and ended. There is one row, or none before the first."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=1)
    began_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [models.CheckConstraint(condition=models.Q(id=1), name="retention_is_one_row")]

    def __str__(self) -> str:
        return f"purged since {self.began_at}"
