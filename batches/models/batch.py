"""A Batch is one list of recipients. A RejectedRow is a line of that list that did not become an Email."""

from __future__ import annotations

from typing import Self

from django.apps import apps
from django.conf import settings
from django.contrib.auth.models import AbstractBaseUser, AnonymousUser, PermissionsMixin
from django.contrib.postgres.indexes import GinIndex
from django.db import models
from django.db.models.functions import Collate, Now
from django.utils.translation import gettext_lazy as _
from django.utils.translation import gettext_noop

from batches import permissions
from batches.models.choices import BatchSource, BatchStatus, RejectionKind, SharedAddresses
from batches.models.search_keys import Lowered, SearchKeys

_UNLISTED = models.Q(is_listed=False, purged_at=None) & ~models.Q(status__in=(BatchStatus.DRAFT, BatchStatus.SCHEDULED))
"""The batches that have begun, and whose recipients the search for people does not know yet."""


class BatchQuerySet(models.QuerySet["Batch"]):
    def visible_to(self, user: AbstractBaseUser | PermissionsMixin | AnonymousUser) -> Self:
        """Filter by what a user may see: the own batches, with VIEW_ALL_BATCHES everybody's.

        Anonymous and inactive users see none.
        """
        if not getattr(user, "is_active", False) or user.is_anonymous:  # type: ignore[union-attr]
            return self.none()
        if permissions.may(user, permissions.Permission.VIEW_ALL_BATCHES):
            return self
        return self.filter(created_by=user)

    def unlisted(self) -> Self:
        """Filter by what the search for people does not know yet. The index batch_unlisted has those.

        A batch that was paused before its time has not begun: it may still be a draft again, with another list.
        """
        begun = apps.get_model("batches", "EmailJob").objects.filter(
            batch=models.OuterRef("pk"), started_at__isnull=False
        )
        return self.filter(_UNLISTED, ~models.Q(status=BatchStatus.PAUSED) | models.Exists(begun))

    def with_sending(self) -> Self:
        """Annotate each batch with ``subject`` and ``began_at`` of its newest job. Read a page of them, not all."""
        jobs = apps.get_model("batches", "EmailJob").objects.filter(batch=models.OuterRef("pk")).order_by("-pk")
        return self.annotate(
            subject=models.Subquery(jobs.values("subject")[:1]),
            began_at=models.Subquery(jobs.values("started_at")[:1]),
        )

    def move(self, batch_id: int, *, to: BatchStatus) -> bool:
        """Set one batch's status and say whether a row changed. The caller has checked that its job allows it."""
        ended = to in (BatchStatus.COMPLETED, BatchStatus.FAILED, BatchStatus.CANCELLED)
        return bool(self.filter(pk=batch_id).update(status=to, completed_at=Now() if ended else None))

    def rename(self, batch_id: int, *, name: str) -> bool:
        """Set what people call one batch, and say whether that changed."""
        return bool(self.filter(pk=batch_id).exclude(name=name).update(name=name))


class Batch(models.Model):
    """One list of recipients.

    The ``*_count`` columns are counted from the emails when a job ends. What the lanes of a live job have done since
    is counted in the lanes' rows. ``progress.read_snapshot`` adds the two.
    """

    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="batches"
    )
    filename = models.CharField(max_length=255)
    name = models.CharField(
        max_length=200,
        blank=True,
        default="",
        db_default="",
        help_text=_("What people call it. Empty: the file's name."),
    )
    is_test = models.BooleanField(
        default=False,
        db_default=False,
        help_text=_("Whether it is a test message. The pages list those by themselves."),
    )
    source = models.CharField(max_length=16, choices=BatchSource)
    status = models.CharField(max_length=16, choices=BatchStatus, default=BatchStatus.DRAFT)
    columns = models.JSONField(
        default=list, help_text=_("The column names of the file, in its order, with the address column.")
    )
    address_index = models.PositiveSmallIntegerField(
        default=0, help_text="The position of the address column, counted from 0."
    )
    more_address_indexes = models.JSONField(
        default=list,
        db_default=models.Value([], models.JSONField()),
        editable=False,
        help_text="The positions of further address columns. With them, a row makes one email for each address.",
    )
    merge_fields = models.JSONField(
        default=list, help_text=_("The merge fields that the other columns fill, in the order of the file.")
    )
    encoding = models.CharField(max_length=32, blank=True, help_text="The encoding of the uploaded file.")
    delimiter = models.CharField(
        max_length=1, blank=True, help_text="The character that separates the cells of the uploaded file."
    )
    has_header = models.BooleanField(default=True, help_text="Whether the first line of the file is its header.")
    reading = models.JSONField(
        default=dict, editable=False, help_text="How the file was read, and how else it could be: files.findings."
    )
    shared_addresses = models.CharField(
        max_length=16,
        choices=SharedAddresses,
        default=SharedAddresses.FIRST,
        db_default=SharedAddresses.FIRST,
        help_text=_("What happens to rows that have the same address."),
    )
    content_digest = models.CharField(
        max_length=64, blank=True, editable=False, help_text="SHA-256 of the uploaded file."
    )
    total_count = models.PositiveIntegerField(default=0)
    blank_counts = models.JSONField(
        null=True,
        editable=False,
        help_text="For each merge field, how many emails leave it blank. Null: not counted yet.",
    )
    smtputf8_count = models.PositiveIntegerField(
        null=True, editable=False, help_text="Emails whose address needs SMTPUTF8. Null: not counted yet."
    )
    sent_count = models.PositiveIntegerField(default=0)
    failed_count = models.PositiveIntegerField(default=0)
    unknown_count = models.PositiveIntegerField(default=0)
    suppressed_count = models.PositiveIntegerField(default=0)
    cancelled_count = models.PositiveIntegerField(default=0)
    returned_count = models.PositiveIntegerField(
        default=0, db_default=0, help_text="Emails that came back after a relay had taken them."
    )
    complained_count = models.PositiveIntegerField(default=0, db_default=0)
    rejected_count = models.PositiveIntegerField(default=0)
    duplicate_count = models.PositiveIntegerField(default=0)
    idempotency_key = models.CharField(max_length=255, null=True, blank=True, editable=False)  # noqa: DJ001
    request_digest = models.CharField(
        max_length=64, blank=True, editable=False, help_text="SHA-256 of the request that had the idempotency key."
    )
    created_at = models.DateTimeField(db_default=Now())
    completed_at = models.DateTimeField(null=True, blank=True)
    purged_at = models.DateTimeField(
        null=True, blank=True, help_text="When the removal of its addresses, merge fields and replies began."
    )
    is_emptied = models.BooleanField(
        default=False, db_default=False, editable=False, help_text="Whether all of them are removed."
    )

    left_out = models.JSONField(
        null=True,
        editable=False,
        help_text="What jobs.left_out keeps of the emails that were suppressed or cancelled. Null: not read yet.",
    )

    listed_to_row = models.PositiveIntegerField(
        default=0, db_default=0, editable=False, help_text="The search for people knows every row up to this one."
    )
    is_listed = models.BooleanField(
        default=False, db_default=False, editable=False, help_text="Whether the search knows every row of it."
    )

    objects = BatchQuerySet.as_manager()

    class Meta:
        verbose_name_plural = _("batches")
        permissions = [(permission.codename, name) for permission, name in permissions.NAMES.items()]
        indexes = [
            # The list pages and GET /api/batches: one user's batches, newest first. (All users' go by primary key.)
            models.Index(fields=["created_by", "-id"], name="batch_newest_of_user"),
            # web.batch_list: the batches in one state, and the tests, newest first.
            models.Index(fields=["status", "-id"], name="batch_by_status"),
            models.Index(fields=["-id"], name="batch_tests", condition=models.Q(is_test=True)),
            # Review: was the same content sent recently? Only uploads have a digest.
            models.Index(fields=["content_digest"], name="batch_same_content", condition=~models.Q(content_digest="")),
            # batch_search: the batches with a word in a name.
            GinIndex(Collate(SearchKeys(Lowered("name", "filename"), models.Value(0)), "C"), name="batch_search_keys"),
            # directory.listing: the batches whose recipients the search does not know yet, newest first.
            models.Index(
                fields=["-id"],
                name="batch_unlisted",
                condition=_UNLISTED,
            ),
        ]
        constraints = [
            models.CheckConstraint(condition=models.Q(status__in=BatchStatus.values), name="batch_status_known"),
            models.CheckConstraint(condition=models.Q(source__in=BatchSource.values), name="batch_source_known"),
            models.CheckConstraint(
                condition=models.Q(shared_addresses__in=SharedAddresses.values), name="batch_shared_addresses_known"
            ),
            # Promise 5: the same idempotency key makes one batch, however concurrently the requests arrive.
            # NULLS NOT DISTINCT, because created_by is null for a batch that no user made.
            models.UniqueConstraint(
                fields=["created_by", "idempotency_key"],
                name="batch_idempotency_key_once",
                condition=models.Q(idempotency_key__isnull=False),
                nulls_distinct=False,
            ),
        ]

    def __str__(self) -> str:
        return f"{self.title} (batch {self.pk})"

    @property
    def title(self) -> str:
        """What the pages call it: the name that a person gave it, or the name of its file."""
        return self.name or self.filename

    @property
    def to_send_count(self) -> int:
        """How many recipients a draft would be sent to: all but the suppressed."""
        return self.total_count - self.suppressed_count

    @property
    def address_heading(self) -> str:
        """The heading of the address column. A template may write it for ``email``."""
        return str(self.columns[self.address_index]) if self.columns else ""

    @property
    def place_word(self) -> str:
        """What the number of a recipient counts: the lines of a file, or the rows of a list that came in no file."""
        return gettext_noop("line") if self.source == BatchSource.UPLOAD else gettext_noop("row")

    @property
    def address_indexes(self) -> tuple[int, ...]:
        """The positions of all address columns, counted from 0. ``address_index`` is the first."""
        return (self.address_index, *self.more_address_indexes)


class RejectedRow(models.Model):
    """A line of the file that did not become an Email, with its line number and the reason."""

    batch = models.ForeignKey(Batch, on_delete=models.CASCADE, related_name="rejected_rows", db_index=False)
    line = models.PositiveIntegerField(help_text="The line of the file on which the record begins, counted from 1.")
    kind = models.CharField(max_length=16, choices=RejectionKind)
    raw = models.JSONField(default=list, help_text="The cells of the line, as they were read.")
    reason = models.TextField()

    class Meta:
        indexes = [
            # rejected.csv and the page of rejected rows: one batch in the order of the file.
            models.Index(fields=["batch", "line", "id"], name="rejected_in_file_order"),
        ]
        constraints = [
            models.CheckConstraint(condition=models.Q(kind__in=RejectionKind.values), name="rejection_kind_known"),
        ]

    def __str__(self) -> str:
        return f"line {self.line}: {self.reason}"


class UploadChunk(models.Model):
    """A piece of the file of a draft, kept so that the file can be read again with another encoding or delimiter.

    The pieces are in the database and not in a folder, so that each web process finds them. They are inserted and
    deleted in the batch's own transactions, so no crash leaves a piece without its batch. They are deleted when the
    batch is sent.
    """

    pk = models.CompositePrimaryKey("batch_id", "number")
    batch = models.ForeignKey(Batch, on_delete=models.CASCADE, related_name="upload_chunks", db_index=False)
    number = models.PositiveIntegerField()
    data = models.BinaryField()

    def __str__(self) -> str:
        return f"chunk {self.number} of batch {self.batch_id}"
