"""Batches in the admin: their progress; actions that pause, resume, cancel and replay them; deletion.

A list of batches enters, with the actions that a user chose for some of them. Pages leave; the counts on them are those
of ``progress.Snapshot``. The rules of each action are in ``batches.jobs``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.admin.views.main import ChangeList
from django.contrib.auth.models import User
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.text import Truncator
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from batches import progress
from batches.accounts.proof import find_proof_refusal
from batches.admin.deleting import delete_batches
from batches.admin.readonly import ReadOnlyAdmin
from batches.batch_search import find_batches
from batches.jobs import creation, forecasts, lifecycle
from batches.models import Batch, EmailJob, JobKind, RejectedRow
from batches.permissions import Act, NotPermitted, Permission, may, require_act
from batches.translations import figure, say

REJECTED_SHOWN = 20
FOUND_MAX = 1_000
"""So many batches are found at most, the newest."""
LISTED_CHARS = 110
"""How much of the sentence about waiting the list shows. The page of the batch shows all of it."""
COUNTS: dict[Literal["sent", "failed", "unknown", "pending", "suppressed", "cancelled", "returned"], object] = {
    "sent": _("sent"),
    "failed": _("failed"),
    "unknown": _("unknown"),
    "pending": _("pending"),
    "suppressed": _("on the do-not-send list"),
    "cancelled": _("cancelled"),
    "returned": _("came back"),
}
"""The counts of a snapshot, as the page of a batch names them."""


class BatchChangeList(ChangeList):
    """A page of batches with their snapshots, read in one query: the columns have only the counts of ended jobs."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        snapshots = forecasts.read_snapshots([batch.pk for batch in self.result_list])
        for batch in self.result_list:
            batch.snapshot = snapshots.get(batch.pk)


@admin.register(Batch)
class BatchAdmin(ReadOnlyAdmin):
    batch_field = "pk"
    list_display = (
        *("title", "state", "done", "sent", "failed", "waiting", "rejected", "source"),
        *("created_by", "created_at"),
    )
    list_filter = ("status", "source", "is_test")
    list_select_related = ("created_by",)
    search_fields = ("name",)  # Django shows its form if there is one: get_search_results searches
    search_help_text = _(
        "A part of a name, of a file name or of a subject, the name of a user, or the number of a batch."
    )
    date_hierarchy = None
    actions = ("pause", "resume", "cancel", "replay_failed", "replay_unsent", "replay_unknown", "replay_all")
    fieldsets = (
        (
            None,
            {"fields": ("name", "filename", "is_test", "source", "status", "created_by", "created_at", "completed_at")},
        ),
        (None, {"fields": ("counts", "rejected", "waiting", "links")}),
        (_("The file"), {"fields": ("columns", "merge_fields", "shared_addresses", "rejected_rows")}),
    )
    readonly_fields = ("counts", "rejected", "waiting", "links", "rejected_rows")

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return BatchChangeList

    def view_on_site(self, batch: Batch) -> str:
        return reverse("batch", args=[batch.pk])

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Batch], search_term: str
    ) -> tuple[QuerySet[Batch], bool]:
        """Search by the indexes: Django's own search would read every batch and its user."""
        if not search_term.strip():
            return queryset, False
        owners = list(User.objects.filter(username=search_term.strip()).values_list("pk", flat=True))
        if owners:
            return queryset.filter(created_by__in=owners), False
        return queryset.filter(pk__in=find_batches(queryset.order_by(), search_term, size=FOUND_MAX)), False

    @admin.display(description=_("batch"), ordering="filename")
    def title(self, batch: Batch) -> str:
        return batch.title

    @admin.display(description=_("status"))
    def state(self, batch: Batch) -> str:
        return batch.get_status_display()

    @admin.display(description=_("done"))
    def done(self, batch: Batch) -> str:
        snapshot = read(batch)
        if snapshot is None:
            return "-"
        counts = {"processed": figure(snapshot["processed"]), "total": figure(snapshot["total"])}
        return gettext("%(processed)s of %(total)s") % counts

    @admin.display(description=_("sent"))
    def sent(self, batch: Batch) -> str:
        snapshot = read(batch)
        return figure(snapshot["sent"]) if snapshot else "-"

    @admin.display(description=_("failed"))
    def failed(self, batch: Batch) -> str:
        snapshot = read(batch)
        return figure(snapshot["failed"]) if snapshot else "-"

    @admin.display(description=_("counts"))
    def counts(self, batch: Batch) -> str:
        """Say how many emails are in which state now: the columns have only the counts of ended jobs."""
        now = progress.read_snapshot(batch.pk)
        if now is None:
            return ""
        named = [(now[key], word) for key, word in COUNTS.items()]
        return ", ".join(
            [
                gettext("%(total)s in all") % {"total": figure(now["total"])},
                *(f"{figure(count)} {word}" for count, word in named if count),
            ]
        )

    @admin.display(description=_("waits for"))
    def waiting(self, batch: Batch) -> str:
        """Say what the batch waits for, and when it will be done."""
        snapshot = read(batch) or forecasts.read_snapshot(batch.pk)
        if snapshot is None:
            return ""
        is_listed = hasattr(batch, "snapshot")
        sentence = say(snapshot["waitingFor"] or "")
        said = Truncator(sentence).chars(LISTED_CHARS) if is_listed else sentence
        return " ".join(filter(None, (said, say(snapshot["finish"]))))

    @admin.display(description=_("rejected"))
    def rejected(self, batch: Batch) -> str:
        return figure(batch.rejected_count + batch.duplicate_count)

    @admin.display(description=_("see"))
    def links(self, batch: Batch) -> SafeString:
        emails = reverse("admin:batches_email_changelist")
        jobs = reverse("admin:batches_emailjob_changelist")
        return format_html(
            '<a href="{}">{}</a> · <a href="{}?batch={}">{}</a> · <a href="{}?batch={}">{}</a> · '
            '<a href="/api/batches/{}/results.csv">results.csv</a> · '
            '<a href="/api/batches/{}/rejected.csv">rejected.csv</a>',
            *(reverse("batch", args=[batch.pk]), _("page"), emails, batch.pk, _("emails"), jobs, batch.pk, _("jobs")),
            *(batch.pk, batch.pk),
        )

    @admin.display(description=_("first rejected rows"))
    def rejected_rows(self, batch: Batch) -> str:
        rows = batch.rejected_rows.order_by("pk")[:REJECTED_SHOWN]
        return format_html_join("", "<div>{}</div>", ((_say_rejected(row),) for row in rows)) or gettext("none")

    @admin.action(description=_("Pause"), permissions=["steer"])
    def pause(self, request: HttpRequest, batches: QuerySet[Batch]) -> None:
        self._steer(request, batches, lifecycle.pause_batch, act=Act.STOP, done=_say_paused)

    @admin.action(description=_("Resume"), permissions=["steer"])
    def resume(self, request: HttpRequest, batches: QuerySet[Batch]) -> None:
        def resume(batch: Batch) -> None:
            lifecycle.resume_batch(batch, by=request.user)

        self._steer(request, batches, resume, act=Act.RESTART, done=_say_resumed)

    @admin.action(description=_("Cancel: send no more of the batch"), permissions=["steer"])
    def cancel(self, request: HttpRequest, batches: QuerySet[Batch]) -> None:
        self._steer(request, batches, lifecycle.cancel_batch, act=Act.STOP, done=_say_cancelled)

    @admin.action(description=_("Replay the failed emails"), permissions=["steer"])
    def replay_failed(self, request: HttpRequest, batches: QuerySet[Batch]) -> None:
        self._replay(request, batches, JobKind.FAILED)

    @admin.action(description=_("Replay the unsent emails: to those who have not got it"), permissions=["steer"])
    def replay_unsent(self, request: HttpRequest, batches: QuerySet[Batch]) -> None:
        self._replay(request, batches, JobKind.UNSENT)

    @admin.action(description=_("Replay the unknown emails"), permissions=["steer"])
    def replay_unknown(self, request: HttpRequest, batches: QuerySet[Batch]) -> None:
        self._replay(request, batches, JobKind.UNKNOWN)

    @admin.action(description=_("Replay all emails: send to everybody again"), permissions=["steer"])
    def replay_all(self, request: HttpRequest, batches: QuerySet[Batch]) -> HttpResponseBase | None:
        if "confirmed" in request.POST:
            self._replay(request, batches, JobKind.ALL)
            return None
        context = {
            **self.admin_site.each_context(request),
            "title": _("Send to everybody again?"),
            "opts": self.opts,
            "batches": Batch.objects.with_sending().filter(pk__in=batches),
            "checkbox_name": ACTION_CHECKBOX_NAME,
        }
        return TemplateResponse(request, "admin/batches/confirm_replay.html", context)

    def has_steer_permission(self, request: HttpRequest) -> bool:
        """Offer the steps to users who may do them with some batch. Each batch is checked again."""
        return may(request.user, Permission.SEND_BATCH) or may(request.user, Permission.STEER_ALL_BATCHES)

    def _replay(self, request: HttpRequest, batches: QuerySet[Batch], which: JobKind) -> None:
        def replay(batch: Batch) -> None:
            if refusal := find_proof_refusal(request, recipient_count=batch.total_count):
                raise lifecycle.JobRefused(refusal)
            creation.replay_batch(batch, which=which, user=request.user)

        self._steer(request, batches, replay, act=Act.RESTART, done=_say_queued)

    def _steer(
        self,
        request: HttpRequest,
        batches: QuerySet[Batch],
        step: Callable[[Batch], None],
        *,
        act: Act,
        done: Callable[[int], str],
    ) -> None:
        """Do a step with each batch. The page shows why a batch was refused; the step is still done with the others."""
        count = 0
        for batch in batches:
            try:
                require_act(request.user, batch, act)
                step(batch)
                count += 1
            except (lifecycle.JobRefused, NotPermitted) as exc:
                self.message_user(request, str(exc), messages.WARNING)
        if count:
            self.message_user(request, done(count) % {"count": figure(count)}, messages.SUCCESS)

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        if not request.user.is_superuser:
            return False
        return obj is None or not EmailJob.objects.live().filter(batch=obj.pk).exists()

    def get_deleted_objects(
        self, objs: Sequence[Any] | QuerySet[Any], request: HttpRequest
    ) -> tuple[list[str], dict[str, int], set[str], list[str]]:
        """List the batches that the confirmation page shows. Django would list every email, and load it for that."""
        counts = {gettext("batches"): len(objs), gettext("emails"): sum(batch.total_count for batch in objs)}
        lines = [say(f"{batch} with its {batch.total_count:,} emails and their attempts") for batch in objs]
        return lines, counts, set(), []

    def delete_model(self, request: HttpRequest, obj: Batch) -> None:
        delete_batches([obj.pk])

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Batch]) -> None:
        wanted = list(queryset.values_list("pk", flat=True))
        if delete_batches(wanted) < len(wanted):
            self.message_user(request, "Live batches were not deleted. Cancel them first.", messages.WARNING)


def _say_rejected(row: RejectedRow) -> str:
    return gettext("line %(line)s: %(reason)s") % {"line": row.line, "reason": say(row.reason)}


def _say_paused(count: int) -> str:
    return ngettext("%(count)s batch paused.", "%(count)s batches paused.", count)


def _say_resumed(count: int) -> str:
    return ngettext("%(count)s batch resumed.", "%(count)s batches resumed.", count)


def _say_cancelled(count: int) -> str:
    return ngettext("%(count)s batch cancelled.", "%(count)s batches cancelled.", count)


def _say_queued(count: int) -> str:
    return ngettext("%(count)s batch queued again.", "%(count)s batches queued again.", count)


def read(batch: Batch) -> progress.Snapshot | None:
    snapshot: progress.Snapshot | None = getattr(batch, "snapshot", None)
    return snapshot
