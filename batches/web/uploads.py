"""The first page: it takes an upload, and shows the progress of the newest batches.

A file and a template enter. A draft leaves to the review, or a batch that is being sent.
"""

from __future__ import annotations

import hashlib
import uuid
from typing import Any, BinaryIO, cast
from urllib.parse import urlencode

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.files.uploadedfile import UploadedFile
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods

from batches import intake
from batches.accounts.proof import needs_proof
from batches.jobs import creation, lifecycle
from batches.jobs.user_limits import LimitReached, refuse_used_up
from batches.models import Batch, EmailTemplate
from batches.permissions import REFUSALS, Permission, may, require
from batches.web.forms import UploadForm
from batches.web.progressbar import make_cards
from batches.web.requests import SignedInRequest, batches_of

RECENT_COUNT = 8


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def home(request: SignedInRequest) -> HttpResponse:
    """Take an upload, or show the form and the newest batches."""
    if request.method != "POST":
        return _show(request, _new_form(request))
    require(request.user, Permission.SEND_BATCH)
    form = UploadForm(request.POST, request.FILES, user=request.user)
    if not form.is_valid():
        return _show(request, form, status=422)
    try:
        batch = _import(request, form)
    except (intake.ListRefused, LimitReached) as exc:
        form.refuse(str(exc))
        return _show(request, form, status=exc.http_status)
    if form.cleaned_data["then"] == "send":
        return _send(request, form, batch)
    return _review(form, batch)


def _import(request: SignedInRequest, form: UploadForm) -> Batch:
    file: UploadedFile[Any] = form.cleaned_data["file"]
    encoding = form.cleaned_data["encoding"]
    if form.cleaned_data["then"] == "send":
        refuse_used_up(request.user, key=f"form-{form.cleaned_data['key']}-{encoding}")
    # The same file in another encoding is another request: the user went back to have it read correctly.
    key = intake.IdempotencyKey(value=f"form-{form.cleaned_data['key']}-{encoding}", request_digest=_digest(file))
    filename = file.name or "upload.csv"
    return intake.import_csv(
        cast(BinaryIO, file.file),
        filename=filename,
        label=intake.Label(name=form.cleaned_data["name"] or intake.name_after_file(filename)),
        user=request.user,
        key=key,
        options=intake.ReadingOptions(encoding=encoding or None),
        is_reviewed=True,
    ).batch


def _digest(file: UploadedFile[Any]) -> str:
    """Return the SHA-256 of the file, so that a form sent twice makes one batch, and with another file is refused."""
    digest = hashlib.sha256()
    for chunk in file.chunks():
        digest.update(chunk)
    file.seek(0)
    return digest.hexdigest()


def _send(request: SignedInRequest, form: UploadForm, batch: Batch) -> HttpResponse:
    """Send at once. If that is refused, the draft is kept, and its review shows why."""
    if needs_proof(request, recipient_count=batch.total_count):  # a form with a file can't be carried out later
        messages.info(request, "The list is large, so it is not sent yet. Check it, then press Send.")
        return _review(form, batch)
    chosen = form.cleaned_data
    try:
        creation.send_once(
            batch,
            template=chosen["template"],
            user=request.user,
            subject=chosen["subject"],
            sender=chosen["sender"],
        )
    except creation.ApprovalAsked:
        pass  # the page of the batch says what it waits for
    except lifecycle.JobRefused as exc:
        messages.error(request, str(exc))
        return _review(form, batch)
    return redirect("batch", batch_id=batch.pk)


def _review(form: UploadForm, batch: Batch) -> HttpResponse:
    cleaned = form.cleaned_data
    chosen = {"template": cleaned["template"].key, "subject": cleaned["subject"], "sender": cleaned["sender"]}
    query = urlencode({name: value for name, value in chosen.items() if value})
    return redirect(f"{reverse('review', args=[batch.pk])}?{query}")


def _new_form(request: SignedInRequest) -> UploadForm:
    default = EmailTemplate.objects.filter(is_default=True).first()
    initial = {"template": default and default.key, "then": "review", "key": uuid.uuid4().hex}
    return UploadForm(initial=initial, user=request.user)


def _show(request: SignedInRequest, form: UploadForm, status: int = 200) -> HttpResponse:
    recent = batches_of(request).filter(is_test=False).select_related("created_by")[:RECENT_COUNT]
    refusal = "" if may(request.user, Permission.SEND_BATCH) else REFUSALS[Permission.SEND_BATCH]
    context = {"form": form, "cards": make_cards(recent), "refusal": refusal}
    return render(request, "batches/home.html", context, status=status)
