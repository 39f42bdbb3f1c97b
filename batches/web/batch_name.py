"""Give a batch another name: the form of the review and of the batch's page. A name enters, and a redirect leaves."""

from __future__ import annotations

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from batches import intake
from batches.models import BatchStatus
from batches.permissions import Act
from batches.web.requests import SignedInRequest, find_batch


class NameForm(forms.Form):
    name = forms.CharField(max_length=intake.NAME_MAX_CHARS, required=False)


@require_http_methods(["GET", "POST"])
@login_required
def name_batch(request: SignedInRequest, batch_id: int) -> HttpResponse:
    """Rename a batch, and go back to its page or its review."""
    batch = find_batch(request, batch_id, act=Act.STOP if request.method == "POST" else None)
    if request.method == "POST":
        form = NameForm(request.POST)
        if form.is_valid():
            intake.rename_batch(batch, form.cleaned_data["name"])
        else:
            limit = intake.NAME_MAX_CHARS
            messages.error(request, _("The name is longer than %(limit)s characters. Shorten it.") % {"limit": limit})
    return redirect("review" if batch.status == BatchStatus.DRAFT else "batch", batch_id=batch.pk)
