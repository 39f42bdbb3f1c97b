"""The page that lists batches, newest first: all of them, or those that its form looks for.

A query string enters, so a filtered list can be kept as a bookmark. A page leaves. Tests have a tab of their own.
"""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from typing import Any

from django import forms
from django.contrib.auth.decorators import login_required
from django.contrib.auth.models import User
from django.db.models import Exists, OuterRef, QuerySet
from django.http import HttpResponse, QueryDict
from django.shortcuts import render
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_safe

from batches import paging
from batches.batch_search import find_batches
from batches.models import Batch, BatchStatus, EmailJob, EmailTemplate
from batches.permissions import Permission, may
from batches.web.progressbar import make_cards
from batches.web.requests import SignedInRequest, batches_of

PAGE_ROWS = 25

TEXT_MAX_CHARS = 200

TEMPLATES_MAX = 500
"""So many templates can be chosen from."""


class BatchForm(forms.Form):
    """What a user looks for among the batches."""

    q = forms.CharField(label=_("Name or subject"), required=False, max_length=TEXT_MAX_CHARS)
    status = forms.ChoiceField(label=_("Status"), required=False)
    template = forms.ChoiceField(label=_("Template"), required=False)
    who = forms.ModelChoiceField(
        label=_("Made by"), required=False, queryset=User.objects.none(), empty_label=_("Everybody")
    )
    since = forms.DateField(label=_("From"), required=False, widget=forms.DateInput({"type": "date"}, "%Y-%m-%d"))
    until = forms.DateField(label=_("Until"), required=False, widget=forms.DateInput({"type": "date"}, "%Y-%m-%d"))

    def __init__(self, *args: Any, user: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        templates = EmailTemplate.objects.order_by("name").values_list("key", "name")[:TEMPLATES_MAX]
        self.fields["status"].choices = [("", _("All")), *BatchStatus.choices]  # type: ignore[attr-defined]
        self.fields["template"].choices = [("", _("All")), *templates]  # type: ignore[attr-defined]
        if may(user, Permission.VIEW_ALL_BATCHES):
            owners = User.objects.filter(Exists(Batch.objects.filter(created_by=OuterRef("pk"))))
            self.fields["who"].queryset = owners.order_by("username")  # type: ignore[attr-defined]
        else:
            del self.fields["who"]


@require_safe
@login_required
def show_batches(request: SignedInRequest) -> HttpResponse:
    """List the batches that the user may see, newest first."""
    form = BatchForm(request.GET, user=request.user)
    is_tests = request.GET.get("tests") == "only"
    # A refused form shows nothing: batches that it did not ask for would be taken for its answer.
    chosen = form.cleaned_data if form.is_valid() else None
    batches = batches_of(request).filter(is_test=is_tests)
    found = Batch.objects.none() if chosen is None else filter_batches(batches, chosen)
    page = _read_page(found, text=chosen["q"] if chosen else "", query=request.GET)
    context = {
        "form": form,
        "page": page,
        "cards": make_cards(page.rows),
        "is_filtered": chosen is None or any(chosen.values()),
        "is_tests": is_tests,
        "has_tests": is_tests or batches_of(request).filter(is_test=True).exists(),
    }
    return render(request, "batches/batches.html", context)


def _read_page(batches: QuerySet[Batch], *, text: str, query: QueryDict) -> paging.Page[Batch]:
    if not text:
        return paging.read_page(_describe(batches), order=["-pk"], query=query, size=PAGE_ROWS)
    cursor = str(query.get("after", ""))
    try:
        [before] = paging.parse(cursor, count=1) if cursor else [None]
    except paging.CursorFault:
        before = None
    ids = find_batches(batches, text, before=before, size=PAGE_ROWS + 1)
    rows = list(_describe(Batch.objects.filter(pk__in=ids[:PAGE_ROWS])).order_by("-pk"))
    following = str(ids[PAGE_ROWS - 1]) if len(ids) > PAGE_ROWS else None
    return paging.make_page(rows, query=query, following=following, is_first=before is None)


def _describe(batches: QuerySet[Batch]) -> QuerySet[Batch]:
    return batches.with_sending().select_related("created_by")  # type: ignore[attr-defined,no-any-return]


def filter_batches(batches: QuerySet[Batch], chosen: dict[str, Any]) -> QuerySet[Batch]:
    """Filter batches by the cleaned data of a BatchForm, except the text."""
    jobs = EmailJob.objects.filter(batch=OuterRef("pk"))
    if chosen["status"]:
        batches = batches.filter(status=chosen["status"])
    if chosen["template"]:
        batches = batches.filter(Exists(jobs.filter(template_key=chosen["template"])))
    if chosen.get("who"):
        batches = batches.filter(created_by=chosen["who"])
    if chosen["since"]:
        batches = batches.filter(created_at__gte=_midnight(chosen["since"]))
    if chosen["until"] and chosen["until"] < date.max:  # which has no day after it
        batches = batches.filter(created_at__lt=_midnight(chosen["until"] + timedelta(days=1)))
    return batches


def _midnight(day: Any) -> datetime:
    return timezone.make_aware(datetime.combine(day, time.min))
