"""Who may do what. A permission enters with a user; yes or no leaves, or a sentence for the person who is refused.

Django keeps the permissions: a user has them directly, through a group, or as a superuser. ``is_staff`` alone gives
none of them, as in Django's own admin. An inactive user has none.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any


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
}
"""What the admin shows beside each permission."""

GROUPS: dict[str, tuple[Permission, ...]] = {
    "Senders": (Permission.SEND_BATCH,),
    "Approvers": (Permission.APPROVE_BATCH, Permission.VIEW_ALL_BATCHES),
    "Template editors": (Permission.EDIT_ALL_TEMPLATES,),
    "Auditors": (Permission.VIEW_AUDIT, Permission.VIEW_ALL_BATCHES),
}
"""The groups that the migration makes, with their permissions. An administrator may change them."""

REFUSALS = {
    Permission.SEND_BATCH: "You may not send email. Ask an administrator to add you to the group Senders.",
    Permission.SEND_TO_GROUP: "You may not send to groups of users. Ask an administrator for the permission.",
    Permission.SEND_LARGE_BATCH: "You may not send to so many recipients. Ask an administrator for the permission, or "
    "somebody who has it to send this batch.",
    Permission.APPROVE_BATCH: "You may not approve batches. Ask an administrator to add you to the group Approvers.",
    Permission.VIEW_ALL_BATCHES: "You may not see the batches of others. Ask an administrator for the permission.",
    Permission.STEER_ALL_BATCHES: "You may not steer the batches of others. Ask an administrator for the permission.",
    Permission.EDIT_ALL_TEMPLATES: "You may not edit this template. Copy it, or ask its owner or a template editor.",
    Permission.VIEW_AUDIT: "You may not read the audit. Ask an administrator to add you to the group Auditors.",
}
"""What a person is told who lacks a permission."""


class NotPermitted(Exception):
    """A user lacks a permission. The message says which, and whom to ask. Pages and API answer 403."""

    http_status = 403


def may(user: Any, permission: Permission) -> bool:
    """Whether a user has a permission. None stands for a command of the operator, who may do everything."""
    return user is None or bool(getattr(user, "is_active", False) and user.has_perm(permission.value))


def require(user: Any, permission: Permission) -> None:
    """Go on only if a user has a permission.

    Raises:
        NotPermitted: The user lacks it.
    """
    if not may(user, permission):
        raise NotPermitted(REFUSALS[permission])
