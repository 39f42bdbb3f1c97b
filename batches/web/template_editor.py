"""The editor of a template: write a letter, see it beside, fix a fault by a click, send a test, and save.

What the user typed enters. A saved template leaves, a test, or the form again with everything that was typed. All of it
works without a script, except the toolbar: then the preview and the notes come when a button is pressed.
"""

from __future__ import annotations

import json

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db import IntegrityError
from django.http import HttpResponse, QueryDict
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from batches import intake
from batches.jobs import lifecycle
from batches.message_tests import send_letter_test
from batches.models import EmailTemplate, TemplateKind
from batches.permissions import Permission, may
from batches.pictures import PICTURE_MAX_BYTES, PictureRefused, store_picture
from batches.rendering import children
from batches.rendering.template import MessageParts, TemplateFault
from batches.template_notes import TemplateNotes
from batches.template_sources import make_picture_url
from batches.template_versions import TemplateChanged, make_default, may_edit, require_edit, save_template
from batches.web.editor_choice import EditorChoice, EditorNotes, list_batches, make_notes, read_choice, stored_choice
from batches.web.forms import KEY_TAKEN, TemplateForm, TestForm
from batches.web.middleware import message_policy
from batches.web.requests import SignedInRequest, posted_from
from batches.web.review import TEST_ADDRESS, find_own_address
from batches.writing.fixes import Fix

NAME_MAX_CHARS = 200

WITH_FORM = ["GET", "HEAD", "POST"]

REDRAWS = ("fix", "inline", "fields", "as_html", "upload")
"""Buttons that change what is typed, or show something about it, and save nothing."""

TYPED = ("name", "key", "subject", "source", "html", "text")
"""The fields in which a person writes."""

NOTES_BESIDE = "notes_beside"
"""A field of the form that the script adds: it shows the notes itself, beside the parts."""

SHOWS = ("html", "phone", "text")
"""How a preview is shown."""


@require_http_methods(WITH_FORM)
@login_required
def create_template(request: SignedInRequest) -> HttpResponse:
    """Write a new template, from nothing or as a copy (``?copy=KEY``). It belongs to the user.

    ``?kind=html`` begins one in HTML, which is also what a form without a kind posts: programs know no letters.
    """
    if request.method != "POST":
        kind = TemplateKind.HTML if request.GET.get("kind") == TemplateKind.HTML else TemplateKind.MARKDOWN
        initial = {"kind": kind} | _copy_of(request.GET.get("copy", ""))
        return _show(request, TemplateForm(user=request.user, initial=initial), None)
    if any(button in request.POST for button in REDRAWS):
        return _redraw(request, None)
    form = TemplateForm(request.POST, user=request.user)
    if not form.is_valid():
        return _show(request, form, None)
    template = form.instance
    try:
        save_template(template, by=request.user)
    except IntegrityError:  # somebody else saved one with this key since the form looked
        form.add_error("key", KEY_TAKEN)
        return _show(request, form, None)
    # The first one is the default, if the user may choose that.
    if EmailTemplate.objects.find_default() is None and may(request.user, Permission.EDIT_ALL_TEMPLATES):
        make_default(template, by=request.user)
    messages.success(request, _("The template “%(name)s” was saved.") % {"name": template.name})
    return _go_on(request, template)


def _copy_of(key: str) -> dict[str, object]:
    """Return the first values of a form for a copy. The copy gets a key and an owner of its own."""
    source = EmailTemplate.objects.filter(key=key).first() if key else None
    if source is None:
        return {}
    parts = {name: getattr(source, name) for name in ("subject", "kind", "source", "html", "text")}
    chosen = {"sender": source.sender_id, "topic": source.topic_id}
    name = _("Copy of %(name)s") % {"name": source.name}
    return {"name": name[:NAME_MAX_CHARS], **parts, **chosen}


@require_http_methods(WITH_FORM)
@login_required
def edit_template(request: SignedInRequest, key: str) -> HttpResponse:
    """Change a template, or only read it. A job that exists keeps the message parts it was made with."""
    template = get_object_or_404(EmailTemplate.objects.select_related("sender", "owner", "topic"), key=key)
    if request.method != "POST":
        return _show(request, TemplateForm(instance=template, user=request.user), template)
    if request.POST.get("then") == "test" and not may_edit(request.user, template):
        _send_test(request, template)
        return redirect("template", key=template.key)
    require_edit(request.user, template)
    if any(button in request.POST for button in REDRAWS):
        return _redraw(request, template)
    form = TemplateForm(request.POST, instance=template, user=request.user)
    if form.is_valid():
        if request.POST.get("then") == "test":
            # Not saved: the test shows what is typed, and nobody else's next mail changes by it.
            _send_test(request, form.instance)
            return _show(request, form, get_object_or_404(EmailTemplate, key=key), status=200)
        try:
            save_template(form.instance, by=request.user, based_on=form.cleaned_data["based_on"])
        except TemplateChanged as exc:
            form.refuse(str(exc))
            return _show_changed(request, form, key)
        else:
            said = _("The template “%(name)s” was saved. Batches that were already started keep the old words.")
            messages.success(request, said % {"name": template.name})
            return _go_on(request, template)
    return _show(request, form, get_object_or_404(EmailTemplate, key=key))


def _show_changed(request: SignedInRequest, form: TemplateForm, key: str) -> HttpResponse:
    """Show what was not saved, because somebody else had saved meanwhile. The user now knows, so the next save counts.

    The version with which the user began is in the link to what was changed since.
    """
    stored = get_object_or_404(EmailTemplate, key=key)
    data = request.POST.copy()
    data["based_on"] = str(stored.version)
    form.data = data
    return _show(request, form, stored, changed_since=form.cleaned_data["based_on"])


def _go_on(request: SignedInRequest, template: EmailTemplate) -> HttpResponse:
    """Lead on after a template was saved: to the list of all, or back to it. A test of a new one is sent first."""
    then = request.POST.get("then", "")
    if then not in ("stay", "test"):
        for sentence in TemplateNotes.of_template(template, user_id=request.user.pk).first_sentences():
            messages.warning(request, sentence)
        return redirect("templates")
    if then == "test":
        _send_test(request, template)
    query = f"?list={batch_id}" if (batch_id := request.POST.get("list", "")).isdigit() else ""
    return redirect(f"{redirect('template', key=template.key).url}{query}")


def _send_test(request: SignedInRequest, template: EmailTemplate) -> None:
    """Send a template as it is to the addresses of the form, and say what became of it."""
    form = TestForm(request.POST)
    if not form.is_valid():
        for sentence in form.errors.get("test_to", []):
            messages.error(request, str(sentence))
        return
    addresses = form.cleaned_data["test_to"]
    choice = stored_choice(request, template, request.POST)
    try:
        parts = MessageParts.of(template)
        values = choice.values(parts)
        test = send_letter_test(template, values, to=addresses, user=request.user)
    except (TemplateFault, lifecycle.JobRefused, intake.ListRefused, children.RenderingBusy) as exc:
        messages.error(request, str(exc))
        return
    request.session[TEST_ADDRESS] = ", ".join(addresses)
    said = _("A test is on its way to %(addresses)s. Its record is batch %(batch)s.")
    messages.success(request, said % {"addresses": ", ".join(addresses), "batch": test.pk})


def _redraw(request: SignedInRequest, template: EmailTemplate | None) -> HttpResponse:
    """Draw the form with what is typed, after a button that saves nothing has changed some of it."""
    typed = request.POST.copy()
    _change_typed(request, typed)
    initial = {name: value for name, value in typed.items() if name in TemplateForm.base_fields}
    form = TemplateForm(instance=template, user=request.user, initial=initial)
    return _show(request, form, template and get_object_or_404(EmailTemplate, pk=template.pk), typed=typed)


def _change_typed(request: SignedInRequest, typed: QueryDict) -> None:
    if fix := _read_fix(typed.get("fix", "")):
        typed[fix.part] = fix.apply(typed.get(fix.part, ""))
    if "upload" in typed and (picture := request.FILES.get("picture")):
        try:
            stored = store_picture(picture.read(PICTURE_MAX_BYTES + 1), name=picture.name or "", by=request.user)
        except PictureRefused as exc:
            messages.error(request, str(exc))
        else:
            address = make_picture_url(stored.digest, stored.content_type)
            typed["source"] = f"{typed.get('source', '').rstrip()}\n\n![{stored.name.rpartition('.')[0]}]({address})\n"
    try:
        if "inline" in typed:
            typed["html"] = children.inline_styles(typed.get("html", ""), user_id=request.user.pk)
            messages.success(request, _("The styles are in the elements now. Look at the preview, then save."))
        if "as_html" in typed:
            parts = read_choice(request, typed).parts()
            typed.update({"kind": TemplateKind.HTML, "html": parts.html, "text": parts.text})
            typed.setlist("kind", [TemplateKind.HTML])
            typed.setlist("html", [parts.html])
            typed.setlist("text", [parts.text])
    except TemplateFault as exc:
        messages.error(request, str(exc))


def _read_fix(text: str) -> Fix | None:
    try:
        part, line, old, new = json.loads(text or "null")
        return (
            Fix(part=str(part), line=int(line), old=str(old), new=str(new))
            if part in TemplateForm.base_fields
            else None
        )
    except (TypeError, ValueError, OverflowError):
        return None


@require_http_methods(WITH_FORM)
@login_required
def preview_template(request: SignedInRequest) -> HttpResponse:
    """Show a template in a frame, with a recipient's values or samples: the typed (POST), or a stored one."""
    status = 200
    context: dict[str, object] = {}
    try:
        if choice := _find_shown(request):
            if request.method == "POST" and NOTES_BESIDE not in request.POST:  # no script shows them beside the parts
                context["sentences"] = [note.text for note in make_notes(choice).notes if not note.is_fault]
            context |= {"message": choice.render(), "recipient": choice.recipient}
    except TemplateFault as exc:
        context["fault"] = str(exc)
    except children.RenderingBusy as exc:  # the frame around it has no room for a page
        context, status = {"fault": str(exc)}, 429
    show = request.POST.get("show", "")
    context = {**context, "show": show if show in SHOWS else "html"}
    response = render(request, "batches/preview_frame.html", context, status=status)
    response.headers["Content-Security-Policy"] = message_policy(request)
    return response


def _find_shown(request: SignedInRequest) -> EditorChoice | None:
    """Return what a preview shows: what is typed, or a stored template."""
    if request.method == "POST":
        return read_choice(request, request.POST)
    stored = EmailTemplate.objects.filter(key=request.GET.get("key", "")).first()
    return stored_choice(request, stored, request.GET) if stored else None


@posted_from("templates")
def show_notes(request: SignedInRequest) -> HttpResponse:
    """Show what there is to say of the template in the form. A script puts each part of it in its place."""
    choice = read_choice(request, request.POST)
    return render(request, "batches/template_notes.html", {"notes": make_notes(choice), "choice": choice})


def _show(
    request: SignedInRequest,
    form: TemplateForm,
    template: EmailTemplate | None,
    *,
    typed: QueryDict | None = None,
    status: int | None = None,
    changed_since: int | None = None,
) -> HttpResponse:
    """Draw the editor with its notes. ``template`` is the stored one, whatever the form has changed.

    Args:
        changed_since: The version with which the user began, if somebody else has saved a later one.
    """
    data = typed if typed is not None else request.POST if form.is_bound else None
    choice = _find_choice(request, form, template, data)
    may_change = template is None or may_edit(request.user, template)
    if not may_change:
        form.make_read_only()
    notes = make_notes(choice) if template or data is not None else EditorNotes(notes=[], findings=[])
    context = {
        "form": form,
        "template": template,
        "choice": choice,
        "notes": notes,
        "may_edit": may_change,
        "may_test": may(request.user, Permission.SEND_BATCH),
        "picture_max_bytes": str(PICTURE_MAX_BYTES),
        "may_frame": may(request.user, Permission.EDIT_ALL_TEMPLATES),
        "lists": list_batches(request),
        "test_to": (data.get("test_to") if data is not None else "")
        or request.session.get(TEST_ADDRESS)
        or find_own_address(request),
        "is_kind": choice.written.kind,
        "changed_since": changed_since,
        "is_unsaved": data is not None and _is_unsaved(data, template),
    }
    if status is None:
        status = 422 if form.is_bound else 200
    return render(request, "batches/template_form.html", context, status=status)


def _find_choice(
    request: SignedInRequest, form: TemplateForm, template: EmailTemplate | None, data: QueryDict | None
) -> EditorChoice:
    """Return what the editor shows: what is typed, a stored template, or the first values of a new one."""
    if data is not None:
        return read_choice(request, data)
    if template is not None:
        return stored_choice(request, template, request.GET)
    first = QueryDict(mutable=True)
    first.update({name: form.initial.get(name) or "" for name in ("subject", "kind", "source", "html", "text")})
    first["list"] = request.GET.get("list", "")
    return read_choice(request, first)


def _is_unsaved(typed: QueryDict, template: EmailTemplate | None) -> bool:
    """Whether something is typed that is not stored."""
    if template is not None and typed.get("kind", template.kind) != template.kind:
        return True
    pairs = ((str(typed[name]), str(getattr(template, name, ""))) for name in TYPED if name in typed)
    return any(text.replace("\r\n", "\n").strip() != stored.replace("\r\n", "\n").strip() for text, stored in pairs)
