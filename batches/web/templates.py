"""The pages of the templates: list, write, copy, preview, choose the default, and delete one that was never used.

What the user typed enters. Saved templates leave, and previews that are rendered in a child process. Everybody reads
and copies every template; who may change one is decided in ``template_versions``.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db.models import Exists, OuterRef, QuerySet
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from batches.models import EmailJob, EmailTemplate, Topic
from batches.models.template import ID_MAX_DIGITS
from batches.permissions import Permission, may
from batches.rendering import children
from batches.rendering.template import MessageParts, TemplateFault
from batches.template_analysis import read_known
from batches.template_notes import TemplateNotes
from batches.template_versions import (
    TemplateChanged,
    TemplateInUse,
    delete_template,
    make_default,
    may_edit,
    require_edit,
    save_template,
)
from batches.web.forms import TemplateForm
from batches.web.middleware import message_policy
from batches.web.requests import SignedInRequest
from batches.web.samples import sample_values

NAME_MAX_CHARS = 200

WITH_FORM = ["GET", "HEAD", "POST"]

NOTES_BESIDE = "notes_beside"
"""A field of the form that the script adds: it shows the notes itself, beside the button for the preview."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ListedTemplate:
    """A template as the page lists it: with its merge fields, or with the fault that keeps it from being used."""

    template: EmailTemplate
    merge_fields: list[str]
    fault: str
    is_used: bool
    may_edit: bool


@require_safe
@login_required
def show_templates(request: SignedInRequest) -> HttpResponse:
    """List all templates, the default first."""
    listed = _list_templates(request, _with_is_used().order_by("-is_default", "name"))
    may_choose = may(request.user, Permission.EDIT_ALL_TEMPLATES)
    return render(request, "batches/templates.html", {"listed": listed, "may_choose_default": may_choose})


@require_http_methods(WITH_FORM)
@login_required
def create_template(request: SignedInRequest) -> HttpResponse:
    """Write a new template, from nothing or as a copy (``?copy=KEY``). It belongs to the user."""
    form = TemplateForm(request.POST or None, user=request.user, initial=_copy_of(request.GET.get("copy", "")))
    if request.method == "POST" and form.is_valid():
        template = form.instance
        save_template(template, by=request.user)
        # The first one is the default, if the user may choose that.
        if EmailTemplate.objects.find_default() is None and may(request.user, Permission.EDIT_ALL_TEMPLATES):
            make_default(template, by=request.user)
        messages.success(request, f"The template “{template.name}” was saved.")
        _warn(request, template)
        return redirect("templates")
    return _show_form(request, form, listed=None)


def _copy_of(key: str) -> dict[str, object]:
    """Return the first values of a form for a copy. The copy gets a key and an owner of its own."""
    source = EmailTemplate.objects.filter(key=key).first() if key else None
    if source is None:
        return {}
    parts = {"subject": source.subject, "html": source.html, "text": source.text}
    chosen = {"sender": source.sender_id, "topic": source.topic_id}
    return {"name": f"Copy of {source.name}"[:NAME_MAX_CHARS], **parts, **chosen}


@require_http_methods(WITH_FORM)
@login_required
def edit_template(request: SignedInRequest, key: str) -> HttpResponse:
    """Change a template, or only read it. A job that exists keeps the message parts it was made with."""
    template = get_object_or_404(_with_is_used(), key=key)
    if request.method == "POST":
        require_edit(request.user, template)
    form = TemplateForm(request.POST or None, instance=template, user=request.user)
    if request.method == "POST" and form.is_valid():
        try:
            save_template(form.instance, by=request.user, based_on=form.cleaned_data["based_on"])
        except TemplateChanged as exc:
            form.refuse(str(exc))
        else:
            messages.success(
                request,
                f"The template “{template.name}” was saved. Batches that were already started keep the old words.",
            )
            _warn(request, template)
            return redirect("templates")
    stored = get_object_or_404(_with_is_used(), key=key)  # a faulty form has changed the instance above
    if not may_edit(request.user, stored):
        form.make_read_only()
    return _show_form(request, form, listed=_list_templates(request, [stored])[0])


@require_POST
@login_required
def choose_default(request: SignedInRequest, key: str) -> HttpResponse:
    """Make this the template for uploads that name none."""
    template = get_object_or_404(EmailTemplate, key=key)
    make_default(template, by=request.user)
    messages.success(request, f"“{template.name}” is now the default template.")
    return redirect("templates")


@require_POST
@login_required
def remove_template(request: SignedInRequest, key: str) -> HttpResponse:
    """Delete a template, unless a job was made with it or it is the default."""
    template = get_object_or_404(EmailTemplate, key=key)
    try:
        delete_template(template, by=request.user)
    except TemplateInUse as exc:
        messages.error(request, str(exc))
    else:
        messages.success(request, f"The template “{template.name}” was deleted.")
    return redirect("templates")


@require_http_methods(WITH_FORM)
@login_required
def preview_template(request: SignedInRequest) -> HttpResponse:
    """Show a template with sample values in a frame: the one in the form (POST), or a stored one (GET)."""
    status = 200
    try:
        context = _preview_typed(request) if request.method == "POST" else _preview_stored(request)
    except children.RenderingBusy as exc:  # the frame around it has no room for a page
        context, status = {"fault": str(exc)}, 429
    response = render(request, "batches/preview_frame.html", context, status=status)
    response.headers["Content-Security-Policy"] = message_policy(request)
    return response


def _preview_typed(request: SignedInRequest) -> dict[str, object]:
    parts = _read_typed(request)
    context = _render_sample(parts, user_id=request.user.pk)
    if NOTES_BESIDE not in request.POST:
        context["sentences"] = TemplateNotes.make(parts, user_id=request.user.pk).sentences()
    return context


def _preview_stored(request: SignedInRequest) -> dict[str, object]:
    stored = EmailTemplate.objects.filter(key=request.GET.get("key", "")).first()
    return _render_sample(MessageParts.of(stored), user_id=request.user.pk) if stored else {}


@require_POST
@login_required
def show_notes(request: SignedInRequest) -> HttpResponse:
    """Show what there is to say of the template in the form. A script puts it beside the button for the preview."""
    parts = _read_typed(request)
    notes = TemplateNotes.make(parts, user_id=request.user.pk)
    fault = notes.fault or str(_render_sample(parts, user_id=request.user.pk).get("fault", ""))
    return render(request, "batches/template_notes.html", {"fault": fault, "sentences": notes.sentences()})


def _read_typed(request: SignedInRequest) -> MessageParts:
    typed = request.POST
    parts = MessageParts(subject=typed.get("subject", ""), html=typed.get("html", ""), text=typed.get("text", ""))
    topic_id = typed.get("topic", "")
    is_number = topic_id.isascii() and topic_id.isdigit() and len(topic_id) <= ID_MAX_DIGITS
    topic = Topic.objects.filter(pk=int(topic_id)).first() if is_number else None
    return parts.with_topic(topic and topic.message_topic)


def _show_form(request: SignedInRequest, form: TemplateForm, *, listed: ListedTemplate | None) -> HttpResponse:
    """Draw the form. A stored template is shown with its notes, and a refused one with its fault alone."""
    notes = (
        TemplateNotes.make(MessageParts.of(form.instance), user_id=request.user.pk)
        if listed and not form.is_bound
        else None
    )
    context = {
        "form": form,
        "listed": listed,
        "may_edit": listed is None or listed.may_edit,
        "sentences": notes.sentences() if notes else [],
    }
    return render(request, "batches/template_form.html", context, status=_status(form))


def _warn(request: SignedInRequest, template: EmailTemplate) -> None:
    """Say what a saved template may lack. None of it kept it from being saved."""
    for sentence in TemplateNotes.make(MessageParts.of(template), user_id=request.user.pk).first_sentences():
        messages.warning(request, sentence)


def _render_sample(parts: MessageParts, *, user_id: int) -> dict[str, object]:
    try:
        parts.check_lengths()
        analysis = children.analyse_sound(parts, user_id=user_id)
        message = children.render(parts, sample_values(analysis), user_id=user_id)
    except TemplateFault as exc:
        return {"fault": str(exc)}
    return {"message": message, "merge_fields": analysis.written_fields}


def _with_is_used() -> QuerySet[EmailTemplate]:
    return EmailTemplate.objects.annotate(
        is_used=Exists(EmailJob.objects.filter(template=OuterRef("pk")))
    ).select_related("sender", "owner", "topic")


def _list_templates(request: SignedInRequest, templates: Iterable[EmailTemplate]) -> list[ListedTemplate]:
    found = list(templates)
    return [
        ListedTemplate(
            template=template,
            merge_fields=known.merge_fields,
            fault=known.fault,
            is_used=template.is_used,  # type: ignore[attr-defined]  # annotated by _with_is_used
            may_edit=may_edit(request.user, template),
        )
        for template, known in zip(found, read_known(found, user_id=request.user.pk), strict=True)
    ]


def _status(form: TemplateForm) -> int:
    return 422 if form.is_bound else 200
