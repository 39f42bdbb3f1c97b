"""Write down who did what. An act enters, an AuditEntry leaves, in the transaction of the act itself.

Who acts is known at the door: a page, the API, the admin or a command calls ``acting_as`` once. What is done is known
where it is done: that code calls ``record``. So no door can forget an act, and an act that is rolled back leaves no
entry. A refusal is recorded with ``is_refused``, outside the transaction that is rolled back.

No entry holds an address, a subject, a token or a merge field: see AuditEntry.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from django.contrib.auth.models import User
from django.db.models import Model

from batches.models import AuditAction, AuditEntry, Batch

_NAME_MAX_CHARS = 255


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

_actor: ContextVar[Actor] = ContextVar("actor", default=PROGRAM)


@contextmanager
def acting_as(actor: Actor) -> Iterator[None]:
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
    """Return who acts in this context."""
    return _actor.get()


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
    actor = _actor.get()
    if batch_id is None:
        batch_id = target.pk if isinstance(target, Batch) else getattr(target, "batch_id", None)
    return AuditEntry.objects.create(
        action=action,
        is_refused=is_refused,
        actor_id=actor.user_id,
        actor_name=actor.name,
        via=actor.via,
        client=actor.client,
        target=target._meta.model_name or "" if target is not None else "",
        target_id=str(target.pk) if target is not None else "",
        target_name=(target_name or (str(target) if target is not None else ""))[:_NAME_MAX_CHARS],
        batch_id=batch_id,
        details=details,
    )
