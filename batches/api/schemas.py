"""The shapes of the API's requests and answers, field by field as DESIGN.md section 9 names them."""

from __future__ import annotations

from datetime import datetime

from ninja import Field, Schema
from pydantic import AwareDatetime, ConfigDict

from batches.models import JobKind, JobPriority


class Body(Schema):
    """A request's body: a field that is not known is an error, for a misspelt one must not be left out in silence."""

    model_config = ConfigDict(extra="forbid")


class SendOptions(Body):
    templateId: str | int | None = Field(
        default=None, description="A template's key or id; without it, the default one."
    )
    subject: str | None = Field(default=None, max_length=998, description="Instead of the template's subject.")
    scheduledAt: AwareDatetime | None = Field(default=None, description="ISO 8601 with a time zone; without it, now.")
    priority: JobPriority = JobPriority.DEFAULT


class UploadOptions(Schema):
    """What goes with an uploaded file. A form may carry more, such as the CSRF token of a page."""

    templateId: str | None = None
    subject: str | None = None
    hold: bool = Field(default=False, description="Keep the batch as a draft, to be looked at and sent later.")
    encoding: str | None = Field(default=None, description="Such as utf-8 or cp1252; without it, found from the file.")
    delimiter: str | None = Field(default=None, description="One of , ; tab |; without it, found from the file.")


class SendBulk(SendOptions):
    roleFilter: str | None = Field(default=None, max_length=150, description="The name of a group of users.")
    recipients: list[str | dict[str, str | int | float | None]] | None = Field(
        default=None, description="Addresses, or objects with 'email' and merge fields."
    )


class Replay(Body):
    which: JobKind = Field(description="failed, unknown or all.")


class PreviewOptions(Body):
    """Which recipient to render for, and words that are not saved yet."""

    fields: dict[str, str] = Field(default_factory=dict, description="Merge fields by name.")
    batchId: int | None = Field(default=None, description="Render for a recipient of this batch ...")
    row: int | None = Field(default=None, description="... the one of this row; without it, the first.")
    subject: str | None = None
    html: str | None = None
    text: str | None = None


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
    jobId: int | None
    filename: str
    totalEmails: int
    rejectedRows: int
    duplicateRows: int


class ImportProgressOut(Schema):
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
    """Other names for merge fields, so that other columns fill those of a template."""

    names: dict[str, str] = Field(description="From a merge field's present name to the one it is to have.")


class ReadAgain(Body):
    """How a held file is to be read; what is left out is found from the file."""

    encoding: str | None = None
    delimiter: str | None = None
    hasHeader: bool | None = None
    addressColumn: int | None = Field(default=None, ge=0, description="The place of the address, from 0.")


class ReviewRowOut(Schema):
    row: int
    address: str
    fields: dict[str, str]


class ReviewOut(Schema):
    """A held batch as the review page shows it."""

    batchId: int
    templateId: str
    totalEmails: int
    rejectedRows: int
    duplicateRows: int
    smtputf8Emails: int = Field(
        description="Addresses with letters beyond ASCII before the @, which not every relay takes."
    )
    encoding: str = Field(description="Empty for what was no text file, as is the delimiter.")
    delimiter: str
    hasHeader: bool
    columns: list[str]
    addressColumn: int
    mergeFields: list[str] = Field(description="One for each column but the address.")
    firstRows: list[ReviewRowOut]
    missingFields: list[str] = Field(description="Merge fields of the template that no column fills.")
    blankCounts: dict[str, int] = Field(
        description="For each merge field of the template, how many rows leave it blank."
    )
    sameContentSentAt: datetime | None = Field(description="When the same list was sent, if within a day.")
    durationSeconds: float = Field(description="Roughly, at the present rate.")


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
    pendingCount: int
    rejectedRows: int
    duplicateRows: int
    createdAt: datetime
    completedAt: datetime | None
    jobId: int | None


class BatchList(Schema):
    items: list[BatchOut]
    next: str | None


class EmailOut(Schema):
    row: int
    address: str
    status: str
    attempts: int
    code: int | None
    reply: str
    messageId: str | None
    sentAt: datetime | None
    nextAttemptAt: datetime | None
    """Of a retry; null for what was never tried, which is due as soon as its turn comes."""


class EmailList(Schema):
    items: list[EmailOut]
    next: str | None


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
    next: str | None


class PreviewOut(Schema):
    subject: str
    html: str
    text: str
