"""Copy the list of a batch into a new draft, in the database: the uploaded file is gone once a batch is sent.

A batch and a user enter. A draft leaves, with an email for each email of the batch whose address is still known. What
became of the emails is not copied, and neither are the rejected rows.
"""

from __future__ import annotations

from django.contrib.auth.models import User
from django.db import connection, transaction
from django.utils.translation import gettext as _

from batches import audit
from batches.intake import sql
from batches.intake.errors import NoRecipients
from batches.intake.labels import NAME_MAX_CHARS
from batches.models import AuditAction, Batch

COPIED = (
    "filename",
    "source",
    "columns",
    "address_index",
    "more_address_indexes",
    "merge_fields",
    "encoding",
    "delimiter",
    "has_header",
    "reading",
    "shared_addresses",
    "content_digest",
)
"""The columns that say what the list is. All others say what became of it."""


def copy_batch(batch: Batch, *, user: User) -> Batch:
    """Make a draft with the list of a batch. The draft belongs to this user.

    Raises:
        NoRecipients: The addresses of the batch were removed.
    """
    name = _("Copy of %(name)s") % {"name": batch.title}
    with transaction.atomic():
        same = {column: getattr(batch, column) for column in COPIED}
        copy = Batch.objects.create(created_by=user, name=name[:NAME_MAX_CHARS], **same)
        with connection.cursor() as cursor:
            cursor.execute(sql.DUPLICATE_EMAILS, {"copy": copy.pk, "batch": batch.pk})
            copy.total_count = cursor.rowcount
        # Looked up after the copy: a purge notes itself before it empties the first row. So what was copied is whole.
        is_purged = Batch.objects.filter(pk=batch.pk, purged_at__isnull=False).exists()
        if is_purged or not copy.total_count:
            raise NoRecipients(_("The addresses of this batch were removed, so there is no list to copy."))
        copy.save(update_fields=["total_count"])
        audit.record(AuditAction.COPY, copy, copied_from=batch.pk, count=copy.total_count)
    return copy
