"""Decide who may watch what. Credentials enter; a subscription leaves, or the reason why there is none.

A subscription says which channel group to listen to, and how to read the snapshots that the group is about. Carrying
them to the watcher is the work of ``feeds``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from django.contrib.auth.models import User
from django.db import DatabaseError

from batches import progress
from batches.credentials import Credentials
from batches.jobs import forecasts
from batches.models import Batch, EmailJob
from batches.permissions import Permission, may
from batches.progress import Snapshot

LISTED_COUNT = 50
"""How many of the newest batches a watcher of all batches gets a snapshot of when it connects."""

ReadSnapshots = Callable[[], dict[int, Snapshot]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscription:
    """A user's right to watch one batch, or all batches that the user may see."""

    credentials: Credentials
    batch_id: int | None
    """None: all batches that the user may see."""
    group: str
    """The channel group."""
    read: ReadSnapshots
    """Reads the snapshots of the batches from PostgreSQL, by batch id."""


class Refusal(Enum):
    """Why there is no subscription. The value is the code with which a websocket is closed."""

    NOT_LOGGED_IN = 4401
    NOT_FOUND = 4404


def find_subscription(credentials: Credentials, batch_id: int | None) -> Subscription | Refusal:
    """Find the right to watch one batch, or for None all batches that the user may see. Reads PostgreSQL."""
    user = credentials.find_user()
    if user is None:
        return Refusal.NOT_LOGGED_IN
    if batch_id is None:
        return Subscription(
            credentials=credentials,
            batch_id=None,
            group=_find_group(user),
            read=lambda: _read_list(user),
        )
    if not Batch.objects.visible_to(user).filter(pk=batch_id).exists():
        return Refusal.NOT_FOUND
    return Subscription(
        credentials=credentials,
        batch_id=batch_id,
        group=progress.batch_group(batch_id),
        read=lambda: forecasts.read_snapshots([batch_id]),
    )


def _find_group(user: User) -> str:
    """Return the channel group of all batches that a user may see."""
    return progress.ALL_BATCHES_GROUP if may(user, Permission.VIEW_ALL_BATCHES) else progress.owner_group(user.pk)


def may_watch(subscription: Subscription) -> bool:
    """Whether the user would get the same subscription now. While PostgreSQL is away nobody loses one."""
    try:
        found = find_subscription(subscription.credentials, subscription.batch_id)
    except DatabaseError:
        return True
    # Another group: the user may no longer watch the batches of everybody.
    return isinstance(found, Subscription) and found.group == subscription.group


def _read_list(user: User) -> dict[int, Snapshot]:
    """Read the snapshots of the newest batches, and of the live ones however old they are."""
    visible = Batch.objects.visible_to(user)
    newest = visible.order_by("-pk").values_list("pk", flat=True)[:LISTED_COUNT]
    live = EmailJob.objects.live().filter(batch__in=visible).values_list("batch_id", flat=True)
    return forecasts.read_snapshots({*newest, *live})
