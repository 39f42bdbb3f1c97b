"""The page of one person, for auditors: what the program holds of an address, as a download, or removed.

An address is posted, and never in the address of a page: an access log or a browser's history would keep it.
"""

from __future__ import annotations

from collections.abc import Sequence

from django import forms
from django.contrib.auth.decorators import login_required
from django.core.serializers.json import DjangoJSONEncoder
from django.db import transaction
from django.http import HttpResponse
from django.shortcuts import render
from django.utils.cache import add_never_cache_headers
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_http_methods

from batches import audit
from batches.accounts.proof import require_proof
from batches.models import AuditAction, Batch
from batches.people import (
    ErasureRefused,
    Findings,
    NotAnAddress,
    PersonBusy,
    Spelling,
    erase_person,
    export_person,
    find_person,
)
from batches.people.wording import count_findings, say_erased
from batches.permissions import Permission, require
from batches.suppressions import digest_address, find_digest, list_of
from batches.web.requests import SignedInRequest, posted_from

ERASE_SECONDS = 20.0
"""How long the page waits for emails in flight. A browser or a proxy gives up later than that."""

FILENAME = "person.json"
"""The name of the download. The address is not in it, because a browser keeps a list of downloads."""


class PersonForm(forms.Form):
    """The address of a person."""

    # No field of the type email: browsers refuse letters such as ü before the @-sign, and a pasted "Name <address>".
    address = forms.CharField(
        label=_("Address"),
        max_length=512,
        widget=forms.TextInput(
            attrs={"inputmode": "email", "autocomplete": "off", "autocapitalize": "none", "spellcheck": "false"}
        ),
    )

    def read(self) -> Spelling | None:
        """Return the address, or None with a sentence on the form."""
        if not self.is_valid():
            return None
        try:
            return Spelling.read(self.cleaned_data["address"])
        except NotAnAddress as exc:
            self.add_error("address", str(exc))
            return None


class ErasureForm(PersonForm):
    """The same with the address once more, so that nobody erases somebody by one wrong click."""

    again = forms.CharField(label=_("Type the address again"), max_length=512)

    def clean_again(self) -> str:
        again = str(self.cleaned_data["again"])
        if again.strip().casefold() != str(self.cleaned_data.get("address", "")).strip().casefold():
            raise forms.ValidationError("This is not the same address. Type it as it is above.")
        return again


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def show_person(request: SignedInRequest) -> HttpResponse:
    """Show a field for an address, and after it is posted, where the program has it."""
    require(request.user, Permission.VIEW_AUDIT)
    if request.method != "POST":
        return _show(request, PersonForm())
    form = PersonForm(request.POST)
    spelling = form.read()
    if spelling is None:
        return _show(request, form, status=422)
    _record(AuditAction.PERSON_SEARCH, spelling)
    return _show(request, form, spelling=spelling, found=find_person(spelling))


@posted_from("person")
def export(request: SignedInRequest) -> HttpResponse:
    """Give out everything about a person as a file."""
    require(request.user, Permission.VIEW_AUDIT)
    form = PersonForm(request.POST)
    spelling = form.read()
    if spelling is None:
        return _show(request, form, status=422)
    _record(AuditAction.PERSON_EXPORT, spelling)
    text = DjangoJSONEncoder(indent=2, ensure_ascii=False).encode(export_person(spelling))
    response = HttpResponse(text, content_type="application/json; charset=utf-8")
    response.headers["Content-Disposition"] = f'attachment; filename="{FILENAME}"'
    add_never_cache_headers(response)
    return response


@posted_from("person")
def erase(request: SignedInRequest) -> HttpResponse:
    """Remove everything about a person, after the address was typed twice and the auditor proved again who it is."""
    require(request.user, Permission.VIEW_AUDIT)
    require_proof(request)
    form = ErasureForm(request.POST)
    spelling = form.read()
    if spelling is None:
        search = PersonForm(request.POST)
        first = search.read()
        found = find_person(first) if first else None
        return _show(request, search, spelling=first, found=found, erasure=form, status=422)
    try:
        erased = erase_person(spelling, wait_seconds=ERASE_SECONDS)
    except (ErasureRefused, PersonBusy) as exc:
        return _show(request, PersonForm(), refusal=str(exc), status=409)
    # No redirect with messages: they are lost if the form is carried out after a proof. A second erasure does no harm.
    return _show(request, PersonForm(), said=say_erased(erased))


def _record(action: AuditAction, spelling: Spelling) -> None:
    with transaction.atomic():
        audit.record(action, person=digest_address(spelling.stored))


def _show(
    request: SignedInRequest,
    form: PersonForm,
    *,
    spelling: Spelling | None = None,
    found: Findings | None = None,
    erasure: ErasureForm | None = None,
    said: Sequence[str] = (),
    refusal: str = "",
    status: int = 200,
) -> HttpResponse:
    context = {
        "form": form,
        "erasure": erasure or ErasureForm(),
        "spelling": spelling,
        "found": found,
        "counts": count_findings(found) if found is not None else [],
        "batches": Batch.objects.filter(pk__in=found.batch_ids).order_by("-pk") if found is not None else [],
        "said": said,
        "refusal": refusal,
        "suppressed": _say_suppressed(spelling) if spelling is not None else "",
    }
    response = render(request, "batches/person.html", context, status=status)
    add_never_cache_headers(response)
    return response


def _say_suppressed(spelling: Spelling) -> str:
    """Say why the person gets no mail, and of which topics. Empty: the person gets all mail."""
    found = list_of(find_digest(spelling.stored)).select_related("topic")
    return ", ".join(
        f"{row.get_reason_display()} ({row.topic.name})" if row.topic is not None else row.get_reason_display()
        for row in found
    )
