"""What is known of single recipients after the batches are made: who is found, who failed, and who is gone.

A World with batches enters. The directory of people, a purged batch and the ids that addresses name leave.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from django.utils import timezone

from batches.directory import list_some
from batches.jobs.failure_groups import group_failures
from batches.models import Batch, EmailStatus, Person
from batches.people.purging import purge

if TYPE_CHECKING:
    from tests.catalogue.world import World

KEPT_DAYS = 365


def find_recipients(world: World) -> None:
    """Tell the search of every batch, and remember one recipient in each state."""
    for batch_id in Batch.objects.unlisted().values_list("pk", flat=True):
        while list_some(batch_id):
            pass
    mixed, running = (Batch.objects.get(pk=world.ids[name]) for name in ("mixed", "running"))
    rows = {status: mixed.emails.filter(status=status).order_by("-row")[0].row for status in MIXED}
    world.ids |= {f"{status}_row": row for status, row in rows.items()}
    world.ids |= {
        "returned_row": mixed.emails.order_by("row")[0].row,
        "pending_row": running.emails.filter(status=EmailStatus.PENDING)[0].row,
        "failure": group_failures(mixed, count=mixed.failed_count).groups[0].key,
        "person": Person.objects.earliest("pk").pk,
    }


MIXED = (EmailStatus.SENT, EmailStatus.FAILED, EmailStatus.UNKNOWN)
"""The states of the recipients of the batch "mixed"."""


def purge_old(world: World) -> None:
    """Remove the personal data of the batch "purged", as of one that ended long ago."""
    long_ago = timezone.now() - timedelta(days=KEPT_DAYS + 1)
    Batch.objects.filter(pk=world.ids["purged"]).update(created_at=long_ago, completed_at=long_ago)
    purge(KEPT_DAYS)
