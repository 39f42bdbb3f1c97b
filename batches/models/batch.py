"""A Batch is one list of recipients; a RejectedRow is a line of it that did not become an Email."""

from __future__ import annotations

from typing import Self

from django.conf import settings
from django.contrib.auth.models import AbstractBaseUser, AnonymousUser, PermissionsMixin
from django.db import models
from django.db.models.functions import Now

from batches.models.choices import BatchSource, BatchStatus, RejectionKind


class BatchQuerySet(models.QuerySet["Batch"]):
    def visible_to(self, user: AbstractBaseUser | PermissionsMixin | AnonymousUser) -> Self:
        """Staff see every batch, others their own, the anonymous none."""
        if not getattr(user, "is_active", False) or user.is_anonymous:  # type: ignore[union-attr]
            return self.none()
        if user.is_staff:  # type: ignore[union-attr]
            return self
        return self.filter(created_by=user)

    def move(self, batch_id: int, *, to: BatchStatus) -> bool:
        """Set one batch's status; whether a row changed. The job's own transition decides if it may."""
        ended = to in (BatchStatus.COMPLETED, BatchStatus.FAILED, BatchStatus.CANCELLED)
        return bool(self.filter(pk=batch_id).update(status=to, completed_at=Now() if ended else None))


class Batch(models.Model):
    """One list of recipients.

    The ``*_count`` columns hold what is settled: they are recounted from the emails when a job ends.
    While a job is live, what its lanes did since is on the lanes' rows; ``progress.read_snapshot`` adds
    the two.
    """

    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="batches"
    )
    filename = models.CharField(max_length=255)
    source = models.CharField(max_length=16, choices=BatchSource)
    status = models.CharField(max_length=16, choices=BatchStatus, default=BatchStatus.DRAFT)
    columns = models.JSONField(
        default=list, help_text="The header as it was written, the address column included, in file order."
    )
    address_index = models.PositiveSmallIntegerField(
        default=0, help_text="Which of the columns holds the address, counted from 0."
    )
    merge_fields = models.JSONField(
        default=list, help_text="The merge field that each column but the address one fills, in file order."
    )
    encoding = models.CharField(max_length=32, blank=True, help_text="How the uploaded file was decoded.")
    delimiter = models.CharField(max_length=1, blank=True, help_text="What parts the cells of the uploaded file.")
    has_header = models.BooleanField(default=True, help_text="Whether the first line of the file is its header.")
    content_digest = models.CharField(
        max_length=64, blank=True, editable=False, help_text="SHA-256 of the uploaded file."
    )
    total_count = models.PositiveIntegerField(default=0)
    sent_count = models.PositiveIntegerField(default=0)
    failed_count = models.PositiveIntegerField(default=0)
    unknown_count = models.PositiveIntegerField(default=0)
    suppressed_count = models.PositiveIntegerField(default=0)
    cancelled_count = models.PositiveIntegerField(default=0)
    rejected_count = models.PositiveIntegerField(default=0)
    duplicate_count = models.PositiveIntegerField(default=0)
    idempotency_key = models.CharField(max_length=255, null=True, blank=True, editable=False)  # noqa: DJ001
    request_digest = models.CharField(
        max_length=64, blank=True, editable=False, help_text="SHA-256 of the request that carried the key."
    )
    created_at = models.DateTimeField(db_default=Now())
    completed_at = models.DateTimeField(null=True, blank=True)

    objects = BatchQuerySet.as_manager()

    class Meta:
        verbose_name_plural = "batches"
        indexes = [
            # The list pages and GET /api/batches: newest first, of one user or of all (by primary key).
            models.Index(fields=["created_by", "-id"], name="batch_newest_of_user"),
            # Review: was the same content sent of late? Only uploads have a digest.
            models.Index(fields=["content_digest"], name="batch_same_content", condition=~models.Q(content_digest="")),
        ]
        constraints = [
            models.CheckConstraint(condition=models.Q(status__in=BatchStatus.values), name="batch_status_known"),
            models.CheckConstraint(condition=models.Q(source__in=BatchSource.values), name="batch_source_known"),
            # Promise 5: the same key makes one batch, however concurrently it arrives.
            # Nulls count as equal, for the batches of no user; those without a key are left out.
            models.UniqueConstraint(
                fields=["created_by", "idempotency_key"],
                name="batch_idempotency_key_once",
                condition=models.Q(idempotency_key__isnull=False),
                nulls_distinct=False,
            ),
        ]

    def __str__(self) -> str:
        return f"{self.filename} (batch {self.pk})"


class RejectedRow(models.Model):
    """A CSV line that did not become an Email, with its line number and reason."""

    batch = models.ForeignKey(Batch, on_delete=models.CASCADE, related_name="rejected_rows", db_index=False)
    line = models.PositiveIntegerField(help_text="The line of the file on which the record begins, from 1.")
    kind = models.CharField(max_length=16, choices=RejectionKind)
    raw = models.JSONField(default=list, help_text="The cells as they were read.")
    reason = models.TextField()

    class Meta:
        indexes = [
            # rejected.csv pages through it in file order.
            models.Index(fields=["batch", "line", "id"], name="rejected_in_file_order"),
        ]
        constraints = [
            models.CheckConstraint(condition=models.Q(kind__in=RejectionKind.values), name="rejection_kind_known"),
        ]

    def __str__(self) -> str:
        return f"line {self.line}: {self.reason}"


class UploadChunk(models.Model):
    """A piece of the file that a draft was read from, kept so that it can be read again another way.

    In the database and not in a folder: it comes and goes with the batch's own transaction, so that no
    crash leaves a piece behind, and each web process finds it. Gone when the batch is sent.
    """

    pk = models.CompositePrimaryKey("batch_id", "number")
    batch = models.ForeignKey(Batch, on_delete=models.CASCADE, related_name="upload_chunks", db_index=False)
    number = models.PositiveIntegerField()
    data = models.BinaryField()

    def __str__(self) -> str:
        return f"chunk {self.number} of batch {self.batch_id}"
