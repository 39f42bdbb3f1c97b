"""List, read and write the templates, and render one of them for a recipient.

A template's key enters, with the parts to save, or with merge field values or the row that has them. The template
leaves, or a rendered message, which is not sent.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any

from django.contrib.auth.models import User
from django.db import IntegrityError
from django.http import HttpRequest
from ninja import Field, Query, Router, Schema, Status

from batches import paging
from batches.api.auth import require_scope
from batches.api.errors import ApiError, not_found
from batches.api.schemas import ListOptions, PreviewOptions
from batches.api.sender_schemas import SENDER_MAX_CHARS
from batches.api.template_schemas import PreviewOut, TemplateList, TemplateOut
from batches.api.topics import TOPIC_MAX_CHARS
from batches.api.unknown_fields import Body
from batches.jobs.senders import choose_sender
from batches.jobs.topics import find_topic
from batches.models import SERVICE_TOPIC, Batch, EmailTemplate, TemplateKind, TemplateVersion, TokenScope
from batches.rendering import children
from batches.rendering.fields import make_identifier
from batches.rendering.message import SUBJECT_MAX_CHARS
from batches.rendering.template import MessageParts, make_context
from batches.template_analysis import KnownTemplate, keep_analysis, read_known
from batches.template_sources import Written, compose
from batches.template_versions import TemplateChanged, require_edit, save_template

router = Router(tags=["templates"])

KEY_TAKEN = "Another template has this key. Choose a different one."
KEY_PATTERN = r"^[0-9]*[-a-zA-Z_][-a-zA-Z0-9_]*$"
"""Not digits alone, as ``template_form.KEY_OF_DIGITS`` says."""


class TemplateParts(Body):
    """A template as it is to be saved."""

    name: str = Field(min_length=1, max_length=200)
    subject: str = Field(min_length=1, max_length=SUBJECT_MAX_CHARS)
    kind: TemplateKind | None = Field(
        default=None,
        description="markdown: `source` is the body, and HTML and text are made from it. html: `html` and `text` are. "
        "Left out: markdown if there is a `source`, otherwise html.",
    )
    source: str = Field(default="", description="The letter in Markdown, for the kind markdown.")
    html: str = Field(
        default="", description="The HTML body, for the kind html. Such a template has this one, a text body, or both."
    )
    text: str = Field(default="", description="The text body, likewise.")
    sender: str | None = Field(
        default=None,
        max_length=SENDER_MAX_CHARS,
        description="The key or address of the sender that is chosen if nobody names another. null: none.",
    )
    topic: str | None = Field(
        default=None,
        max_length=TOPIC_MAX_CHARS,
        description="The key of the topic that it is about: of news, recipients can unsubscribe. null: service mail. "
        "Left out of a change: as it is.",
    )


class NewTemplate(TemplateParts):
    key: str = Field(
        max_length=100, pattern=KEY_PATTERN, description="Letters, digits, hyphens and underscores; not digits alone."
    )


class ChangedTemplate(TemplateParts):
    basedOn: int | None = Field(
        default=None,
        ge=1,
        le=2**31 - 1,
        description="The `version` that you have changed. If another one was saved since, the answer is 409. Left out: "
        "whatever is stored is replaced.",
    )


class WholeTemplate(TemplateOut):
    """A template with its bodies."""

    source: str = Field(description="The letter in Markdown. Empty: it is of the kind html.")
    html: str
    text: str


class VersionOut(Schema):
    """The parts of a template as one save left them."""

    version: int
    topic: str
    name: str
    subject: str
    kind: TemplateKind
    source: str
    html: str
    text: str
    savedBy: str | None = Field(description="null: not known, or a command.")
    savedAt: datetime


class VersionList(Schema):
    items: list[VersionOut]
    next: str | None = Field(description="The cursor of the next page, or null.")


@router.get("/templates", response=TemplateList)
def list_templates(request: HttpRequest, options: Query[ListOptions]) -> TemplateList:
    """The templates by name, each with the merge fields that it uses."""
    templates = EmailTemplate.objects.select_related("sender", "owner", "topic").order_by("name", "pk")
    rows, following = paging.cut_by_count(templates, cursor=options.cursor or "", size=options.limit)
    known = read_known(rows, user_id=request.user.pk)
    return TemplateList(items=list(map(describe_template, rows, known)), next=following)


@router.get("/templates/{slug:key}", response=WholeTemplate)
def get_template(request: HttpRequest, key: str) -> WholeTemplate:
    """One template with its bodies."""
    return _describe_whole(request, _find_template(key))


@router.post("/templates", response={201: WholeTemplate})
def create_template(request: HttpRequest, payload: NewTemplate) -> Status[WholeTemplate]:
    """Save a new template. It is yours: you and template editors may change it, and everybody may use it."""
    if EmailTemplate.objects.filter(key=payload.key).exists():
        raise ApiError(409, KEY_TAKEN)
    template = EmailTemplate(key=payload.key)
    _fill(template, payload, request)
    try:
        save_template(template, by=_user(request))
    except IntegrityError as exc:  # another request took the key a moment ago
        raise ApiError(409, KEY_TAKEN) from exc
    return Status(201, _describe_whole(request, template))


@router.put("/templates/{slug:key}", response=WholeTemplate)
def change_template(request: HttpRequest, key: str, payload: ChangedTemplate) -> WholeTemplate:
    """Save a template as a new version, if it is yours or you are a template editor.

    Jobs that exist keep the words that they were made with.
    """
    template = _find_template(key)
    require_edit(_user(request), template)
    _fill(template, payload, request)
    try:
        save_template(template, by=_user(request), based_on=payload.basedOn)
    except TemplateChanged as exc:
        raise ApiError(exc.http_status, str(exc)) from exc
    return _describe_whole(request, template)


@router.get("/templates/{slug:key}/versions", response=VersionList)
def list_versions(request: HttpRequest, key: str, options: Query[ListOptions]) -> VersionList:
    """Every version of a template that was saved, the newest first."""
    versions = _find_template(key).versions.select_related("saved_by", "topic")
    rows, following = paging.cut(versions, order=["-number"], cursor=options.cursor or "", size=options.limit)
    return VersionList(items=[_describe_version(version) for version in rows], next=following)


def _find_template(key: str) -> EmailTemplate:
    template = EmailTemplate.objects.select_related("sender", "owner", "topic").filter(key=key).first()
    if template is None:
        raise not_found("template of this key")
    return template


def _fill(template: EmailTemplate, payload: TemplateParts, request: HttpRequest) -> None:
    """Put the parts into a template, and refuse what could not be sent.

    Raises:
        ApiError: 422, the template has no body.
        TemplateFault: it can't be used.
        SenderRefused: the caller may not use the sender. The present one stays possible.
        TopicRefused: there is no such topic.
    """
    kind = payload.kind or (TemplateKind.MARKDOWN if payload.source else TemplateKind.HTML)
    has_source = kind == TemplateKind.MARKDOWN
    if bool(payload.source) != has_source or (has_source and (payload.html or payload.text)):
        raise ApiError(422, "A template of the kind markdown has a source alone. One of the kind html has none.")
    if not (payload.source or payload.html or payload.text):
        raise ApiError(422, "Give the template an HTML body, a text body, or both, or a source.")
    template.name, template.subject = payload.name, payload.subject
    template.kind, template.source = kind, payload.source
    template.html, template.text = payload.html, payload.text
    compose(template, user_id=request.user.pk)
    if "topic" in payload.model_fields_set:  # a program that knows no topics does not turn news into service mail
        template.topic = find_topic(payload.topic) if payload.topic else None
    parts = MessageParts.of(template)
    parts.check_lengths()
    keep_analysis(template, parts, children.analyse_sound(parts, user_id=request.user.pk))
    if payload.sender is None:
        template.sender = None
    elif template.sender is None or template.sender.key != payload.sender:
        template.sender = choose_sender(payload.sender, template=None, user=_user(request))


def _describe_whole(request: HttpRequest, template: EmailTemplate) -> WholeTemplate:
    [known] = read_known([template], user_id=request.user.pk)
    return WholeTemplate(
        **describe_template(template, known).model_dump(),
        source=template.source,
        html=template.html,
        text=template.text,
    )


def _describe_version(version: TemplateVersion) -> VersionOut:
    return VersionOut(
        version=version.number,
        topic=version.topic.key if version.topic else SERVICE_TOPIC,
        name=version.name,
        subject=version.subject,
        kind=TemplateKind(version.kind),
        source=version.source,
        html=version.html,
        text=version.text,
        savedBy=version.saved_by.get_username() if version.saved_by else None,
        savedAt=version.saved_at,
    )


def _user(request: HttpRequest) -> User:
    assert isinstance(request.user, User)  # noqa: S101  (the API refuses everybody else)
    return request.user


def describe_template(template: EmailTemplate, known: KnownTemplate) -> TemplateOut:
    """A faulty template is listed too, without merge fields, so that its owner can find and correct it."""
    return TemplateOut(
        id=template.pk,
        key=template.key,
        name=template.name,
        subject=template.subject,
        kind=TemplateKind(template.kind),
        isDefault=template.is_default,
        mergeFields=sorted(map(make_identifier, known.merge_fields)),
        sender=template.sender.key if template.sender else None,
        topic=template.topic.key if template.topic else SERVICE_TOPIC,
        owner=template.owner.get_username() if template.owner else None,
        version=template.version,
        updatedAt=template.updated_at,
    )


@router.post("/templates/{slug:key}/preview", response=PreviewOut)
def preview_template(request: HttpRequest, key: str, payload: PreviewOptions) -> PreviewOut:
    """Render a template for one recipient, or message parts that are not saved yet. Nothing is sent."""
    template = _find_template(key)
    parts = replace(
        MessageParts.of(template),
        subject=template.subject if payload.subject is None else payload.subject,
        html=template.html if payload.html is None else payload.html,
        text=template.text if payload.text is None else payload.text,
    )
    if payload.source:
        written = Written(subject=parts.subject, kind=TemplateKind.MARKDOWN, source=payload.source)
        composed = compose(written, user_id=request.user.pk)
        parts = replace(parts, html=composed.html, text=composed.text)
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
    require_scope(request, TokenScope.READ)  # the message of a row shows what the list says of a person
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
