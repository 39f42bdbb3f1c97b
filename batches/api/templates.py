"""List the templates, and render one of them for a recipient.

A template's key enters, with merge field values or the row that has them. A rendered message leaves, which is not sent.
"""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from ninja import Router

from batches.api.errors import not_found
from batches.api.schemas import PreviewOptions, PreviewOut, TemplateList, TemplateOut
from batches.models import Batch, EmailTemplate
from batches.rendering import children
from batches.rendering.fields import make_identifier
from batches.rendering.template import MessageParts, make_context
from batches.template_analysis import KnownTemplate, read_known

router = Router(tags=["templates"])


@router.get("/templates", response=TemplateList)
def list_templates(request: HttpRequest) -> TemplateList:
    """All templates by name, each with the merge fields that it uses."""
    templates = list(EmailTemplate.objects.select_related("sender"))
    known = read_known(templates, user_id=request.user.pk)
    return TemplateList(items=list(map(describe_template, templates, known)), next=None)


def describe_template(template: EmailTemplate, known: KnownTemplate) -> TemplateOut:
    """A faulty template is listed too, without merge fields, so that its owner can find and correct it."""
    return TemplateOut(
        id=template.pk,
        key=template.key,
        name=template.name,
        subject=template.subject,
        isDefault=template.is_default,
        mergeFields=sorted(map(make_identifier, known.merge_fields)),
        sender=template.sender.key if template.sender else None,
        updatedAt=template.updated_at,
    )


@router.post("/templates/{slug:key}/preview", response=PreviewOut)
def preview_template(request: HttpRequest, key: str, payload: PreviewOptions) -> PreviewOut:
    """Render a template for one recipient, or message parts that are not saved yet. Nothing is sent."""
    template = EmailTemplate.objects.filter(key=key).first()
    if template is None:
        raise not_found("template of this key")
    parts = MessageParts(
        subject=template.subject if payload.subject is None else payload.subject,
        html=template.html if payload.html is None else payload.html,
        text=template.text if payload.text is None else payload.text,
    )
    batch = _find_batch(request, payload)
    context = {**(_batch_context(batch, payload) if batch else {}), **payload.fields}
    parts.check_lengths()
    rendered = children.render(
        parts, context, address_heading=batch.address_heading if batch else "", user_id=request.user.pk
    )
    return PreviewOut(subject=rendered.subject, html=rendered.html, text=rendered.text)


def _find_batch(request: HttpRequest, payload: PreviewOptions) -> Batch | None:
    if payload.batchId is None:
        return None
    batch = Batch.objects.visible_to(request.user).filter(pk=payload.batchId).first()
    if batch is None:
        raise not_found("batch of this number")
    return batch


def _batch_context(batch: Batch, payload: PreviewOptions) -> dict[str, Any]:
    emails = batch.emails.order_by("row")
    email = (emails if payload.row is None else emails.filter(row=payload.row)).first()
    if email is None:
        raise not_found("recipient in this row of the batch")
    return make_context(batch.merge_fields, email.fields, address=email.address)
