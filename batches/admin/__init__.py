"""The Django admin: records to read, templates and relays to edit, and actions that steer batches and send to users."""

from batches.admin import batch, dashboard, email, factors, job, relay, sender, template, users

__all__ = ["batch", "dashboard", "email", "factors", "job", "relay", "sender", "template", "users"]
