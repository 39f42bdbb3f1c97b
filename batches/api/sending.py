"""Create a batch and send it: from an uploaded file, or from a group or recipients that a request names.

The batch and its job are made in one transaction: a refused request leaves nothing, and neither does a process that
dies in between. A retry with the same idempotency key finds the job, or makes it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable
from typing import Any, BinaryIO, cast

from django.contrib.auth.models import Group, User
from django.db import transaction
from django.http import HttpRequest
from ninja import File, Form, Header, Router, Status
from ninja.files import UploadedFile

from batches import intake
from batches.api.approval_schemas import describe_approval
from batches.api.batches import describe_sent
from batches.api.errors import ApiError
from batches.api.proof import require_session_proof
from batches.api.reading_choices import upload_choices
from batches.api.reading_schemas import LIST_FIELDS, ReadingChoices
from batches.api.schemas import TIMING_FIELDS, LoadingOut, SendBulk, SendOptions, SentOut, UploadOptions, UploadOut
from batches.api.unknown_fields import refuse_query, refuse_unknown_form
from batches.files.spooling import check_size
from batches.jobs import creation
from batches.jobs.senders import choose_sender
from batches.jobs.topics import choose_topic
from batches.jobs.user_limits import refuse_used_up
from batches.models import Approval, Batch, EmailJob, EmailTemplate, JobPriority, SharedAddresses
from batches.permissions import Permission, require
from batches.rendering import children
from batches.rendering.template import MessageParts

router = Router(tags=["sending"])

NEW_FIELDS = {*ReadingChoices.model_fields, "sender", "topic", "name", "isTest"}
"""The options of both doors that are newer than version 0.2. An upload's time and priority are new too."""


@router.post("/upload", response={202: UploadOut}, exclude_unset=True)
def upload(
    request: HttpRequest,
    file: File[UploadedFile],
    options: Form[UploadOptions],
    idempotency_key: Header[str | None] = None,
) -> Status[UploadOut]:
    """Import a file of recipients and send it, now or at a time; with `draft`, keep it as a draft to be sent later."""
    require(request.user, Permission.SEND_BATCH)
    refuse_unknown_form(request, UploadOptions.model_fields, lists=LIST_FIELDS)
    check_size(file.size or 0)
    is_draft = _is_draft(options)
    template = None
    if options.templateId or not is_draft:
        template = _usable_template(options, user_id=_user(request).pk)
    if options.sender or not is_draft:  # refused before anything is imported
        choose_sender(options.sender, template=template, user=_user(request))
    key = _make_key(idempotency_key, request, _file_chunks(file), [file.name, _digestible(options, is_draft)])
    if not is_draft:
        refuse_used_up(request.user, key=key.value if key else None)
    sent = None
    with transaction.atomic():
        batch = _import(request, file, options, key)
        if template is not None and not is_draft:
            require_session_proof(request, batch)
            sent = _send(
                batch,
                template=template,
                user=_user(request),
                subject=options.subject,
                priority=options.priority or JobPriority.DEFAULT,
                scheduled_at=options.scheduledAt,
                sender=options.sender,
                topic=options.topic,
            )
    return Status(202, _describe_upload(batch, sent))


def _send(batch: Batch, **options: Any) -> EmailJob | Approval:
    """Send a batch once. An approval is returned and not raised: that would roll the question back."""
    try:
        return creation.send_once(batch, **options)
    except creation.ApprovalAsked as exc:
        return exc.approval


def _describe_upload(batch: Batch, sent: EmailJob | Approval | None) -> UploadOut:
    return UploadOut(
        success=True,
        batchId=batch.pk,
        jobId=sent.pk if isinstance(sent, EmailJob) else None,
        filename=batch.filename,
        totalEmails=batch.total_count,
        rejectedRows=batch.rejected_count,
        duplicateRows=batch.duplicate_count,
        **({"approval": describe_approval(sent)} if isinstance(sent, Approval) else {}),
    )


def _is_draft(options: UploadOptions) -> bool:
    """Whether to keep the upload as a draft. ``hold`` is the former name of ``draft``."""
    if options.draft is not None and options.hold is not None and options.draft != options.hold:
        raise ApiError(422, "'draft' and 'hold' contradict each other. Send 'draft' alone: 'hold' is its former name.")
    is_draft = bool(options.draft or options.hold)
    for name in TIMING_FIELDS:
        if is_draft and getattr(options, name) is not None:
            raise ApiError(422, f"A draft has no '{name}' yet. Send it with POST /api/batches/{{id}}/send instead.")
    return is_draft


def _digestible(options: UploadOptions, is_draft: bool) -> dict[str, object]:
    """The options as the idempotency digest has them: with the former name, so that digests stay as they were.

    For the same reason the options that are newer than version 0.2 are in it only if the request has them.
    """
    dumped = options.model_dump(mode="json", exclude={"draft"})
    return _leave_out_new(dumped, NEW_FIELDS | {*TIMING_FIELDS}) | {"hold": is_draft}


def _leave_out_new(options: dict[str, object], new: Collection[str]) -> dict[str, object]:
    return {name: value for name, value in options.items() if value is not None or name not in new}


def _import(
    request: HttpRequest, file: UploadedFile, options: UploadOptions, key: intake.IdempotencyKey | None
) -> Batch:
    file.seek(0)
    return intake.import_csv(
        cast(BinaryIO, file.file),  # the file inside Django's wrapper, which reads lines and blocks in C
        filename=file.name or "upload.csv",
        user=_user(request),
        key=key,
        options=upload_choices(options),
        shared=options.sharedAddresses or SharedAddresses.FIRST,
        label=_label(options),
        report=intake.report_to_redis(_user(request).pk, key.value) if key else None,
    ).batch


# The operation keeps its id of 0.1.0, because generated clients name their function after it.
@router.get("/upload/progress", response=LoadingOut, operation_id="batches_api_sending_get_loading")
def get_import_progress(request: HttpRequest, key: str) -> LoadingOut:
    """How much the server has read of the file that you are uploading with this `Idempotency-Key`."""
    found = intake.read_import_progress(_user(request).pk, key)
    return LoadingOut(rows=found.rows, percent=found.percent) if found else LoadingOut(rows=0, percent=0)


@router.post("/emails/send-bulk", response={202: SentOut}, exclude_unset=True)
def send_bulk(request: HttpRequest, payload: SendBulk, idempotency_key: Header[str | None] = None) -> Status[SentOut]:
    """Send to a group of users (`roleFilter`) or to the `recipients` of the request."""
    require(request.user, Permission.SEND_BATCH)
    refuse_query(request, fields=SendBulk.model_fields)
    if (payload.roleFilter is None) == (payload.recipients is None):
        raise ApiError(422, "Name the recipients: send either 'roleFilter' or 'recipients', not both.")
    template = _usable_template(payload, user_id=_user(request).pk)
    choose_sender(payload.sender, template=template, user=_user(request))
    key = _make_key(idempotency_key, request, [], _dump(payload))
    refuse_used_up(request.user, key=key.value if key else None)
    with transaction.atomic():
        batch = _import_named(request, payload, key)
        require_session_proof(request, batch)
        sent = _send(
            batch,
            template=template,
            user=_user(request),
            subject=payload.subject,
            priority=payload.priority,
            scheduled_at=payload.scheduledAt,
            sender=payload.sender,
            topic=payload.topic,
        )
    if isinstance(sent, Approval):
        raise creation.ApprovalAsked(sent)  # after the commit
    return Status(202, describe_sent(sent))


def _dump(payload: SendBulk) -> dict[str, object]:
    """The options as the idempotency digest has them. The recipients are not copied: there may be many."""
    dumped = payload.model_dump(mode="json", exclude={"recipients"}) | {"recipients": payload.recipients}
    return _leave_out_new(dumped, NEW_FIELDS)


def _import_named(request: HttpRequest, payload: SendBulk, key: intake.IdempotencyKey | None) -> Batch:
    """Make a batch of the group or the recipients that the request names."""
    user, shared = _user(request), payload.sharedAddresses or SharedAddresses.FIRST
    if payload.roleFilter is not None:
        group = _find_group(request, payload.roleFilter)
        return intake.import_group(group, user=user, key=key, shared=shared, label=_label(payload)).batch
    recipients = _as_strings(payload.recipients or [])
    return intake.import_list(recipients, user=user, key=key, shared=shared, label=_label(payload)).batch


def _label(options: UploadOptions | SendBulk) -> intake.Label:
    return intake.Label(name=options.name or "", is_test=bool(options.isTest))


def _usable_template(options: SendOptions | UploadOptions, *, user_id: int) -> EmailTemplate:
    """Find the template, and refuse a faulty one before anything is imported, and one that does not fit the topic."""
    template = EmailTemplate.objects.find_named(options.templateId)
    topic = choose_topic(options.topic, template=template)
    parts = MessageParts.of(template, options.subject, topic and topic.message_topic)
    children.analyse_sound(parts, user_id=user_id)
    return template


def _find_group(request: HttpRequest, name: str) -> Group:
    """Find the group, if the caller may send to it.

    Raises:
        NotPermitted: the caller may not.
        ApiError: 422, there is no such group.
    """
    require(request.user, Permission.SEND_TO_GROUP)
    group = Group.objects.filter(name=name).first()
    if group is None:
        names = list(Group.objects.order_by("name").values_list("name", flat=True)[:50])
        known = f"The groups are: {', '.join(names)}." if names else "There are no groups yet. Make one in the admin."
        raise ApiError(422, f"There is no group '{name}'. {known}")
    return group


def _as_strings(recipients: list[Any]) -> list[str | dict[str, str]]:
    """Make merge field values strings, in place: a JSON number becomes its digits, null an empty string."""
    for recipient in recipients:
        if isinstance(recipient, dict):
            for name, value in recipient.items():
                if not isinstance(value, str):
                    recipient[name] = "" if value is None else str(value)
    return recipients


def _make_key(
    value: str | None, request: HttpRequest, chunks: Iterable[bytes], options: object
) -> intake.IdempotencyKey | None:
    """Make the idempotency key, with a digest of the path, the options and the bytes of the file."""
    if value is None:
        return None
    if not value or len(value) > 255 or not value.isprintable():
        raise ApiError(422, "The Idempotency-Key must have 1 to 255 printable characters.")
    digest = hashlib.sha256(f"{request.path}\n{json.dumps(options, sort_keys=True)}\n".encode())
    for chunk in chunks:
        digest.update(chunk)
    return intake.IdempotencyKey(value=value, request_digest=digest.hexdigest())


def _file_chunks(file: UploadedFile) -> Iterable[bytes]:
    yield from file.chunks()
    file.seek(0)


def _user(request: HttpRequest) -> User:
    assert isinstance(request.user, User)  # noqa: S101  (the API refuses everybody else)
    return request.user
