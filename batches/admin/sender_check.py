"""The page of a sender check, in the admin: what is published for a sender, and how its last round trip arrived.

A POST sends a round trip. The page then loads again by itself until it has arrived.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.template.response import TemplateResponse
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from batches.intake import ListRefused
from batches.jobs.lifecycle import JobRefused
from batches.models import Sender
from batches.permissions import NotPermitted
from batches.sender_checks import SenderCheck, check_sender, start_round_trip, why_not
from batches.sender_checks.published import SELECTOR

LOADS_AGAIN_FOR = timedelta(minutes=5)
"""After that, the page says what may be wrong, and a person loads it again."""

LOADS_AGAIN_SECONDS = 5


class SelectorForm(forms.Form):
    """The name of a DKIM key, for a sender that has sent no round trip."""

    selector = forms.RegexField(
        rf"^{SELECTOR.pattern}\Z",  # Django looks for a part that fits
        required=False,
        max_length=63,
        label=_("DKIM selector"),
        help_text=_("As the mail server names it, such as s1. Empty: the one of the last round trip."),
        error_messages={"invalid": _("Write the selector as the mail server names it, such as s1.")},
    )


def show_check(request: HttpRequest, sender_id: int) -> HttpResponse:
    """Show what a sender check finds. Looks into DNS.

    Raises:
        PermissionDenied: the user may not see senders.
    """
    if not request.user.has_perm("batches.view_sender"):
        raise PermissionDenied(_("You may not see the senders. Ask an administrator for the permission."))
    sender = get_object_or_404(Sender, pk=sender_id)
    if request.method == "POST":
        return _send(request, sender)
    form = SelectorForm(request.GET)
    check = check_sender(sender, selector=form.cleaned_data["selector"] if form.is_valid() else "")
    context: dict[str, Any] = {
        **admin.site.each_context(request),
        "title": gettext("Is %(address)s set up right?") % {"address": sender.address},
        "sender": sender,
        "form": form,
        "check": check,
        "parts": [
            (_("What is published in DNS"), check.published),
            (_("How the last round trip arrived"), check.arrived),
        ],
        "why_not": why_not(),
        "reload_seconds": LOADS_AGAIN_SECONDS if _is_on_its_way(check) else 0,
    }
    return TemplateResponse(request, "admin/batches/sender_check.html", context)


def _send(request: HttpRequest, sender: Sender) -> HttpResponse:
    why, user = why_not(), request.user
    if not why and isinstance(user, User):
        try:
            start_round_trip(sender, user=user)
        except (ListRefused, JobRefused, NotPermitted) as exc:
            why = str(exc)
    if why:
        messages.error(request, why)
    return redirect("admin:batches_sender_check", sender_id=sender.pk)


def _is_on_its_way(check: SenderCheck) -> bool:
    return (
        bool(check.waits)
        and check.round_trip is not None
        and (timezone.now() - check.round_trip.created_at < LOADS_AGAIN_FOR)
    )
