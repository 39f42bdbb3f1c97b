"""Who may do what. A permission enters with a user; yes or no leaves, or a sentence for the person who is refused.

Django keeps the permissions: a user has them directly, through a group, or as a superuser. ``is_staff`` alone gives
none of them, as in Django's own admin. An inactive user has none.
"""

from __future__ import annotations

from enum import Enum, StrEnum
from typing import Any, Protocol

from django.core.exceptions import PermissionDenied


class Permission(StrEnum):
    """The permissions of the application, as ``User.has_perm`` takes them."""

    SEND_BATCH = "batches.send_batch"
    SEND_TO_GROUP = "batches.send_to_group"
    SEND_LARGE_BATCH = "batches.send_large_batch"
    APPROVE_BATCH = "batches.approve_batch"
    VIEW_ALL_BATCHES = "batches.view_all_batches"
    STEER_ALL_BATCHES = "batches.steer_all_batches"
    EDIT_ALL_TEMPLATES = "batches.edit_all_templates"
    VIEW_AUDIT = "batches.view_audit"
    MANAGE_SUPPRESSIONS = "batches.manage_suppressions"

    @property
    def codename(self) -> str:
        return self.value.partition(".")[2]


NAMES = {
    Permission.SEND_BATCH: "Can send a batch",
    Permission.SEND_TO_GROUP: "Can send to a group of users",
    Permission.SEND_LARGE_BATCH: "Can send more recipients than SEND_LARGE_ABOVE",
    Permission.APPROVE_BATCH: "Can approve batches of others",
    Permission.VIEW_ALL_BATCHES: "Can see the batches of everybody",
    Permission.STEER_ALL_BATCHES: "Can pause, resume, cancel and replay the batches of everybody",
    Permission.EDIT_ALL_TEMPLATES: "Can edit every template and choose the default",
    Permission.VIEW_AUDIT: "Can read the audit and export or erase a person",
    Permission.MANAGE_SUPPRESSIONS: "Can see and change the do-not-send list",
}
"""What the admin shows beside each permission."""

GROUPS: dict[str, tuple[Permission, ...]] = {
    "Senders": (Permission.SEND_BATCH,),
    "Approvers": (Permission.APPROVE_BATCH, Permission.VIEW_ALL_BATCHES),
    "Template editors": (Permission.EDIT_ALL_TEMPLATES,),
    "Auditors": (Permission.VIEW_AUDIT, Permission.VIEW_ALL_BATCHES, Permission.MANAGE_SUPPRESSIONS),
}
"""The groups that the migration makes, with their permissions. An administrator may change them."""


def _ask_for(permission: Permission) -> str:
    """Say whom to ask for a permission, by the name that the admin shows."""
    return f"Ask an administrator for the permission “{NAMES[permission]}”."


REFUSALS = {
    Permission.SEND_BATCH: "You may not send email. Ask an administrator to add you to the group Senders.",
    Permission.SEND_TO_GROUP: f"You may not send to groups of users. {_ask_for(Permission.SEND_TO_GROUP)}",
    Permission.SEND_LARGE_BATCH: "You may not send to so many recipients. Ask an administrator for the permission, or "
    "somebody who has it to send this batch.",
    Permission.APPROVE_BATCH: "You may not approve batches. Ask an administrator to add you to the group Approvers.",
    Permission.VIEW_ALL_BATCHES: f"You may not see the batches of others. {_ask_for(Permission.VIEW_ALL_BATCHES)}",
    Permission.STEER_ALL_BATCHES: f"You may not steer the batches of others. {_ask_for(Permission.STEER_ALL_BATCHES)}",
    Permission.EDIT_ALL_TEMPLATES: "You may not edit this template. Copy it, or ask its owner or a template editor.",
    Permission.VIEW_AUDIT: "You may not read the audit. Ask an administrator to add you to the group Auditors.",
    Permission.MANAGE_SUPPRESSIONS: "You may not see or change the do-not-send list. "
    f"{_ask_for(Permission.MANAGE_SUPPRESSIONS)}",
}
"""What a person is told who lacks a permission."""


class Act(Enum):
    """What a user does with a batch that the user may see."""

    STOP = "pause, cancel or discard it"
    """No mail goes out by it. So owners may do it even after they lost the permission to send."""
    RESTART = "resume or replay it"
    SEND = "change its list, check it, test it or send it"


class NotPermitted(PermissionDenied):
    """A user lacks a permission. The message says which, and whom to ask. Pages, admin and API answer 403."""

    http_status = 403

    def __init__(self, sentence: str, permission: Permission) -> None:
        super().__init__(sentence)
        self.permission = permission
        """The permission that the user lacks."""


class Owned(Protocol):
    """A thing that a user made, such as a Batch."""

    created_by_id: int | None


def may(user: Any, permission: Permission) -> bool:
    """Whether a user has a permission. None stands for a command of the operator, who may do everything."""
    return user is None or bool(getattr(user, "is_active", False) and user.has_perm(permission.value))


def require(user: Any, permission: Permission) -> None:
    """Go on only if a user has a permission.

    Raises:
        NotPermitted: The user lacks it.
    """
    if not may(user, permission):
        raise NotPermitted(REFUSALS[permission], permission)


def find_missing(user: Any, batch: Owned, act: Act) -> Permission | None:
    """Return the permission that a user lacks for an act on a batch. None: the user may do it.

    The batch of another user, or of nobody, needs STEER_ALL_BATCHES. Whatever sends a draft, or changes it, needs
    SEND_BATCH. So does what sends an own batch on.
    """
    if user is None:
        return None
    is_own = batch.created_by_id is not None and batch.created_by_id == user.pk
    needed = [] if is_own else [Permission.STEER_ALL_BATCHES]
    if act is Act.SEND or (act is Act.RESTART and is_own):
        needed.append(Permission.SEND_BATCH)
    return next((permission for permission in needed if not may(user, permission)), None)


def say_refusal(user: Any, batch: Owned, act: Act) -> str:
    """Say why a user may not do something with a batch. Empty: the user may do it."""
    missing = find_missing(user, batch, act)
    return REFUSALS[missing] if missing is not None else ""


def require_act(user: Any, batch: Owned, act: Act) -> None:
    """Go on only if a user may do something with a batch.

    Raises:
        NotPermitted: The user lacks a permission for it.
    """
    missing = find_missing(user, batch, act)
    if missing is not None:
        raise NotPermitted(REFUSALS[missing], missing)
