"""Emails in the admin: the record of every recipient. It can be read, never written.

Search terms and filters enter. Lists of emails leave, and one email with its attempts.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, cast

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html_join
from django.utils.text import Truncator
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from batches import audit, directory
from batches.admin.readonly import ReadOnlyAdmin
from batches.history import Record, say_histories
from batches.models import AuditAction, Batch, Email, EmailQuerySet, EmailStatus, Person
from batches.progress import read_snapshot
from batches.state_search import narrow
from batches.suppressions import digest_address, find_digest
from batches.translations import say

ATTEMPTS_SHOWN = 100
PEOPLE_MAX = 100
"""The emails to so many people are listed at most when the beginning of an address is searched."""
_SEPARATOR = "\x1e"
"""ASCII's record separator, which no text has."""


class EmailChangeList(ChangeList):
    """A page of emails with their records, read in one query: a row's own columns forget what a replay of all sent."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        for email, said in zip(self.result_list, say_histories(list(self.result_list), separator=""), strict=True):
            email.record = said.record


class StateFilter(admin.SimpleListFilter):
    """Filter by the state that the list, the pages, the API and the exports show."""

    title = _("status")
    parameter_name = "status"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(status.value, str(status.label)) for status in EmailStatus]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Email]) -> QuerySet[Email]:
        state = self.value()
        if state not in EmailStatus.values:
            return queryset
        emails, batch = cast(EmailQuerySet, queryset), find_chosen_batch(request)
        now = read_snapshot(batch.pk) if batch else None
        if batch and now:
            return narrow(emails, batch, EmailStatus(state), now)
        # Of all batches, only the emails in flight are found without reading every email.
        return emails.in_state(state) if state == EmailStatus.SENDING else emails.none()


def find_chosen_batch(request: HttpRequest) -> Batch | None:
    """Find the batch by whose emails the list is filtered."""
    chosen = request.GET.get("batch", "")
    return Batch.objects.filter(pk=int(chosen)).first() if chosen.isascii() and chosen.isdigit() else None


def _filter_by_people(emails: QuerySet[Email], people: list[int]) -> QuerySet[Email]:
    """Filter by people whom the directory knows. PostgreSQL walks from each of them to the emails."""
    keys = (
        "(batches_email.batch_id, batches_email.row) IN"
        " (SELECT l.batch_id, l.row FROM batches_personemail l WHERE l.person_id = ANY(%s))"
    )
    return emails.extra(where=[keys], params=[people])  # noqa: S610  (a constant)


def _record_search(term: str) -> None:
    """Write down that somebody looked for a person. The beginning of an address has no digest to compare."""
    is_address = "@" in term and not term.endswith("*")
    details: dict[str, Any] = {"person": digest_address(term)} if is_address else {"by": "the beginning of an address"}
    audit.record(AuditAction.PERSON_SEARCH, **details)


@admin.register(Email)
class EmailAdmin(ReadOnlyAdmin):
    batch_field = "batch"
    list_display = ("address", "batch", "row", "state", "attempts", "record_code", "short_reply", "recorded_at")
    list_filter = (StateFilter,)
    list_select_related = ("batch",)
    search_fields = ("address",)
    search_help_text = _(
        "A whole address, or its beginning and a star: ann@*. It is looked for in the batches that were sent. "
        "To filter by a status, come here from a batch."
    )
    actions = None
    fields = (
        *("batch", "row", "line", "address", "fields", "state", "attempts", "next_attempt_at"),
        *("record_code", "record_reply", "recorded_at", "sent_before_at", "lane", "history"),
    )
    readonly_fields = ("state", "record_code", "record_reply", "recorded_at", "history")

    def get_queryset(self, request: HttpRequest) -> EmailQuerySet:
        return cast(EmailQuerySet, super().get_queryset(request)).with_state()

    @admin.display(description=_("status"))
    def state(self, email: Email) -> str:
        return str(EmailStatus(email.state).label)

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Email], search_term: str
    ) -> tuple[QuerySet[Email], bool]:
        """Search for the whole address, or for its beginning. Django's own search would fold the case of every row."""
        term = search_term.strip()
        if not term:
            return queryset, False
        _record_search(term)
        if not term.endswith("*"):
            people = Person.objects.filter(digest=find_digest(term)).values_list("pk", flat=True)
            return _filter_by_people(queryset, list(people)), False
        beginning = term.rstrip("*")
        found = directory.find_people(request.user, beginning, size=PEOPLE_MAX).people
        emails = _filter_by_people(queryset, [person.person_id for person in found])
        return emails.filter(address__startswith=beginning), False

    def get_ordering(self, request: HttpRequest) -> tuple[str]:
        """Order the emails of one batch by their rows, for which there is an index."""
        return ("-row",) if request.GET.get("batch") else ("-pk",)

    def view_on_site(self, email: Email) -> str:
        return reverse("recipient", args=[email.batch_id, email.row])

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return EmailChangeList

    @admin.display(description=_("code"))
    def record_code(self, email: Email) -> int | None:
        return _read_record(email).code

    @admin.display(description=_("reply"))
    def record_reply(self, email: Email) -> str:
        return say(_read_record(email).reply)

    @admin.display(description=_("reply"))
    def short_reply(self, email: Email) -> str:
        return Truncator(say(_read_record(email).reply)).chars(80)

    @admin.display(description=_("completed at"))
    def recorded_at(self, email: Email) -> datetime | None:
        return _read_record(email).completed_at

    @admin.display(description=_("attempts, oldest first"))
    def history(self, email: Email) -> str:
        [(_, text)] = say_histories([email], separator=_SEPARATOR)
        attempts = text.split(_SEPARATOR)[-ATTEMPTS_SHOWN:] if text else []
        return format_html_join("", "<div>{}</div>", ([say(attempt)] for attempt in attempts)) or gettext("none")


def _read_record(email: Email) -> Record:
    record: Record | None = getattr(email, "record", None)
    if record is None:
        [(record, _)] = say_histories([email], separator="")
    return record
