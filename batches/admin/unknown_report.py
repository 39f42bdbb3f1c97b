"""Unknown reports in the admin: what came back and nothing understood. A user reads one, and may delete it."""

from __future__ import annotations

from django.contrib import admin
from django.db.models import Model
from django.http import HttpRequest
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from batches.admin.readonly import ReadOnlyAdmin
from batches.models import UnknownReport
from batches.permissions import Permission, may


@admin.register(UnknownReport)
class UnknownReportAdmin(ReadOnlyAdmin):
    """They may hold letters of recipients of any batch, so only a user who may see all batches sees them."""

    list_display = ("received_at", "door", "recipient", "place")
    list_filter = ("door",)
    fields = ("received_at", "door", "recipient", "place", "content")
    readonly_fields = fields

    @admin.display(description=_("where it is"))
    def place(self, report: UnknownReport) -> str:
        return gettext("here") if report.content else gettext("in the return mailbox")

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return super().has_view_permission(request, obj) and may(request.user, Permission.VIEW_ALL_BATCHES)

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        may_delete = request.user.has_perm("batches.delete_unknownreport")
        return may_delete and self.has_view_permission(request, obj)
