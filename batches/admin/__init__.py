"""The Django admin: records to read, templates and relays to edit, and actions that steer batches and send to users."""

from batches.admin import (
    audit,
    batch,
    dashboard,
    email,
    factors,
    job,
    relay,
    sender,
    template,
    token,
    topic,
    unknown_report,
    users,
    webhook,
)
from batches.admin.field_names import translate_names

__all__ = [
    "audit",
    "batch",
    "dashboard",
    "email",
    "factors",
    "job",
    "relay",
    "sender",
    "template",
    "token",
    "topic",
    "unknown_report",
    "users",
    "webhook",
]

translate_names()
