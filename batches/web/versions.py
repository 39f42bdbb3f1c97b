"""The pages of a template's versions: who saved which when, what changed between two, and the way back to one.

The key of a template and the number of a version enter. A page leaves, or a redirect after a version was restored.
"""

from __future__ import annotations

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_safe

from batches.models import EmailTemplate, TemplateVersion
from batches.paging import read_page
from batches.template_comparison import compare
from batches.template_versions import may_edit, restore_version
from batches.web.requests import SignedInRequest, posted_from

NUMBER_MAX_DIGITS = 9
"""The numbers of versions are PostgreSQL integers."""

NOTHING = TemplateVersion(number=0)
"""What the first version is compared with."""


@require_safe
@login_required
def show_versions(request: SignedInRequest, key: str) -> HttpResponse:
    """List the versions of a template, the newest first."""
    template = get_object_or_404(EmailTemplate.objects.select_related("owner"), key=key)
    page = read_page(template.versions.select_related("saved_by"), order=["-number"], query=request.GET, size=25)
    return render(request, "batches/versions.html", {"template": template, "page": page})


@require_safe
@login_required
def show_version(request: SignedInRequest, key: str, number: int) -> HttpResponse:
    """Show what a version changed. ``?since=NUMBER`` compares it with another one than the one before it."""
    template = get_object_or_404(EmailTemplate, key=key)
    version = _find_version(template, number)
    earlier = template.versions.filter(number__lt=version.number)
    since = request.GET.get("since", "")
    if since.isascii() and since.isdigit() and len(since) <= NUMBER_MAX_DIGITS:
        former = earlier.filter(number=int(since)).first()
    else:
        former = earlier.order_by("-number").first()
    context = {
        "template": template,
        "version": version,
        "former": former,
        "earlier": earlier.order_by("-number").values_list("number", flat=True)[:100],
        "parts": compare(former or NOTHING, version),
        "may_edit": may_edit(request.user, template),
        "is_present": version.number == template.version,
    }
    return render(request, "batches/version.html", context)


@posted_from("template-versions", "key")
def restore(request: SignedInRequest, key: str, number: int) -> HttpResponse:
    """Save the parts of a former version as a new one."""
    template = get_object_or_404(EmailTemplate, key=key)
    _find_version(template, number)
    saved = restore_version(template, number, by=request.user)
    messages.success(request, f"Version {number} is used again. It was saved as version {saved.number}.")
    return redirect("template-versions", key=template.key)


def _find_version(template: EmailTemplate, number: int) -> TemplateVersion:
    version = None
    if len(str(number)) <= NUMBER_MAX_DIGITS:
        version = template.versions.select_related("saved_by").filter(number=number).first()
    if version is None:
        raise Http404(f"The template {template.key} has no version {number}.")
    return version
