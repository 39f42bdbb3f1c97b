"""The base of the admin pages that nobody edits: batches, emails and jobs. No list counts or sorts a whole table."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import Model, QuerySet
from django.http import HttpRequest

from batches.admin.paginator import CappedPaginator
from batches.models import Batch
from batches.permissions import Permission, may


class ReadOnlyAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """A table that only the send path writes."""

    batch_field = ""
    """The field that names the batch of a row. Empty: the rows belong to no batch."""

    paginator = CappedPaginator
    show_full_result_count = False
    sortable_by = ()  # a click on a column must not sort a million rows
    ordering = ("-pk",)
    list_per_page = 100
    list_max_show_all = 0

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Show the batches, emails and jobs of others only to a user who may see them elsewhere too.

        Django's own permission says which of the tables a user sees at all.
        """
        rows: QuerySet[Any] = super().get_queryset(request)
        is_refused = not self.has_view_permission(request)  # by Django, with 403 and not as if there were no such row
        if self.batch_field and not is_refused and not may(request.user, Permission.VIEW_ALL_BATCHES):
            visible = Batch.objects.visible_to(request.user)
            rows = rows.filter(**{f"{self.batch_field}__in": visible.values("pk")})
        return rows

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False
