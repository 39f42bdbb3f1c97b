"""Write down who did what. An act enters, an AuditEntry leaves, in the transaction of the act itself.

Who acts is known at the door: a page, the API, the admin or a command calls ``acting_as`` once. What is done is known
where it is done: that code calls ``record``. So no door can forget an act, and an act that is rolled back leaves no
entry. A refusal is recorded with ``is_refused``, outside the transaction that is rolled back.

No entry holds an address, a subject, a token or a merge field: see AuditEntry.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.contrib.auth.models import User
from django.db import ProgrammingError, connection, transaction
from django.db.models import Model
from django.utils import timezone

from batches.models import AuditAction, AuditEntry, Batch
from batches.redaction import redact

_NAME_MAX_CHARS = 255
_VIA_MAX_CHARS = 120
_ID_MAX_CHARS = 64

RETENTION_MIN_DAYS = 30
"""No entry is deleted before it is so old. Migration 0019 has the same number."""

RETENTION_MAX_DAYS = 36_500
"""No entry is older. More days would begin before the first year that Python knows."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Actor:
    """Who acts, through which door, and from where."""

    user_id: int | None = None
    name: str = ""
    via: str
    """``page``, ``token NAME``, ``admin``, ``command NAME`` or ``program``."""
    client: str | None = None
    """The IP address of the client."""

    @classmethod
    def of_user(cls, user: Any, *, via: str, client: str | None = None) -> Actor:
        """Make an Actor of a user, who may be anonymous."""
        if not isinstance(user, User):
            return cls(via=via, client=client)
        return cls(user_id=user.pk, name=user.get_username(), via=via, client=client)


PROGRAM = Actor(via="program")
"""What happens by itself: the sweep, a schedule, retention."""

FindActor = Callable[[], Actor]
"""Finds the actor when an entry is written. The user of a request is read from the database only then."""

_actor: ContextVar[Actor | FindActor] = ContextVar("actor", default=PROGRAM)


@contextmanager
def acting_as(actor: Actor | FindActor) -> Iterator[None]:
    """Let every entry in this context name an actor."""
    token = _actor.set(actor)
    try:
        yield
    finally:
        _actor.reset(token)


def set_actor(actor: Actor) -> None:
    """Name the actor of the rest of this context, such as a request in which somebody has just signed in."""
    _actor.set(actor)


def current_actor() -> Actor:
    """Return who acts in this context. May read the user of a request from the database."""
    actor = _actor.get()
    return actor if isinstance(actor, Actor) else actor()


def record(
    action: AuditAction,
    target: Model | None = None,
    *,
    target_name: str = "",
    batch_id: int | None = None,
    is_refused: bool = False,
    **details: Any,
) -> AuditEntry:
    """Write one entry.

    Args:
        target: the object of the act. If it is a Batch, ``batch_id`` is its id.
        target_name: replaces ``str(target)``, for an object whose text has an address in it.
        details: values that JSON can hold. Never an address, a subject or a token.
    """
    actor = current_actor()
    if batch_id is None:
        batch_id = target.pk if isinstance(target, Batch) else getattr(target, "batch_id", None)
    name = target_name or _name_target(target)
    return AuditEntry.objects.create(
        action=action,
        is_refused=is_refused,
        actor_id=actor.user_id,
        actor_name=actor.name,
        via=actor.via[:_VIA_MAX_CHARS],
        client=_read_address(actor.client),
        target=target._meta.model_name or "" if target is not None else "",
        target_id=str(target.pk)[:_ID_MAX_CHARS] if target is not None else "",
        target_name=name[:_NAME_MAX_CHARS],
        batch_id=batch_id,
        details=details,
    )


def _name_target(target: Model | None) -> str:
    """Name an object. A user's name may be an address, and is kept: whose rights changed must be known."""
    if isinstance(target, User):
        return target.get_username()
    # A file may be named after the recipient whose address it has.
    name = target.title if isinstance(target, Batch) else target
    return redact(str(name)) if target is not None else ""


def record_once(action: AuditAction, target: Batch, **details: Any) -> AuditEntry | None:
    """Write an entry about a batch, unless the same actor has one with the same details. None: there is one.

    For what a page does each time it is shown, such as a review. Two requests at the same moment may write two.
    """
    actor = current_actor()
    same = AuditEntry.objects.filter(
        batch_id=target.pk, action=action, actor_id=actor.user_id, via=actor.via[:_VIA_MAX_CHARS], details=details
    )
    return None if same.exists() else record(action, target, **details)


class RetentionRefused(Exception):
    """Entries were not deleted. The message says why and what to do."""


def delete_older(before: datetime, *, limit: int = 10_000) -> int:
    """Delete the oldest entries from before a moment, in one transaction. Returns how many were deleted: at most limit.

    The trigger of the table keeps entries that are younger than RETENTION_MIN_DAYS, so those are never deleted here.

    Raises:
        RetentionRefused: The database's role may not delete entries.
    """
    latest = min(before, timezone.now() - timedelta(days=RETENTION_MIN_DAYS, minutes=1))
    old = AuditEntry.objects.filter(at__lt=latest).order_by("at").values("pk")[:limit]
    try:
        with transaction.atomic():
            with connection.cursor() as cursor:
                cursor.execute("SET LOCAL batches.audit_retention = 'on'")
            deleted, _ = AuditEntry.objects.filter(pk__in=old).delete()
    except ProgrammingError as exc:
        raise RetentionRefused(
            "The database's role may not delete entries of the audit. Run this with DATABASE_URL of the role that owns "
            "the tables: see docs/operations.md."
        ) from exc
    return deleted


def purge_old(now: datetime) -> int:
    """Delete the entries that are older than ``AUDIT_RETENTION_DAYS``, in chunks. Returns how many. 0 days: none.

    Raises:
        RetentionRefused: The database's role may not delete entries.
    """
    if settings.AUDIT_RETENTION_DAYS <= 0:
        return 0
    before, total = now - timedelta(days=min(settings.AUDIT_RETENTION_DAYS, RETENTION_MAX_DAYS)), 0
    while deleted := delete_older(before):
        total += deleted
    return total


def _read_address(client: str | None) -> str | None:
    """Return the address as PostgreSQL's ``inet`` stores it: without a zone. None: it is no IP address."""
    try:
        return str(ipaddress.ip_address((client or "").partition("%")[0]))
    except ValueError:
        return None
