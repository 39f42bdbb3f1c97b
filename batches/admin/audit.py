"""The audit in the admin: to read, never to change. The page /audit/ has filters and a download."""

from __future__ import annotations

from typing import cast

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from batches.admin.readonly import ReadOnlyAdmin
from batches.models import AuditAction, AuditEntry
from batches.models.audit import AuditEntryQuerySet
from batches.permissions import Permission, may


@admin.register(AuditEntry)
class AuditEntryAdmin(ReadOnlyAdmin):
    list_display = ("at", "actor_name", "via", "act", "outcome", "target", "target_name", "batch_id", "client")
    list_filter = ("is_refused", "action")
    actions = None
    search_fields = ("actor_name",)  # Django shows its form if there is one: get_search_results searches
    search_help_text = _("The whole name of a user, or a door such as page.")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[AuditEntry], search_term: str
    ) -> tuple[QuerySet[AuditEntry], bool]:
        """Search by the indexes: Django's own search would fold the case of every entry."""
        return cast(AuditEntryQuerySet, queryset).search(who=search_term.strip()), False

    @admin.display(description=_("what"))
    def act(self, entry: AuditEntry) -> str:
        return str(AuditAction(entry.action).label) if entry.action in AuditAction.values else entry.action

    @admin.display(description=_("outcome"))
    def outcome(self, entry: AuditEntry) -> str:
        """Say it in a word: Django's icon for a false value is a red cross, which would mark all that was allowed."""
        return gettext("refused") if entry.is_refused else ""

    def has_module_permission(self, request: HttpRequest) -> bool:
        return may(request.user, Permission.VIEW_AUDIT)

    def has_view_permission(self, request: HttpRequest, obj: object = None) -> bool:
        """Ask for the permission of the page: Django's own "view audit entry" would be a second one."""
        return may(request.user, Permission.VIEW_AUDIT)
