"""Jobs in the admin, each with its lanes. They can be read, never written."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.utils.text import Truncator

from batches.admin.readonly import ReadOnlyAdmin
from batches.mailboxes import split_mailbox
from batches.models import EmailJob, Lane


class LaneInline(admin.TabularInline):  # type: ignore[type-arg]
    model = Lane
    extra = 0
    can_delete = False
    fields = (
        *("number", "worker", "lease_until", "heartbeat_at", "sent_count", "failed_count", "unknown_count"),
        *("retried_count", "rate_per_second"),
    )

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(EmailJob)
class EmailJobAdmin(ReadOnlyAdmin):
    batch_field = "batch"
    list_display = (
        *("__str__", "kind", "status", "priority", "total_count", "sent_count", "failed_count"),
        *("comes_from", "created_by", "created_at", "relay_error"),
    )
    list_filter = ("status", "kind", "priority")
    list_select_related = ("created_by",)
    search_fields = ("template_key__startswith", "created_by__username")
    search_help_text = "The beginning of a template key, or the name of a user."
    actions = None
    inlines = (LaneInline,)

    @admin.display(description="from")
    def comes_from(self, job: EmailJob) -> str:
        return Truncator(split_mailbox(job.from_email).shown).chars(60)

    @admin.display(description="last error")
    def relay_error(self, job: EmailJob) -> str:
        return Truncator(job.last_error).chars(80)
