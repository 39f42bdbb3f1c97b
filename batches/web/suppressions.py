"""The page of the do-not-send list: who gets no mail and why, and the forms that add an address or a file.

An address is posted, and never in the address of a page: an access log or a browser's history would keep it.
"""

from __future__ import annotations

from datetime import date
from typing import Any, BinaryIO, cast

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db.models import QuerySet
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.text import capfirst
from django.utils.translation import gettext_lazy as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from batches import do_not_send
from batches.do_not_send import Entry, FileImported, SuppressionRefused
from batches.files.errors import ListRefused
from batches.files.spooling import check_size
from batches.models import Suppression, SuppressionReason, Topic, TopicKind
from batches.paging import read_page
from batches.permissions import Permission, require
from batches.web.requests import SignedInRequest, posted_from

PAGE_ROWS = 50

REASON_CHOICES = [(reason.value, capfirst(reason.label)) for reason in do_not_send.REASONS]

# Two forms of the page have a field with the same name.
ADD_IDS, IMPORT_IDS = "id_add_%s", "id_import_%s"

_ADDRESS = {"inputmode": "email", "autocomplete": "off", "autocapitalize": "none", "spellcheck": "false"}


class TopicChoice(forms.ModelChoiceField):  # type: ignore[type-arg]  # Django has no argument at run time
    """One topic, or all of them."""

    def __init__(self) -> None:
        super().__init__(
            Topic.objects.all(), label=_("Topic"), required=False, empty_label=_("All mail"), to_field_name="key"
        )


class SearchForm(forms.Form):
    """What to look for."""

    reason = forms.ChoiceField(
        label=_("Why"), required=False, choices=[("", _("For any reason")), *SuppressionReason.choices]
    )
    since = forms.DateField(label=_("Added since"), required=False, widget=forms.DateInput(attrs={"type": "date"}))


class AddForm(forms.Form):
    """One address that gets no mail any more."""

    # No field of the type email: browsers refuse letters such as ü before the @-sign, and a pasted "Name <address>".
    address = forms.CharField(label=_("Address"), max_length=512, widget=forms.TextInput(attrs=_ADDRESS))
    topic = TopicChoice()
    until = forms.DateField(
        label=_("Until"),
        required=False,
        widget=forms.DateInput(attrs={"type": "date"}),
        help_text=_("Left empty: until somebody takes the address off."),
    )
    source = forms.CharField(
        label=_("Note"),
        required=False,
        max_length=do_not_send.SOURCE_MAX_CHARS,
        help_text=_("Such as “asked by telephone”. Leave the address out: the note stays when the person is erased."),
    )

    def clean_until(self) -> date | None:
        until = self.cleaned_data["until"]
        if until is not None and until <= timezone.localdate():
            raise forms.ValidationError("Choose a day after today, or leave it empty.")
        return cast("date | None", until)


class FindForm(forms.Form):
    """An address that somebody asks about."""

    address = forms.CharField(label=_("Address"), max_length=512, widget=forms.TextInput(attrs=_ADDRESS))


class ImportForm(forms.Form):
    """A file of addresses."""

    file = forms.FileField(label=_("File"))
    topic = TopicChoice()
    reason = forms.ChoiceField(label=_("Why"), choices=REASON_CHOICES, initial=SuppressionReason.IMPORTED.value)


@require_safe
@login_required
@never_cache
def show_suppressions(request: SignedInRequest) -> HttpResponse:
    """List who gets no mail, newest first."""
    require(request.user, Permission.MANAGE_SUPPRESSIONS)
    return _show(request)


@posted_from("suppressions")
@never_cache
def find(request: SignedInRequest) -> HttpResponse:
    """Show what the list says of one address."""
    require(request.user, Permission.MANAGE_SUPPRESSIONS)
    form = FindForm(request.POST)
    if not form.is_valid():
        return _show(request, find_form=form, status=422)
    try:
        found = do_not_send.find_rows(form.cleaned_data["address"])
    except SuppressionRefused as exc:
        form.add_error("address", str(exc))
        return _show(request, find_form=form, status=422)
    return _show(request, find_form=form, found=found)


@posted_from("suppressions")
@never_cache
def add(request: SignedInRequest) -> HttpResponse:
    """Put one address on the list."""
    require(request.user, Permission.MANAGE_SUPPRESSIONS)
    form = AddForm(request.POST, auto_id=ADD_IDS)
    if form.is_valid():
        values = form.cleaned_data
        ends_at = do_not_send.read_end(values["until"].isoformat()) if values["until"] else None
        entry = Entry(topic=values["topic"], source=values["source"] or "page", ends_at=ends_at)
        try:
            added = do_not_send.add_addresses([values["address"]], entry)
        except SuppressionRefused as exc:
            form.add_error("address", str(exc))
        else:
            messages.success(request, _say_added(entry) if added else "This address was on the list already.")
            return redirect("suppressions")
    return _show(request, add_form=form, status=422)


@posted_from("suppressions")
@never_cache
def import_file(request: SignedInRequest) -> HttpResponse:
    """Put the addresses of a file on the list. The page says which lines were bad."""
    require(request.user, Permission.MANAGE_SUPPRESSIONS)
    form = ImportForm(request.POST, request.FILES, auto_id=IMPORT_IDS)
    if not form.is_valid():
        return _show(request, import_form=form, status=422)
    file = form.cleaned_data["file"]
    entry = Entry(reason=SuppressionReason(form.cleaned_data["reason"]), topic=form.cleaned_data["topic"])
    try:
        check_size(file.size or 0)
        imported = do_not_send.import_file(cast(BinaryIO, file), entry, filename=file.name, reader=request.user.pk)
    except ListRefused as exc:
        form.add_error("file", exc.message)
        return _show(request, import_form=form, status=422)
    # No redirect: the bad lines are shown once, and a second import of the file does no harm.
    return _show(request, imported=imported)


@posted_from("suppressions")
@never_cache
def lift(request: SignedInRequest, suppression_id: int) -> HttpResponse:
    """Take one row off the list. One that is gone is off it too."""
    require(request.user, Permission.MANAGE_SUPPRESSIONS)
    row = Suppression.objects.select_related("topic").filter(pk=suppression_id).first()
    if row is not None:
        do_not_send.lift_row(row)
        messages.success(request, "It is off the list. The address gets mail again, unless another line names it.")
    return redirect("suppressions")


def _say_added(entry: Entry) -> str:
    if entry.topic is None:
        return "The address gets no mail from here any more."
    return f"The address gets no mail of the topic “{entry.topic.name}” any more."


def _search(form: SearchForm) -> QuerySet[Suppression]:
    rows = Suppression.objects.select_related("topic")
    chosen = form.cleaned_data if form.is_bound and form.is_valid() else {}
    if chosen.get("reason"):
        rows = rows.filter(reason=chosen["reason"])
    if chosen.get("since"):
        rows = rows.filter(created_at__gte=do_not_send.read_end(chosen["since"].isoformat()))
    return rows


def _show(
    request: SignedInRequest,
    *,
    add_form: AddForm | None = None,
    find_form: FindForm | None = None,
    import_form: ImportForm | None = None,
    found: QuerySet[Suppression] | None = None,
    imported: FileImported | None = None,
    status: int = 200,
) -> HttpResponse:
    search = SearchForm(request.GET or None)
    page = read_page(_search(search), order=["-pk"], query=request.GET, size=PAGE_ROWS)
    context: dict[str, Any] = {
        "search": search,
        "page": page,
        "rows": list(map(_describe, page.rows)),
        "is_filtered": search.is_bound and search.is_valid() and any(search.cleaned_data.values()),
        "find_form": find_form or FindForm(),
        "add_form": add_form or AddForm(auto_id=ADD_IDS),
        "import_form": import_form or ImportForm(auto_id=IMPORT_IDS),
        "found": [_describe(row) for row in found.select_related("topic")] if found is not None else None,
        "imported": imported,
    }
    return render(request, "batches/suppressions.html", context, status=status)


def _describe(row: Suppression) -> dict[str, Any]:
    """Return a row with what it stops, in words, and whether it has ended."""
    stopped = "all mail"
    if row.topic is not None:
        stopped = row.topic.name
    elif row.reason == SuppressionReason.UNSUBSCRIBED:
        stopped = "all news"
    is_idle = (
        row.reason == SuppressionReason.UNSUBSCRIBED and row.topic is not None and row.topic.kind == TopicKind.SERVICE
    )
    return {
        "row": row,
        "stopped": "nothing: the topic is service mail" if is_idle else stopped,
        "has_ended": row.ends_at is not None and row.ends_at <= timezone.now(),
        "digest": bytes(row.digest).hex()[:12],
    }
