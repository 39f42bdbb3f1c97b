"""The checklist of an administrator, and the page of help for somebody who sends for the first time."""

from __future__ import annotations

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models.functions import Now
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_safe

from batches import audit
from batches.models import AuditAction, Confirmation, ConfirmedThing, Sender
from batches.setting_up import State, list_items
from batches.web.requests import SignedInRequest


@require_safe
@login_required
def show_help(request: SignedInRequest) -> HttpResponse:
    """Show how to send a first letter, step by step."""
    return render(request, "batches/help.html")


@require_safe
@login_required
def show_checklist(request: SignedInRequest) -> HttpResponse:
    """Show what is set up and what is not."""
    _require_administrator(request.user)
    items = list_items(request.user)
    context = {
        "items": items,
        "done_count": sum(item.state is State.DONE for item in items),
        "senders": Sender.objects.order_by("key") if request.user.has_perm("batches.view_sender") else [],
    }
    return render(request, "batches/checklist.html", context)


@require_http_methods(["GET", "POST"])
@login_required
def confirm_backup(request: SignedInRequest) -> HttpResponse:
    """Write down that the user has read a backup back."""
    _require_administrator(request.user)
    if request.method == "POST":
        with transaction.atomic():
            values = {"at": Now(), "by": request.user}
            Confirmation.objects.update_or_create(thing=ConfirmedThing.BACKUP, defaults=values)
            audit.record(AuditAction.ADMIN_CHANGE, act="confirm", model="confirmation", id=ConfirmedThing.BACKUP.value)
        messages.success(request, _("Written down: you have read a backup back today."))
    return redirect("checklist")


def _require_administrator(user: User) -> None:
    if not user.is_superuser:  # is_staff alone gives nothing but the way into the admin
        raise PermissionDenied(_("The checklist is for administrators. Ask one of them."))
