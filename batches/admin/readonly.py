"""The base of the admin pages that nobody edits: batches, emails and jobs. No list counts or sorts a whole table."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import Model
from django.http import HttpRequest

from batches.admin.paginator import CappedPaginator


class ReadOnlyAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """A table that only the send path writes."""

    paginator = CappedPaginator
    show_full_result_count = False
    sortable_by = ()  # a click on a column must not sort a million rows
    ordering = ("-pk",)
    list_per_page = 100
    list_max_show_all = 0

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False
