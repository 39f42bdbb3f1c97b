"""An Approval is the question whether a batch may be sent as it was reviewed, and a second person's answer."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models.functions import Now

from batches.models.batch import Batch
from batches.models.choices import ApprovalStatus, JobKind, JobPriority
from batches.models.template import EmailTemplate


class Approval(models.Model):
    """Somebody asks for the approval of exactly one digest of list, message parts, sender and time.

    The status goes ``waiting -> approved | refused | void``. Any change of what the digest covers makes it void. An
    approved one is sent as a job of the user in ``asked_by``.
    """

    batch = models.ForeignKey(Batch, on_delete=models.CASCADE, related_name="approvals")
    kind = models.CharField(
        max_length=16, choices=JobKind, default=JobKind.FIRST, db_default=JobKind.FIRST, help_text="Of the job."
    )
    include_unknown = models.BooleanField(
        default=False, db_default=False, help_text="The replay of the unsent is also for the unknown."
    )
    failure_key = models.CharField(
        max_length=16,
        blank=True,
        default="",
        db_default="",
        help_text="Of a replay of the failed: the group of failures to which it is limited (jobs/failure_groups.py).",
    )
    failure_words = models.CharField(max_length=200, blank=True, default="", db_default="")
    failure_domain = models.CharField(max_length=320, blank=True, default="", db_default="")
    recipient_count = models.PositiveIntegerField(default=0, db_default=0, help_text="To how many it would be sent.")
    digest = models.CharField(max_length=96, help_text="Of list, message parts, sender and time: jobs/reviewed.py.")
    status = models.CharField(max_length=16, choices=ApprovalStatus, default=ApprovalStatus.WAITING)
    template = models.ForeignKey(EmailTemplate, on_delete=models.SET_NULL, null=True, blank=True, related_name="+")
    subject = models.TextField(blank=True, help_text="Replaces the template's subject, unless it is empty.")
    sender_key = models.CharField(max_length=100, blank=True)
    topic_key = models.CharField(
        max_length=50, blank=True, db_default="", help_text="The topic that was chosen. Empty: the template's."
    )
    scheduled_at = models.DateTimeField(null=True, blank=True)
    priority = models.CharField(max_length=16, choices=JobPriority, default=JobPriority.DEFAULT)
    asked_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+")
    asked_at = models.DateTimeField(db_default=Now())
    decided_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    decided_at = models.DateTimeField(null=True, blank=True)
    reason = models.TextField(blank=True, help_text="Why it was refused or made void.")

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.CheckConstraint(condition=models.Q(status__in=ApprovalStatus.values), name="approval_status_known"),
            models.CheckConstraint(condition=models.Q(priority__in=JobPriority.values), name="approval_priority_known"),
            models.CheckConstraint(condition=models.Q(kind__in=JobKind.values), name="approval_kind_known"),
            models.UniqueConstraint(
                fields=["batch"], condition=models.Q(status=ApprovalStatus.WAITING), name="approval_one_waiting"
            ),
        ]

    def __str__(self) -> str:
        return f"approval of batch {self.batch_id}: {self.status}"

    @property
    def is_waiting(self) -> bool:
        return self.status == ApprovalStatus.WAITING

    @property
    def is_approved(self) -> bool:
        return self.status == ApprovalStatus.APPROVED

    @property
    def is_refused(self) -> bool:
        return self.status == ApprovalStatus.REFUSED

    @property
    def is_void(self) -> bool:
        return self.status == ApprovalStatus.VOID

    @property
    def is_replay(self) -> bool:
        return self.kind != JobKind.FIRST
