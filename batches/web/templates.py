"""The pages of the templates: list them, choose the default, and delete one that was never used.

Requests enter. Pages leave, or redirects. Everybody reads and copies every template; who may change one is decided in
``template_versions``. ``template_editor`` writes them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.contrib.postgres.expressions import ArraySubquery
from django.db import transaction
from django.db.models import Exists, F, Func, IntegerField, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.http import HttpResponse, QueryDict
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from batches.models import EmailJob, EmailTemplate, JobKind, TemplateVersion
from batches.paging import CursorFault, Page, cut_by_count, make_page, walk_indexes
from batches.permissions import Permission, may
from batches.template_analysis import read_known
from batches.template_versions import TemplateInUse, delete_template, make_default, may_edit
from batches.web.requests import SignedInRequest, posted_from
from batches.wording import outline

PAGE_SIZE = 50
USES_MAX = 1_000
"""The batches that were sent with a template are counted up to here."""

EXCERPT_CHARS = 160
"""How much of a letter the list shows."""

_LINK = re.compile(r"\[([^\]]*)\]\([^)]*\)")
_MARKS = re.compile(r"\*+|^#+ |^> ", re.MULTILINE)


@dataclass(frozen=True, kw_only=True, slots=True)
class ListedTemplate:
    """A template as the page lists it: with its merge fields, or with the fault that keeps it from being used."""

    template: EmailTemplate
    merge_fields: list[str]
    fault: str
    used_count: int
    """How many batches were sent with it, without tests, up to one more than USES_MAX."""
    is_used: bool
    """Whether anything was sent with it, and be it a test."""
    changed_by: str
    """Who saved it last. Empty: not known, or a command."""
    changed_at: datetime
    excerpt: str
    """Its first words."""
    may_edit: bool

    @property
    def why_kept(self) -> str:
        """Why it can't be deleted. Empty: it can be, by somebody who may edit it."""
        if self.template.is_default:
            return _("It can't be deleted while it is the default.")
        if self.used_count:
            return _("It can't be deleted, because batches were sent with it.")
        if self.is_used:
            return _("It can't be deleted, because a test was sent with it.")
        return ""


@require_safe
@login_required
def show_templates(request: SignedInRequest) -> HttpResponse:
    """List the templates, or those with every word of a search. The default comes first."""
    text = " ".join(request.GET.get("q", "").replace("\0", "").split())
    page = _read_page(request.GET, text)
    context = {
        "listed": _list_templates(request, page.rows),
        "page": page,
        "text": text,
        "has_search": bool(text or page.first_query or page.next_query),
        "uses_max": USES_MAX,
        "may_choose_default": may(request.user, Permission.EDIT_ALL_TEMPLATES),
    }
    return render(request, "batches/templates.html", context)


@posted_from("templates")
def choose_default(request: SignedInRequest, key: str) -> HttpResponse:
    """Make this the template for uploads that name none."""
    template = get_object_or_404(EmailTemplate, key=key)
    make_default(template, by=request.user)
    messages.success(request, _("“%(name)s” is now the default template.") % {"name": template.name})
    return redirect("templates")


@posted_from("templates")
def remove_template(request: SignedInRequest, key: str) -> HttpResponse:
    """Delete a template, unless a job was made with it or it is the default."""
    template = get_object_or_404(EmailTemplate, key=key)
    try:
        delete_template(template, by=request.user)
    except TemplateInUse as exc:
        messages.error(request, str(exc))
    else:
        messages.success(request, _("The template “%(name)s” was deleted.") % {"name": template.name})
    return redirect("templates")


def _read_page(query: QueryDict, text: str) -> Page[EmailTemplate]:
    """Read a page in the order of the names, the default first."""
    cursor = str(query.get("after", ""))
    found = EmailTemplate.objects.only("pk").order_by("-is_default", "name", "pk")
    for word in text.split():
        found = found.filter(Q(name__icontains=word) | Q(key__icontains=word) | Q(subject__icontains=word))
    try:
        chosen, following = cut_by_count(found, cursor=cursor, size=PAGE_SIZE)
    except CursorFault:
        cursor = ""
        chosen, following = cut_by_count(found, cursor=cursor, size=PAGE_SIZE)
    # For a template that is seldom used, the planner would read all jobs.
    with transaction.atomic(), walk_indexes():
        templates = _with_use().in_bulk([each.pk for each in chosen])
    rows = [templates[each.pk] for each in chosen if each.pk in templates]
    return make_page(rows, query=query, following=following, is_first=not cursor)


def _with_use() -> QuerySet[EmailTemplate]:
    """Add how many batches were sent with each template, up to one more than USES_MAX, and who saved it last."""
    jobs = EmailJob.objects.filter(template=OuterRef("pk")).order_by().values("pk")
    sent = jobs.filter(kind=JobKind.FIRST, batch__is_test=False)
    last = TemplateVersion.objects.filter(template=OuterRef("pk"), number=OuterRef("version"))
    return EmailTemplate.objects.annotate(
        used_count=Func(ArraySubquery(sent[: USES_MAX + 1]), function="cardinality", output_field=IntegerField()),
        is_used=Exists(jobs),
        changed_by=Subquery(last.values("saved_by__username")[:1]),
        saved_at=Coalesce(Subquery(last.values("saved_at")[:1]), F("updated_at")),
    ).select_related("sender", "owner", "topic")


def _list_templates(request: SignedInRequest, templates: Iterable[EmailTemplate]) -> list[ListedTemplate]:
    found = list(templates)
    return [
        ListedTemplate(
            template=template,
            merge_fields=known.merge_fields,
            fault=known.fault,
            used_count=template.used_count,  # type: ignore[attr-defined]  # annotated by _with_use
            is_used=template.is_used,  # type: ignore[attr-defined]  # likewise
            changed_by=template.changed_by or "",  # type: ignore[attr-defined]  # likewise
            changed_at=template.saved_at,  # type: ignore[attr-defined]  # likewise
            excerpt=_make_excerpt(template),
            may_edit=may_edit(request.user, template),
        )
        for template, known in zip(found, read_known(found, user_id=request.user.pk), strict=True)
    ]


def _make_excerpt(template: EmailTemplate) -> str:
    """Return the first words of a template's text, which a letter has too. Of HTML without a text body, none."""
    text = _LINK.sub(r"\1", outline(template.text[: 4 * EXCERPT_CHARS]))
    words = " ".join(_MARKS.sub("", text).split())
    return f"{words[:EXCERPT_CHARS]}…" if len(words) > EXCERPT_CHARS else words
