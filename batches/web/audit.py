"""The page of the audit: who did what, when, and from where, for those who may read it.

A query string enters. A page of entries leaves, newest first, with a link to the same entries as a CSV file.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django import forms
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_safe

from batches import audit
from batches.models import AuditAction, AuditEntry, Batch
from batches.paging import read_page
from batches.permissions import Permission, require
from batches.web.requests import SignedInRequest

PAGE_ROWS = 50

DATE_INPUT = {"type": "date"}

KINDS = {"apitoken": "", "approval": "", "emailtemplate": "template"}
"""What the page calls a kind of object, if not by the name of its table. The names of tokens and approvals say what
they are."""

DIGEST = re.compile(r"[0-9a-f]{64,96}")
DIGEST_SHOWN_CHARS = 12
"""Enough to tell two digests apart by eye. The CSV file has them whole."""


def _date_input() -> forms.DateInput:
    return forms.DateInput(attrs=DATE_INPUT, format="%Y-%m-%d")


class AuditForm(forms.Form):
    """What an auditor looks for."""

    who = forms.CharField(
        required=False,
        max_length=150,
        strip=True,
        widget=forms.TextInput(attrs={"placeholder": _("A name, or program")}),
    )
    action = forms.ChoiceField(label=_("What"), required=False, choices=[("", _("Everything")), *AuditAction.choices])
    batch = forms.IntegerField(required=False, min_value=1, max_value=2**63 - 1)
    since = forms.DateField(
        label=_("Since"), required=False, widget=forms.DateInput(attrs=DATE_INPUT, format="%Y-%m-%d")
    )
    until = forms.DateField(required=False, widget=forms.DateInput(attrs=DATE_INPUT, format="%Y-%m-%d"))
    refused = forms.BooleanField(label=_("Only what was refused"), required=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class ShownEntry:
    """An entry as the page shows it."""

    entry: AuditEntry
    who: str
    act: str
    target: str
    """The object of the act, unless it is a batch."""
    has_batch: bool
    """Whether the page can link the batch: it has not been deleted."""
    details: list[tuple[str, str]]


@require_safe
@login_required
def show_audit(request: SignedInRequest) -> HttpResponse:
    """List the entries that the form looks for."""
    require(request.user, Permission.VIEW_AUDIT)
    form = AuditForm(request.GET or None)
    # A refused form shows nothing: entries that the form did not ask for would be taken for its answer.
    is_faulty = form.is_bound and not form.is_valid()
    chosen = form.cleaned_data if form.is_bound and not is_faulty else {}
    page = read_page(_search(chosen), order=["-pk"], query=request.GET, size=PAGE_ROWS)
    context = {
        "form": form,
        "page": page,
        "is_faulty": is_faulty,
        "shown": [] if is_faulty else _describe(page.rows),
        "csv_address": f"/api/audit.csv{_query(chosen)}",
        "is_filtered": any(chosen.values()),
        "all_address": reverse("audit"),
    }
    return render(request, "batches/audit.html", context, status=422 if is_faulty else 200)


def _search(chosen: dict[str, Any]) -> Any:
    return AuditEntry.objects.search(
        who=chosen.get("who") or "",
        action=chosen.get("action") or "",
        batch_id=chosen.get("batch"),
        since=chosen.get("since"),
        until=chosen.get("until"),
        is_refused=bool(chosen.get("refused")),
    )


def _query(chosen: dict[str, Any]) -> str:
    """Return the query string of the API that looks for the same."""
    query = urlencode({name: "true" if value is True else value for name, value in chosen.items() if value})
    return f"?{query}" if query else ""


def _describe(entries: Any) -> list[ShownEntry]:
    batch_ids = {entry.batch_id for entry in entries if entry.batch_id}
    kept = set(Batch.objects.filter(pk__in=batch_ids).values_list("pk", flat=True))
    return [
        ShownEntry(
            entry=entry,
            who=entry.actor_name or _name_nobody(entry.via),
            act=entry.get_action_display(),
            target=_name_target(entry),
            has_batch=entry.batch_id in kept,
            details=[(name.replace("_", " "), _say(value)) for name, value in entry.details.items() if _is_said(value)],
        )
        for entry in entries
    ]


def _name_nobody(via: str) -> str:
    """Say who acted if no user did: the program by itself, or somebody before the sign-in."""
    return str(_("The program") if via == audit.PROGRAM.via else _("Not signed in"))


def _name_target(entry: AuditEntry) -> str:
    if entry.target in ("", "batch"):
        return ""
    kind = KINDS.get(entry.target, entry.target)
    return f"{kind} {entry.target_name or entry.target_id}".strip()


def _is_said(value: object) -> bool:
    return value not in (None, "", [], {})


def _say(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(map(str, value))
    if isinstance(value, dict):
        return ", ".join(f"{name} {each}" for name, each in value.items())
    text = str(value)
    return f"{text[:DIGEST_SHOWN_CHARS]}…" if DIGEST.fullmatch(text) else text
