"""A ProgressMark says how far a job was at one moment, for the chart of its batch. The sweep writes them."""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Now

from batches.models.job import EmailJob


class ProgressMark(models.Model):
    """The counts of a job at one moment.

    There is one every 5 s at first, and later one for each hundredth of the time that the job has taken. So a job of a
    minute has a dozen, and one of a day some seven hundred. Nothing is decided by them, so a lost one does no harm.
    """

    pk = models.CompositePrimaryKey("job_id", "at")
    job = models.ForeignKey(EmailJob, on_delete=models.CASCADE, related_name="marks", db_index=False)
    at = models.DateTimeField(db_default=Now())
    sent_count = models.PositiveIntegerField()
    failed_count = models.PositiveIntegerField()
    unknown_count = models.PositiveIntegerField()

    def __str__(self) -> str:
        return f"job {self.job_id} at {self.at}"
