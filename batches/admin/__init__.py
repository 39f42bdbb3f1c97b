"""The Django admin: records to read, templates to write, and actions that steer batches and send to users."""

from batches.admin import batch, dashboard, email, job, sender, template, users

__all__ = ["batch", "dashboard", "email", "job", "sender", "template", "users"]
