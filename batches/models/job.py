"""An EmailJob is one run over a batch; a Lane is one worker's share in it."""

from __future__ import annotations

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models.functions import Now

from batches.models.batch import Batch
from batches.models.choices import LIVE_JOB_STATUSES, JobKind, JobPriority, JobStatus
from batches.models.template import EmailTemplate


class EmailJob(models.Model):
    """One run over a batch with one template, of which it keeps a snapshot.

    ``scheduled -> queued -> processing <-> paused -> completed | failed | cancelled``.
    """

    batch = models.ForeignKey(Batch, on_delete=models.CASCADE, related_name="jobs")
    kind = models.CharField(max_length=16, choices=JobKind, default=JobKind.FIRST)
    status = models.CharField(max_length=16, choices=JobStatus, default=JobStatus.QUEUED)
    priority = models.CharField(max_length=16, choices=JobPriority, default=JobPriority.DEFAULT)
    template = models.ForeignKey(EmailTemplate, on_delete=models.SET_NULL, null=True, blank=True)
    template_key = models.CharField(max_length=100)
    subject = models.TextField()
    html = models.TextField(blank=True)
    text = models.TextField(blank=True)
    from_email = models.CharField(max_length=320)
    total_count = models.PositiveIntegerField(default=0)
    sent_count = models.PositiveIntegerField(default=0, help_text="Set when the job ends; live, see the lanes.")
    failed_count = models.PositiveIntegerField(default=0, help_text="Set when the job ends; live, see the lanes.")
    last_error = models.TextField(blank=True, help_text="Why the relay is not taking mail, as a sentence.")
    relay_failure_count = models.PositiveIntegerField(default=0, help_text="In a row; each doubles the wait.")
    relay_retry_at = models.DateTimeField(null=True, blank=True, help_text="No lane starts before this time.")
    handed_out_to_row = models.PositiveIntegerField(
        default=0, help_text="Every row up to this one was handed to a lane, as a part of its row range."
    )
    scheduled_at = models.DateTimeField(null=True, blank=True)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="email_jobs"
    )
    created_at = models.DateTimeField(db_default=Now())
    started_at = models.DateTimeField(null=True, blank=True)
    completed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.CheckConstraint(condition=models.Q(status__in=JobStatus.values), name="job_status_known"),
            models.CheckConstraint(condition=models.Q(kind__in=JobKind.values), name="job_kind_known"),
            models.CheckConstraint(condition=models.Q(priority__in=JobPriority.values), name="job_priority_known"),
            models.CheckConstraint(
                condition=models.Q(completed_at__isnull=True) | ~models.Q(status__in=LIVE_JOB_STATUSES),
                name="job_live_until_completed",
            ),
            # At most one live job a batch; a cancelled one is live until its last email settled.
            # Also the sweep's way to the live jobs: it reads this index alone.
            models.UniqueConstraint(
                fields=["batch"], condition=models.Q(completed_at__isnull=True), name="job_one_live_per_batch"
            ),
        ]

    def __str__(self) -> str:
        return f"job {self.pk}: {self.template_key} to batch {self.batch_id}"


class Lane(models.Model):
    """One worker's share in a job: lease, heartbeat, claims and counters in one row.

    Free when ``lease_until`` is null. The token rises when the lane is taken, given back or reaped, so a holder
    that was presumed dead finds zero rows under its token and stops: it is fenced. It rises with each lost
    connection, too, which fences what that one still delivers.
    """

    job = models.ForeignKey(EmailJob, on_delete=models.CASCADE, related_name="lanes", db_index=False)
    number = models.PositiveSmallIntegerField()
    token = models.PositiveIntegerField(default=0)
    worker = models.CharField(max_length=255, blank=True, help_text="The RQ worker that holds it, or did last.")
    lease_until = models.DateTimeField(null=True, blank=True, help_text="By the database's clock.")
    heartbeat_at = models.DateTimeField(null=True, blank=True)
    suspected_at = models.DateTimeField(
        null=True, blank=True, help_text="When a sweep found the lease run out; void once it is renewed."
    )
    sent_count = models.PositiveIntegerField(default=0)
    failed_count = models.PositiveIntegerField(default=0)
    unknown_count = models.PositiveIntegerField(default=0)
    retried_count = models.PositiveIntegerField(default=0)
    rate_per_second = models.FloatField(default=0, help_text="Sent of late, while it is held.")
    # Its row range: a part of the list that no other lane claims from. The next holder goes on with it.
    range_after_row = models.PositiveIntegerField(
        default=0, help_text="It claims first tries behind this row; what lies before is claimed."
    )
    range_end_row = models.PositiveIntegerField(default=0, help_text="Up to this row.")
    claimed_rows = ArrayField(
        models.IntegerField(), default=list, blank=True, help_text="The rows of the emails that it is sending."
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["job", "number"], name="lane_number_once"),
        ]

    def __str__(self) -> str:
        return f"lane {self.number} of job {self.job_id}"
