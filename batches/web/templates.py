"""The pages of the templates: list, write, preview, choose the default, delete what nothing was sent with."""

from __future__ import annotations

from dataclasses import dataclass

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db.models import Exists, OuterRef, QuerySet
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_POST, require_safe

from batches.models import EmailJob, EmailTemplate
from batches.rendering.preview import render_preview
from batches.rendering.template import MessageParts, TemplateFault
from batches.web.forms import TemplateForm
from batches.web.middleware import MESSAGE_POLICY
from batches.web.requests import SignedInRequest

SAMPLES = {
    "email": "ada@example.org",
    "name": "Ada Lovelace",
    "first_name": "Ada",
    "firstname": "Ada",
    "last_name": "Lovelace",
    "lastname": "Lovelace",
    "company": "Analytical Engines",
    "city": "London",
}
"""What a preview without a recipient shows; any other merge field shows its own name."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Listed:
    """A template with the merge fields that it uses, or the sentence that says why it can't be used."""

    template: EmailTemplate
    merge_fields: list[str]
    fault: str
    is_used: bool


@require_safe
@login_required
def show_templates(request: SignedInRequest) -> HttpResponse:
    """List all templates, the default first."""
    listed = [_list(template) for template in _with_use().order_by("-is_default", "name")]
    return render(request, "batches/templates.html", {"listed": listed})


@login_required
def create_template(request: SignedInRequest) -> HttpResponse:
    """Write a new template; the first one of all becomes the default."""
    form = TemplateForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        template = form.save()
        if EmailTemplate.objects.find_default() is None:
            EmailTemplate.objects.make_default(template.pk)
        messages.success(request, f"The template “{template.name}” is saved.")
        return redirect("templates")
    return render(request, "batches/template_form.html", {"form": form, "listed": None}, status=_status(form))


@login_required
def edit_template(request: SignedInRequest, key: str) -> HttpResponse:
    """Change a template. What was queued keeps the words it was queued with."""
    template = get_object_or_404(_with_use(), key=key)
    form = TemplateForm(request.POST or None, instance=template)
    if request.method == "POST" and form.is_valid():
        form.save()
        messages.success(request, f"The template “{template.name}” is saved. Batches already queued are not changed.")
        return redirect("templates")
    stored = get_object_or_404(_with_use(), key=key)  # a faulty form has written into the other one
    return render(request, "batches/template_form.html", {"form": form, "listed": _list(stored)}, status=_status(form))


@require_POST
@login_required
def choose_default(request: SignedInRequest, key: str) -> HttpResponse:
    """Make this the template of an upload that names none."""
    template = get_object_or_404(EmailTemplate, key=key)
    EmailTemplate.objects.make_default(template.pk)
    messages.success(request, f"“{template.name}” is now the default template.")
    return redirect("templates")


@require_POST
@login_required
def delete_template(request: SignedInRequest, key: str) -> HttpResponse:
    """Delete a template that no job was made with and that is not the default."""
    template = get_object_or_404(EmailTemplate, key=key)
    unused = EmailTemplate.objects.filter(pk=template.pk, emailjob__isnull=True, is_default=False)
    deleted, _ = unused.delete()
    if deleted:
        messages.success(request, f"The template “{template.name}” is deleted.")
    else:
        messages.error(
            request,
            f"“{template.name}” was not deleted: it is the default, or mail was sent with it. "
            "Make another the default, or leave it for the record.",
        )
    return redirect("templates")


@login_required
def preview_template(request: SignedInRequest) -> HttpResponse:
    """Show a template with sample values, in a frame: as the form has it (POST), or as it is stored (GET)."""
    stored = EmailTemplate.objects.filter(key=request.GET.get("key", "")).first()
    if request.method == "POST":
        post = request.POST
        typed = MessageParts(subject=post.get("subject", ""), html=post.get("html", ""), text=post.get("text", ""))
        context = _render_sample(typed)
    else:
        context = _render_sample(MessageParts.of(stored)) if stored else {}
    response = render(request, "batches/preview_frame.html", context)
    response.headers["Content-Security-Policy"] = MESSAGE_POLICY
    return response


def _render_sample(parts: MessageParts) -> dict[str, object]:
    try:
        merge_fields = parts.compile().merge_fields
        message = render_preview(parts, sample_values(merge_fields))
    except TemplateFault as exc:
        return {"fault": str(exc)}
    return {"message": message, "merge_fields": sorted(merge_fields)}


def sample_values(merge_fields: frozenset[str]) -> dict[str, str]:
    """A value for each merge field, for a preview that has no recipient."""
    return {field: SAMPLES.get(field, field.replace("_", " ").capitalize()) for field in merge_fields}


def _with_use() -> QuerySet[EmailTemplate]:
    return EmailTemplate.objects.annotate(is_used=Exists(EmailJob.objects.filter(template=OuterRef("pk"))))


def _list(template: EmailTemplate) -> Listed:
    fields: list[str] = []
    fault = ""
    try:
        fields = sorted(MessageParts.of(template).compile().merge_fields)
    except TemplateFault as exc:
        fault = str(exc)
    return Listed(template=template, merge_fields=fields, fault=fault, is_used=template.is_used)  # type: ignore[attr-defined]


def _status(form: TemplateForm) -> int:
    return 422 if form.is_bound else 200
