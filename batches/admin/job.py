"""Jobs in the admin, each with its lanes. They can be read, never written."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest
from django.http.response import HttpResponseBase
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.text import Truncator
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from batches import progress
from batches.admin.attempts import show_attempts
from batches.admin.readonly import ReadOnlyAdmin
from batches.mailboxes import split_mailbox
from batches.models import EmailJob, EmailTemplate, Lane
from batches.translations import figure, say

TEMPLATES_MAX = 1_000
"""The jobs with so many templates are found at most."""


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
        *("__str__", "kind", "status", "priority", "total_count", "sent", "failed"),
        *("comes_from", "created_by", "created_at", "relay_error"),
    )
    list_filter = ("status", "kind", "priority")
    list_select_related = ("created_by",)
    search_fields = ("template_key",)  # Django shows its form if there is one: get_search_results searches
    search_help_text = _("The beginning of a template key, or the name of a user.")
    actions = None
    inlines = (LaneInline,)
    exclude = ("sent_count", "failed_count")  # set when the job ends
    readonly_fields = ("sent", "failed", "attempts")

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.list_attempts)
        return [path("<int:job_id>/attempts/", view, name="batches_emailjob_attempts"), *super().get_urls()]

    def list_attempts(self, request: HttpRequest, job_id: int) -> HttpResponseBase:
        """List the attempts of a job, for those who may see the job and the emails."""
        if not self.has_view_permission(request) or not request.user.has_perm("batches.view_email"):
            raise PermissionDenied(gettext("You may not see the attempts of a job. Ask an administrator."))
        job = self.get_object(request, str(job_id))
        if job is None or not self.has_view_permission(request, job):
            raise Http404(f"There is no job {job_id} whose attempts you may see.")
        return show_attempts(request, job)

    @admin.display(description=_("attempts"))
    def attempts(self, job: EmailJob) -> SafeString:
        address = reverse("admin:batches_emailjob_attempts", args=[job.pk])
        return format_html(
            '<a href="{}">{}</a> · <a href="{}?all=1">{}</a>',
            *(address, gettext("those that did not send"), address, gettext("all")),
        )

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[EmailJob], search_term: str
    ) -> tuple[QuerySet[EmailJob], bool]:
        """Search by the indexes: Django's own search would read every job and its user."""
        term = search_term.strip()
        if not term:
            return queryset, False
        owners = list(User.objects.filter(username=term).values_list("pk", flat=True))
        keys = list(EmailTemplate.objects.filter(key__startswith=term).values_list("key", flat=True)[:TEMPLATES_MAX])
        if owners:
            return queryset.filter(created_by__in=owners), False
        return queryset.filter(template_key__in=keys or [term]), False

    @admin.display(description=_("sent"))
    def sent(self, job: EmailJob) -> str:
        return figure(_count(job).sent)

    @admin.display(description=_("failed"))
    def failed(self, job: EmailJob) -> str:
        return figure(_count(job).failed)

    def view_on_site(self, job: EmailJob) -> str:
        return reverse("batch", args=[job.batch_id])

    @admin.display(description=_("from"))
    def comes_from(self, job: EmailJob) -> str:
        return Truncator(split_mailbox(job.from_email).shown).chars(60)

    @admin.display(description=_("last error"))
    def relay_error(self, job: EmailJob) -> str:
        return Truncator(say(job.last_error)).chars(80)


def _count(job: EmailJob) -> progress.JobCounts:
    """Read the counts of a job once. Those of a live job are in the rows of its lanes."""
    counts: progress.JobCounts | None = getattr(job, "counts_now", None)
    if counts is None:
        counts = progress.read_job_counts(job)
        job.counts_now = counts  # type: ignore[attr-defined]
    return counts
