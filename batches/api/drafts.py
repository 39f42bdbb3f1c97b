"""The review page's actions for programs: review a draft, read its file another way, add rows, discard it.

A draft and the user's changes to it enter. A review leaves, the counts of the added rows, or nothing after a discard.
"""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Any, BinaryIO, cast

from django.http import HttpRequest
from ninja import File, Router, Status
from ninja.files import UploadedFile

from batches import audit, intake, reviewing
from batches.api.batches import find_batch
from batches.api.reading_choices import change_reading, describe_reading
from batches.api.schemas import (
    AddedOut,
    FieldNames,
    ReadAgain,
    ReviewOut,
    ReviewRowOut,
    SenderKey,
    Subject,
    TemplateKey,
    TopicKey,
)
from batches.api.send_times import SendTime
from batches.api.senders import describe_sender, find_choice
from batches.api.unknown_fields import refuse_unknown_form
from batches.files.findings import Reading
from batches.jobs.reviewed import make_digest
from batches.jobs.senders import SenderRefused, copy_sender
from batches.jobs.topics import choose_topic
from batches.models import (
    SERVICE_TOPIC,
    AuditAction,
    Batch,
    BatchStatus,
    EmailTemplate,
    JobPriority,
    Sender,
    SharedAddresses,
    Topic,
)
from batches.permissions import Act
from batches.rendering.template import MessageParts

router = Router(tags=["drafts"])


@router.get("/batches/{int:batch_id}/review", response=ReviewOut)
def get_review(
    request: HttpRequest,
    batch_id: int,
    templateId: TemplateKey | None = None,
    subject: Subject | None = None,
    sender: SenderKey | None = None,
    topic: TopicKey | None = None,
    scheduledAt: SendTime | None = None,
    priority: JobPriority = JobPriority.DEFAULT,
) -> ReviewOut:
    """Compare a draft with a template before `send`: missing and blank merge fields, and how long sending takes.

    Give it what you will give to `send`, and give its `digest` to `send` as `reviewed`.

    `POST /api/templates/{key}/preview` renders the message of any row.
    """
    template = EmailTemplate.objects.find_named(templateId)
    chosen = find_choice(sender, template=template, user=request.user)
    about = choose_topic(topic, template=template)
    batch = find_batch(request, batch_id)
    shown = _review(
        *(request, batch, template),
        sender=chosen,
        subject=subject,
        topic=about,
        scheduled_at=scheduledAt,
        priority=priority,
    )
    audit.record_once(AuditAction.REVIEW, batch, digest=shown.digest or "")
    return shown


def _review(
    request: HttpRequest,
    batch: Batch,
    template: EmailTemplate,
    *,
    sender: Sender | None,
    subject: str | None = None,
    topic: Topic | None = None,
    scheduled_at: datetime | None = None,
    priority: JobPriority = JobPriority.DEFAULT,
) -> ReviewOut:
    if batch.status != BatchStatus.DRAFT:
        raise intake.NotADraft("This batch is no longer a draft, so there is nothing to review.")
    # First: what changes while the rest is read is then refused, and not sent unseen.
    topic = topic or template.topic
    parts = MessageParts.of(template, subject, topic and topic.message_topic)
    digest = _digest(batch, parts, sender, scheduled_at=scheduled_at, priority=priority)
    found = reviewing.review(
        batch,
        parts,
        sender_id=sender.pk if sender else None,
        topic_id=topic.pk if topic else None,
        reader=request.user,
    )
    return _describe(
        batch,
        found,
        templateId=template.key,
        sender=describe_sender(sender),
        topic=parts.topic or SERVICE_TOPIC,
        digest=digest,
    )


def _describe(batch: Batch, found: reviewing.Review, **chosen: Any) -> ReviewOut:
    return ReviewOut(
        **chosen,
        batchId=batch.pk,
        totalEmails=found.total_count,
        suppressedEmails=sum(found.suppressed.values()),
        suppressedReasons=found.suppressed,
        rejectedRows=found.rejected_count,
        duplicateRows=found.duplicate_count,
        smtputf8Emails=found.smtputf8_count,
        encoding=batch.encoding,
        delimiter=batch.delimiter,
        hasHeader=batch.has_header,
        columns=batch.columns,
        addressColumn=batch.address_index,
        addressColumns=list(batch.address_indexes),
        sharedAddresses=SharedAddresses(batch.shared_addresses),
        reading=describe_reading(Reading.from_json(batch.reading)),
        mergeFields=batch.merge_fields,
        firstRows=[ReviewRowOut(**asdict(row)) for row in found.first_rows],
        missingFields=list(found.missing_fields),
        nearFields={field.name: [near.merge_field for near in field.near] for field in found.missing},
        foreignTags=[tag.hint for tag in found.foreign_tags],
        blankCounts=found.blank_counts,
        sameContentSentAt=found.same_content_at,
        durationSeconds=found.forecast.seconds,
        doneAt=found.forecast.done_at,
    )


def _digest(batch: Batch, parts: MessageParts, sender: Sender | None, **timing: Any) -> str | None:
    """Return the reviewed digest, or None if nobody may send it as it is."""
    if sender is None:
        return None
    try:
        return make_digest(batch, parts, sender=copy_sender(sender), **timing)
    except SenderRefused:
        return None


@router.post("/batches/{int:batch_id}/fields", response=ReviewOut)
def rename_fields(
    request: HttpRequest,
    batch_id: int,
    payload: FieldNames,
    templateId: TemplateKey | None = None,
    sender: SenderKey | None = None,
) -> ReviewOut:
    """Rename merge fields of a draft, so that its columns fill the merge fields of the template."""
    template = EmailTemplate.objects.find_named(templateId)
    chosen = find_choice(sender, template=template, user=request.user)
    batch = intake.rename_merge_fields(find_batch(request, batch_id, act=Act.SEND), payload.names)
    return _review(request, batch, template, sender=chosen)


@router.post("/batches/{int:batch_id}/reread", response=ReviewOut)
def reread(
    request: HttpRequest,
    batch_id: int,
    payload: ReadAgain,
    templateId: TemplateKey | None = None,
    sender: SenderKey | None = None,
) -> ReviewOut:
    """Read the file of a draft again, another way. Refused after rows were added: the file is not kept then."""
    template = EmailTemplate.objects.find_named(templateId)
    chosen = find_choice(sender, template=template, user=request.user)
    batch = find_batch(request, batch_id, act=Act.SEND)
    batch = intake.reread_upload(batch, change_reading(batch, payload), shared=payload.sharedAddresses)
    return _review(request, batch, template, sender=chosen)


@router.post("/batches/{int:batch_id}/rows", response=AddedOut)
def add_rows(request: HttpRequest, batch_id: int, file: File[UploadedFile]) -> AddedOut:
    """Add the rows of a file to a draft, for example its `rejected.csv` with the lines corrected.

    The file must have the columns of the batch, in any order. If it is sent twice, its rows are duplicates the second
    time, whatever `sharedAddresses` is: a row that the batch already has, cell by cell, is not added again.
    """
    refuse_unknown_form(request, [])
    batch, counts = intake.append_csv(find_batch(request, batch_id, act=Act.SEND), cast(BinaryIO, file.file))
    return AddedOut(
        success=True,
        batchId=batch.pk,
        addedEmails=counts.total,
        totalEmails=batch.total_count,
        rejectedRows=batch.rejected_count,
        duplicateRows=batch.duplicate_count,
    )


@router.post("/batches/{int:batch_id}/discard", response={204: None})
def discard(request: HttpRequest, batch_id: int) -> Status[None]:
    """Delete a draft with its rows. A batch that was sent stays, for the record."""
    intake.discard_draft(find_batch(request, batch_id, act=Act.STOP))
    return Status(204, None)
