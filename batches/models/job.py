"""An EmailJob sends a batch, or a part of it, once. A Lane is one worker's share in a job."""

from __future__ import annotations

from typing import Self

from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex
from django.db import models
from django.db.models.functions import Collate, Now
from django.utils.translation import gettext_lazy as _

from batches.models.batch import Batch
from batches.models.choices import LIVE_JOB_STATUSES, JobKind, JobPriority, JobStatus
from batches.models.search_keys import Lowered, SearchKeys
from batches.models.template import EmailTemplate
from batches.models.topic import MessageTopic, Topic


class EmailJobQuerySet(models.QuerySet["EmailJob"]):
    def live(self) -> Self:
        """Filter by live jobs. PostgreSQL finds them in the index of the jobs without an end, however many have one."""
        return self.filter(completed_at=None, status__in=LIVE_JOB_STATUSES)

    def answered_for(self) -> Self:
        """Filter by jobs for which somebody answers.

        That is the active user who made the job or resumed it. The operator answers for a job that no user made.
        """
        # Subqueries about the user's row alone: in an UPDATE, the conditions on the job itself are then checked again
        # after a wait for its lock. A join would move them into a subquery, which is not.
        active = get_user_model().objects.filter(is_active=True)
        return self.filter(
            models.Q(created_by=None)
            | models.Exists(active.filter(pk=models.OuterRef("created_by_id")))
            | models.Exists(active.filter(pk=models.OuterRef("resumed_by_id")))
        )


class EmailJob(models.Model):
    """One sending of a batch with a copy of one template's parts.

    The status goes ``scheduled -> queued -> processing -> completed | failed | cancelled``. Pausing sets any of the
    first three to ``paused``. Resuming sets it to ``queued``, or to ``scheduled`` if its time is still to come. A live
    job can be cancelled.
    """

    batch = models.ForeignKey(Batch, on_delete=models.CASCADE, related_name="jobs")
    kind = models.CharField(max_length=16, choices=JobKind, default=JobKind.FIRST)
    failure_words = models.CharField(
        max_length=600,
        blank=True,
        default="",
        db_default="",
        help_text=_("Of a replay of the failed: the mail server's answer to which it is limited. Empty: all of them."),
    )
    status = models.CharField(max_length=16, choices=JobStatus, default=JobStatus.QUEUED)
    priority = models.CharField(max_length=16, choices=JobPriority, default=JobPriority.DEFAULT)
    template = models.ForeignKey(EmailTemplate, on_delete=models.SET_NULL, null=True, blank=True)
    template_key = models.CharField(max_length=100)
    subject = models.TextField()
    html = models.TextField(blank=True)
    text = models.TextField(blank=True)
    sender = models.ForeignKey(
        "Sender",
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="jobs",
        help_text=_("The sender chosen."),
    )
    topic = models.ForeignKey(Topic, on_delete=models.PROTECT, null=True, blank=True, related_name="+")
    topic_footer = models.TextField(
        blank=True, db_default="", help_text=_("The footer of its topic as it was when the job was made.")
    )
    suppression_version = models.BigIntegerField(
        default=0,
        db_default=0,
        help_text=_("The version of the suppression list with which its emails were compared when it was opened."),
    )
    from_email = models.CharField(max_length=600, help_text=_("The sender as it was when the job was made."))
    reply_to = models.CharField(max_length=320, blank=True, db_default="")
    names_emails = models.BooleanField(
        default=True,
        db_default=True,
        editable=False,
        help_text="Whether its Message-IDs name their emails. Those of jobs from before 0.3 do not.",
    )
    total_count = models.PositiveIntegerField(default=0)
    sent_count = models.PositiveIntegerField(
        default=0, help_text=_("Set when the job ends. Until then the lanes count.")
    )
    failed_count = models.PositiveIntegerField(
        default=0, help_text=_("Set when the job ends. Until then the lanes count.")
    )
    last_error = models.TextField(blank=True, help_text=_("A sentence that says why the relay accepts no mail."))
    relay_failure_count = models.PositiveIntegerField(
        default=0, help_text=_("Relay errors in a row. Each of them doubles the wait.")
    )
    relay_retry_at = models.DateTimeField(null=True, blank=True, help_text=_("No lane starts before this time."))
    accepted_refusal = models.TextField(
        blank=True,
        db_default="",
        help_text=_("A reply that stopped the job, and that a person took for the recipients' own by resuming."),
    )
    accepted_share = models.FloatField(
        default=0,
        db_default=0,
        help_text=_("The share of failures and returns, in percent, that a person accepted by resuming or replaying."),
    )
    canary_to_row = models.PositiveIntegerField(
        null=True, blank=True, help_text=_("No row after this one is handed out before the canary is over.")
    )
    canary_until = models.DateTimeField(
        null=True, blank=True, help_text=_("When the wait after the canary ends. Empty before it begins.")
    )
    handed_out_to_row = models.PositiveIntegerField(
        default=0, help_text=_("Every row up to this one was handed to a lane, as part of a row range.")
    )
    scheduled_at = models.DateTimeField(null=True, blank=True)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="email_jobs"
    )
    resumed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
        help_text=_(
            "Who resumed it last. That user answers for it if the account of the one who made it is not active."
        ),
    )
    created_at = models.DateTimeField(db_default=Now())
    started_at = models.DateTimeField(null=True, blank=True)
    completed_at = models.DateTimeField(null=True, blank=True)

    objects = EmailJobQuerySet.as_manager()

    class Meta:
        indexes = [
            # batch_search: the jobs with a word in the subject.
            GinIndex(Collate(SearchKeys(Lowered("subject"), models.Value(0)), "C"), name="job_search_keys"),
            # web.batch_list and the admin: the batches that were sent with a template.
            models.Index(fields=["template_key", "batch"], name="job_by_template"),
        ]
        constraints = [
            models.CheckConstraint(condition=models.Q(status__in=JobStatus.values), name="job_status_known"),
            models.CheckConstraint(condition=models.Q(kind__in=JobKind.values), name="job_kind_known"),
            models.CheckConstraint(condition=models.Q(priority__in=JobPriority.values), name="job_priority_known"),
            models.CheckConstraint(
                condition=models.Q(completed_at__isnull=True) | ~models.Q(status__in=LIVE_JOB_STATUSES),
                name="job_live_until_completed",
            ),
            # A batch has at most one live job. A cancelled job is live until its last email in flight has a decision.
            # The sweep also finds the live jobs by this index alone.
            models.UniqueConstraint(
                fields=["batch"], condition=models.Q(completed_at__isnull=True), name="job_one_live_per_batch"
            ),
        ]

    def __str__(self) -> str:
        return f"job {self.pk}: {self.template_key} to batch {self.batch_id}"

    @property
    def message_topic(self) -> MessageTopic | None:
        """What its messages say of their topic. None: service."""
        return self.topic.message_topic._replace(footer=self.topic_footer) if self.topic else None


class Lane(models.Model):
    """One worker's share in a job: lease, heartbeat, claims and counters in one row.

    A lane is leased while ``lease_until`` is set, and free while it is null. Its token rises when the lane is acquired,
    released or reaped. A holder that was presumed dead then changes no row under its old token, and stops: it is
    fenced. The token also rises after each lost connection, which fences the statements that this connection still
    delivers.
    """

    job = models.ForeignKey(EmailJob, on_delete=models.CASCADE, related_name="lanes", db_index=False)
    number = models.PositiveSmallIntegerField()
    token = models.PositiveIntegerField(default=0)
    worker = models.CharField(max_length=255, blank=True, help_text="The RQ worker that leased the lane last.")
    lease_until = models.DateTimeField(
        null=True,
        blank=True,
        help_text="When the lease runs out, by the database's clock. Empty while the lane is free.",
    )
    heartbeat_at = models.DateTimeField(null=True, blank=True)
    suspected_at = models.DateTimeField(
        null=True,
        blank=True,
        help_text="When a sweep found that the lease had run out. Without meaning after a renewal.",
    )
    waits_until = models.DateTimeField(
        null=True,
        blank=True,
        help_text="The free lane is not enqueued before this time, because no relay has space.",
    )
    sent_count = models.PositiveIntegerField(default=0)
    failed_count = models.PositiveIntegerField(default=0)
    unknown_count = models.PositiveIntegerField(default=0)
    retried_count = models.PositiveIntegerField(default=0)
    resent_count = models.PositiveIntegerField(
        default=0,
        db_default=0,
        help_text="Emails done that were sent before a replay of all began. The other counters omit them.",
    )
    suppressed_count = models.PositiveIntegerField(
        default=0, db_default=0, help_text="Emails whose address was suppressed after the job was opened."
    )
    rate_per_second = models.FloatField(
        default=0, help_text="The emails sent in the last second or so, while the lane is leased."
    )
    # The row range: a part of the list from which no other lane claims. The next holder continues with it.
    range_after_row = models.PositiveIntegerField(
        default=0, help_text="The rows up to this one have already been claimed."
    )
    range_end_row = models.PositiveIntegerField(default=0, help_text="The last row of the row range.")
    claimed_rows = ArrayField(
        models.IntegerField(), default=list, blank=True, help_text="The rows of the emails in flight."
    )

    relay = models.ForeignKey(
        "Relay",
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="+",
        db_index=False,
        db_constraint=False,
        help_text="The relay that carries the emails in flight, if there is one for all of them.",
    )
    claimed_relays = ArrayField(
        models.BigIntegerField(),
        default=list,
        blank=True,
        help_text="The relay of each of the claimed rows, if there are several.",
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["job", "number"], name="lane_number_once"),
        ]

    def __str__(self) -> str:
        return f"lane {self.number} of job {self.job_id}"
