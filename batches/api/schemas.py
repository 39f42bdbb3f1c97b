"""The shapes of the API's requests and answers. Their names are a contract (docs/design.md)."""

from __future__ import annotations

from datetime import datetime

from ninja import Field, Schema
from pydantic import AwareDatetime, ConfigDict

from batches.models import JobKind, JobPriority
from batches.rendering.message import SUBJECT_MAX_CHARS

LIST_LIMIT_MAX = 500


class Body(Schema):
    """The body of a request. An unknown field is an error, so that a misspelling is not silently ignored."""

    model_config = ConfigDict(extra="forbid")


class ListOptions(Schema):
    """The query parameters of every list."""

    limit: int = Field(50, ge=1, le=LIST_LIMIT_MAX, description="The most items of one page.")
    cursor: str | None = Field(None, description="The `next` of the page before. Empty or left out: the first page.")


class SendOptions(Body):
    templateId: str | int | None = Field(
        default=None, description="The key or id of a template. Left out: the default template."
    )
    subject: str | None = Field(
        default=None, max_length=SUBJECT_MAX_CHARS, description="Replaces the template's subject."
    )
    scheduledAt: AwareDatetime | None = Field(default=None, description="ISO 8601 with a time zone. Left out: now.")
    priority: JobPriority = Field(default=JobPriority.DEFAULT, description="Jobs of high priority are sent first.")


class UploadOptions(Schema):
    """The form fields beside an uploaded file. A form may have more, such as the CSRF token of a page."""

    templateId: str | None = Field(
        default=None, description="The key or id of a template. Left out: the default template."
    )
    subject: str | None = Field(default=None, description="Replaces the template's subject.")
    draft: bool | None = Field(default=None, description="true: keep the batch as a draft, to be sent later.")
    hold: bool | None = Field(
        default=None,
        json_schema_extra={"deprecated": True},
        description="The former name of `draft`. Deprecated since 0.2.0: it works until 0.3.0.",
    )
    encoding: str | None = Field(default=None, description="Such as utf-8 or cp1252. Left out: detected.")
    delimiter: str | None = Field(default=None, description="One of , ; tab |. Left out: detected.")


class SendBulk(SendOptions):
    roleFilter: str | None = Field(default=None, max_length=150, description="The name of a group of users.")
    recipients: list[str | dict[str, str | int | float | None]] | None = Field(
        default=None, description="Addresses, or objects with 'email' and merge fields."
    )


class Replay(Body):
    which: JobKind = Field(description="Which emails to send again: failed, unknown or all.")


class PreviewOptions(Body):
    """Which recipient to render for, and message parts that are not saved yet."""

    fields: dict[str, str] = Field(default_factory=dict, description="Merge field values by name.")
    batchId: int | None = Field(default=None, description="Take the merge field values of a recipient of this batch.")
    row: int | None = Field(default=None, description="The row of that recipient. Left out: the first.")
    subject: str | None = Field(default=None, description="Replaces the template's subject.")
    html: str | None = Field(default=None, description="Replaces the template's HTML body.")
    text: str | None = Field(default=None, description="Replaces the template's text body.")


class ErrorOut(Schema):
    detail: str


class HealthOut(Schema):
    status: str
    database: bool
    redis: bool
    workers: int
    queued: int


class UploadOut(Schema):
    success: bool
    batchId: int
    jobId: int | None = Field(description="null for a draft.")
    filename: str
    totalEmails: int
    rejectedRows: int
    duplicateRows: int


# The name is that of 0.1.0, because generated clients use it.
class LoadingOut(Schema):
    """Import progress."""

    rows: int
    percent: int


class AddedOut(Schema):
    success: bool
    batchId: int
    addedEmails: int
    totalEmails: int
    rejectedRows: int
    duplicateRows: int


class FieldNames(Body):
    """New names for merge fields, so that the columns of the list fill the merge fields of a template."""

    names: dict[str, str] = Field(description="From the present name of a merge field to its new name.")


class ReadAgain(Body):
    """How to read the file of a draft. Each option that is left out is detected."""

    encoding: str | None = None
    delimiter: str | None = None
    hasHeader: bool | None = None
    addressColumn: int | None = Field(default=None, ge=0, description="The number of the address column, from 0.")


class ReviewRowOut(Schema):
    row: int
    address: str
    fields: dict[str, str]


class ReviewOut(Schema):
    """A draft as the review page shows it."""

    batchId: int
    templateId: str
    totalEmails: int
    rejectedRows: int
    duplicateRows: int
    smtputf8Emails: int = Field(
        description="Addresses with non-ASCII characters before the @. Not every relay accepts them (SMTPUTF8)."
    )
    encoding: str = Field(description="Empty, like the delimiter, if the file was not a text file.")
    delimiter: str
    hasHeader: bool
    columns: list[str]
    addressColumn: int
    mergeFields: list[str] = Field(description="One for each column except the address column.")
    firstRows: list[ReviewRowOut]
    missingFields: list[str] = Field(description="Merge fields of the template that no column fills.")
    blankCounts: dict[str, int] = Field(
        description="How many rows leave a merge field of the template blank, for each that is left blank."
    )
    sameContentSentAt: datetime | None = Field(
        description="When a list with the same content was sent within the last day, or null."
    )
    durationSeconds: float = Field(description="An estimate, from the rate of the last job.")


class SentOut(Schema):
    success: bool
    jobId: int
    batchId: int
    totalCount: int


class MovedOut(Schema):
    success: bool
    batchId: int
    status: str


class BatchOut(Schema):
    id: int
    filename: str
    source: str
    status: str
    totalEmails: int
    processedCount: int
    sentCount: int
    failedCount: int
    unknownCount: int
    suppressedCount: int
    pendingCount: int = Field(description="The emails that have not ended: those with the status pending or sending.")
    rejectedRows: int
    duplicateRows: int
    createdAt: datetime
    completedAt: datetime | None
    jobId: int | None = Field(description="The last job. null for a draft.")


class BatchList(Schema):
    items: list[BatchOut]
    next: str | None = Field(description="The cursor of the next page, or null.")


class EmailOut(Schema):
    row: int
    address: str
    status: str
    attempts: int
    code: int | None
    reply: str
    messageId: str | None
    sentAt: datetime | None
    nextAttemptAt: datetime | None = Field(description="When a retry is due. null for an untried email.")


class EmailList(Schema):
    items: list[EmailOut]
    next: str | None = Field(description="The cursor of the next page, or null.")


class JobOut(Schema):
    id: int
    batchId: int
    status: str
    templateId: str
    subject: str
    totalCount: int
    sentCount: int
    failedCount: int
    createdById: int | None
    createdAt: datetime
    startedAt: datetime | None
    completedAt: datetime | None
    lastError: str


class TemplateOut(Schema):
    id: int
    key: str
    name: str
    subject: str
    isDefault: bool
    mergeFields: list[str]
    updatedAt: datetime


class TemplateList(Schema):
    items: list[TemplateOut]
    next: str | None = Field(description="Always null: the list has one page.")


class PreviewOut(Schema):
    subject: str
    html: str
    text: str
