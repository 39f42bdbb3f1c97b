"""The first page: it takes a list of recipients, and shows the progress of the newest batches.

A file, pasted addresses or a group of users enter, with a letter. A draft leaves: to the review, or to the question
that comes before it is sent at once.
"""

from __future__ import annotations

import hashlib
import uuid
from io import BytesIO
from typing import Any, BinaryIO, cast
from urllib.parse import urlencode

from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.contrib.auth.models import Group
from django.core.files.uploadedfile import UploadedFile
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from batches import intake
from batches.jobs.user_limits import LimitReached, refuse_used_up
from batches.models import Batch, EmailTemplate
from batches.permissions import REFUSALS, Permission, may, require
from batches.web.forms import UploadForm
from batches.web.progressbar import make_cards
from batches.web.requests import SignedInRequest, batches_of

RECENT_COUNT = 8

PASTED_FILENAME = "pasted.txt"


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def home(request: SignedInRequest) -> HttpResponse:
    """Take a list of recipients, or show the form and the newest batches."""
    if request.method != "POST":
        return _show(request, _new_form(request))
    require(request.user, Permission.SEND_BATCH)
    form = UploadForm(request.POST, request.FILES, user=request.user)
    if not form.is_valid():
        return _show(request, form, status=422)
    try:
        batch = _import(request, form.cleaned_data)
    except (intake.ListRefused, LimitReached) as exc:
        form.refuse(str(exc))
        return _show(request, form, status=exc.http_status)
    return _go_on(batch, form.cleaned_data)


def _import(request: SignedInRequest, chosen: dict[str, Any]) -> Batch:
    value = f"form-{chosen['key']}-{chosen['encoding']}"
    if chosen["then"] == "send":
        refuse_used_up(request.user, key=value)
    if chosen["group"]:
        return _import_group(request, chosen["group"], chosen, value)
    file: UploadedFile[Any] | None = chosen["file"]
    stream = cast(BinaryIO, file.file) if file else BytesIO(chosen["pasted"].encode(errors="replace"))
    filename = (file.name if file else "") or PASTED_FILENAME
    # The same file in another encoding is another request: the user went back to have it read correctly.
    key = intake.IdempotencyKey(value=value, request_digest=_digest(stream))
    return intake.import_csv(
        stream,
        filename=filename,
        label=intake.Label(
            name=chosen["name"] or (intake.name_after_file(filename) if file else _("Pasted addresses"))
        ),
        user=request.user,
        key=key,
        options=intake.ReadingOptions(encoding=(chosen["encoding"] if file else "utf-8") or None),
        is_reviewed=True,
    ).batch


def _import_group(request: SignedInRequest, group: Group, chosen: dict[str, Any], value: str) -> Batch:
    require(request.user, Permission.SEND_TO_GROUP)
    digest = hashlib.sha256(f"group {group.pk}".encode()).hexdigest()
    key = intake.IdempotencyKey(value=value, request_digest=digest)
    return intake.import_group(group, user=request.user, key=key, label=intake.Label(name=chosen["name"])).batch


def _digest(stream: BinaryIO) -> str:
    """Return the SHA-256 of a file, so that a form sent twice makes one batch, and with another file is refused."""
    digest = intake.digest_file(stream)
    stream.seek(0)
    return digest


def _go_on(batch: Batch, chosen: dict[str, Any]) -> HttpResponse:
    """Redirect to the review, or to the question whether to send at once, with the letter that was chosen."""
    page = "send-at-once" if chosen["then"] == "send" else "review"
    parts = {"template": chosen["template"].key, **{name: chosen[name] for name in ("subject", "sender", "topic")}}
    query = urlencode({name: value for name, value in parts.items() if value})
    return redirect(f"{reverse(page, args=[batch.pk])}?{query}")


def _new_form(request: SignedInRequest) -> UploadForm:
    default = EmailTemplate.objects.filter(is_default=True).first()
    initial = {"template": default and default.key, "then": "review", "key": uuid.uuid4().hex}
    return UploadForm(initial=initial, user=request.user)


def _show(request: SignedInRequest, form: UploadForm, status: int = 200) -> HttpResponse:
    recent = batches_of(request).filter(is_test=False).select_related("created_by")[:RECENT_COUNT]
    refusal = "" if may(request.user, Permission.SEND_BATCH) else REFUSALS[Permission.SEND_BATCH]
    context = {
        "form": form,
        "cards": make_cards(recent),
        "refusal": refusal,
        "is_first_time": not refusal and not request.user.batches.filter(is_test=False).exists(),
        "mail_stops_here": settings.IS_LOCAL_INBOX,
        "may_send_to_group": may(request.user, Permission.SEND_TO_GROUP),
    }
    return render(request, "batches/home.html", context, status=status)
