"""The pages of the templates: list, write, preview, choose the default, and delete one that was never used.

What the user typed enters. Saved templates leave, and previews that are rendered in a child process.
"""

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
"""The values of a preview without a recipient. Any other merge field shows its own name."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ListedTemplate:
    """A template as the page lists it: with its merge fields, or with the fault that keeps it from being used."""

    template: EmailTemplate
    merge_fields: list[str]
    fault: str
    is_used: bool


@require_safe
@login_required
def show_templates(request: SignedInRequest) -> HttpResponse:
    """List all templates, the default first."""
    listed = [_describe(template) for template in _with_is_used().order_by("-is_default", "name")]
    return render(request, "batches/templates.html", {"listed": listed})


@login_required
def create_template(request: SignedInRequest) -> HttpResponse:
    """Write a new template. The first one becomes the default."""
    form = TemplateForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        template = form.save()
        if EmailTemplate.objects.find_default() is None:
            EmailTemplate.objects.make_default(template.pk)
        messages.success(request, f"The template “{template.name}” was saved.")
        return redirect("templates")
    return render(request, "batches/template_form.html", {"form": form, "listed": None}, status=_status(form))


@login_required
def edit_template(request: SignedInRequest, key: str) -> HttpResponse:
    """Change a template. A job that exists keeps the message parts it was made with."""
    template = get_object_or_404(_with_is_used(), key=key)
    form = TemplateForm(request.POST or None, instance=template)
    if request.method == "POST" and form.is_valid():
        form.save()
        messages.success(
            request, f"The template “{template.name}” was saved. Batches that were already started keep the old words."
        )
        return redirect("templates")
    stored = get_object_or_404(_with_is_used(), key=key)  # a faulty form has changed the instance above
    return render(
        request, "batches/template_form.html", {"form": form, "listed": _describe(stored)}, status=_status(form)
    )


@require_POST
@login_required
def choose_default(request: SignedInRequest, key: str) -> HttpResponse:
    """Make this the template for uploads that name none."""
    template = get_object_or_404(EmailTemplate, key=key)
    EmailTemplate.objects.make_default(template.pk)
    messages.success(request, f"“{template.name}” is now the default template.")
    return redirect("templates")


@require_POST
@login_required
def delete_template(request: SignedInRequest, key: str) -> HttpResponse:
    """Delete a template, unless a job was made with it or it is the default."""
    template = get_object_or_404(EmailTemplate, key=key)
    unused = EmailTemplate.objects.filter(pk=template.pk, emailjob__isnull=True, is_default=False)
    deleted, _ = unused.delete()
    if deleted:
        messages.success(request, f"The template “{template.name}” was deleted.")
    else:
        messages.error(
            request,
            f"“{template.name}” was not deleted, because it is the default or emails were sent with it. "
            "If it is the default, make another template the default first.",
        )
    return redirect("templates")


@login_required
def preview_template(request: SignedInRequest) -> HttpResponse:
    """Show a template with sample values in a frame: the one in the form (POST), or a stored one (GET)."""
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
    """Return a value for each merge field, for a preview without a recipient."""
    return {field: SAMPLES.get(field, field.replace("_", " ").capitalize()) for field in merge_fields}


def _with_is_used() -> QuerySet[EmailTemplate]:
    return EmailTemplate.objects.annotate(is_used=Exists(EmailJob.objects.filter(template=OuterRef("pk"))))


def _describe(template: EmailTemplate) -> ListedTemplate:
    fields: list[str] = []
    fault = ""
    try:
        fields = sorted(MessageParts.of(template).compile().merge_fields)
    except TemplateFault as exc:
        fault = str(exc)
    return ListedTemplate(template=template, merge_fields=fields, fault=fault, is_used=template.is_used)  # type: ignore[attr-defined]


def _status(form: TemplateForm) -> int:
    return 422 if form.is_bound else 200
