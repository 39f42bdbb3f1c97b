"""List the templates, find the one that a request means, and render one for a recipient."""

from __future__ import annotations

from django.http import HttpRequest
from ninja import Router

from batches.api.errors import ApiError, not_found
from batches.api.schemas import PreviewOptions, PreviewOut, TemplateList, TemplateOut
from batches.jobs.lifecycle import email_context
from batches.models import Batch, EmailTemplate
from batches.rendering.preview import render_preview
from batches.rendering.template import CompiledTemplate, TemplateFault

router = Router(tags=["templates"])


def find_template(key: str | int | None) -> EmailTemplate:
    """The template of that key or id, or the default one for None.

    Raises:
        ApiError: 422, naming the templates there are.
    """
    if key is None or key == "":
        template = EmailTemplate.objects.filter(is_default=True).first()
        if template is None:
            raise ApiError(422, f"No template is marked default, so name one in 'templateId'. {_name_all()}")
        return template
    template = EmailTemplate.objects.filter(key=str(key)).first()
    if template is None and str(key).isascii() and str(key).isdigit():
        template = EmailTemplate.objects.filter(pk=int(key)).first()
    if template is None:
        raise ApiError(422, f"There is no template '{key}'. {_name_all()}")
    return template


def _name_all() -> str:
    keys = list(EmailTemplate.objects.order_by("key").values_list("key", flat=True)[:20])
    return f"The templates are: {', '.join(keys)}." if keys else "There is none yet: write one on the page /templates/."


@router.get("/templates", response=TemplateList)
def list_templates(request: HttpRequest) -> TemplateList:
    """Every template, by name, with the merge fields that it uses."""
    return TemplateList(items=[describe_template(template) for template in EmailTemplate.objects.all()], next=None)


def describe_template(template: EmailTemplate) -> TemplateOut:
    try:
        compiled = CompiledTemplate(subject=template.subject, html=template.html, text=template.text)
        merge_fields = sorted(compiled.merge_fields)
    except TemplateFault:  # a faulty template is still listed: its owner must find it to mend it
        merge_fields = []
    return TemplateOut(
        id=template.pk,
        key=template.key,
        name=template.name,
        subject=template.subject,
        isDefault=template.is_default,
        mergeFields=merge_fields,
        updatedAt=template.updated_at,
    )


@router.post("/templates/{slug:key}/preview", response=PreviewOut)
def preview_template(request: HttpRequest, key: str, payload: PreviewOptions) -> PreviewOut:
    """Render a template, or words that are not saved yet, for one recipient; nothing is sent."""
    template = EmailTemplate.objects.filter(key=key).first()
    if template is None:
        raise not_found("template of this key")
    context = {**_batch_context(request, payload), **payload.fields}
    try:
        rendered = render_preview(
            subject=template.subject if payload.subject is None else payload.subject,
            html=template.html if payload.html is None else payload.html,
            text=template.text if payload.text is None else payload.text,
            context=context,
        )
    except TemplateFault as exc:
        raise ApiError(422, str(exc)) from exc
    return PreviewOut(subject=rendered.subject, html=rendered.html, text=rendered.text)


def _batch_context(request: HttpRequest, payload: PreviewOptions) -> dict[str, str]:
    if payload.batchId is None:
        return {}
    batch = Batch.objects.visible_to(request.user).filter(pk=payload.batchId).first()
    if batch is None:
        raise not_found("batch of this number")
    emails = batch.emails.order_by("row")
    email = (emails if payload.row is None else emails.filter(row=payload.row)).first()
    if email is None:
        raise not_found("recipient in this row of the batch")
    return email_context(batch, email)
