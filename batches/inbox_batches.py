"""What the local inbox asks of the application: of which batch a message is, and which batches a user may see.

Message-IDs and users enter. Ids and titles of batches leave. The settings name this class (``INBOX_BATCHES``), because
the local stack knows nothing of the application.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from django.contrib.auth.models import User

from batches.models import Batch, Email
from batches.permissions import Permission, may
from batches.rendering.message import read_message_id


class InboxBatches:
    """The batches to which the messages of the inbox belong."""

    def find_batches(self, message_ids: Sequence[str]) -> dict[str, int]:
        """Return the batch of each Message-ID that names an email of one."""
        email_ids = {text: email_id for text in message_ids if (email_id := read_message_id(text)) is not None}
        batch_ids = dict(Email.objects.filter(pk__in=email_ids.values()).values_list("pk", "batch_id"))
        return {text: batch_ids[email_id] for text, email_id in email_ids.items() if email_id in batch_ids}

    def sees_all(self, user: User) -> bool:
        """Whether a user may see the batches of everybody."""
        return may(user, Permission.VIEW_ALL_BATCHES)

    def find_titles(self, user: User, batch_ids: Collection[int]) -> dict[int, str]:
        """Return the titles of those batches that a user may see, newest first."""
        visible = Batch.objects.visible_to(user).filter(pk__in=batch_ids).only("filename", "name")
        return {batch.pk: batch.title for batch in visible.order_by("-pk")}
