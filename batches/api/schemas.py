"""The shapes of the API's requests and answers. Their names are a contract (docs/design.md)."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from ninja import Field, Schema
from pydantic import field_validator

from batches.api.approval_schemas import ApprovalOut
from batches.api.bounded_fields import Recipients, Texts
from batches.api.reading_schemas import COLUMN_MAX, LINE_MAX, ReadingChoices, ReadingOut, leave_out_blank
from batches.api.send_times import SEND_TIME_MEANING, SendTime
from batches.api.sender_schemas import SENDER_MAX_CHARS, SENDER_MEANING, SenderOut
from batches.api.topics import TOPIC_MAX_CHARS, TOPIC_MEANING
from batches.api.unknown_fields import Body
from batches.intake import NAME_MAX_CHARS
from batches.jobs.reviewed import DIGEST_PATTERN
from batches.models import JobPriority, SharedAddresses
from batches.rendering.message import SUBJECT_MAX_CHARS

LIST_LIMIT_MAX = 500
ID_MAX = 2**63 - 1
"""Ids are PostgreSQL bigints."""

LEFT_OUT_MAX = 1000
"""How many recipients an answer names who were left out."""

PART_MAX_CHARS = 256 * 1024
"""How long the HTML or the text of a message may be in a request."""

TemplateKey = Annotated[str, Field(max_length=100)]
Subject = Annotated[str, Field(max_length=SUBJECT_MAX_CHARS)]
TopicKey = Annotated[str, Field(max_length=TOPIC_MAX_CHARS)]
SenderKey = Annotated[str, Field(max_length=SENDER_MAX_CHARS)]
Part = Annotated[str, Field(max_length=PART_MAX_CHARS)]

BatchName = Annotated[
    str | None,
    Field(max_length=NAME_MAX_CHARS, description="What the pages call the batch. Left out: the name of its file."),
]
IsTest = Annotated[
    bool | None,
    Field(description="true: it is a test. The lists of batches leave it out unless they are asked for it."),
]

TIMING_FIELDS = ("scheduledAt", "priority")
"""The fields of an upload that say when its mail goes out. A draft has none of them."""


class ListOptions(Schema):
    """The query parameters of every list."""

    limit: int = Field(50, ge=1, le=LIST_LIMIT_MAX, description="The most items of one page.")
    cursor: str | None = Field(None, description="The `next` of the page before. Empty or left out: the first page.")


class BatchListOptions(ListOptions):
    tests: Literal["without", "with", "only"] = Field(
        default="without",
        description="Whether the list has the test messages: `without` them, `with` them, or `only` them.",
    )


class SendOptions(Body):
    templateId: TemplateKey | Annotated[int, Field(ge=0, le=ID_MAX)] | None = Field(
        default=None, description="The key or id of a template. Left out: the default template."
    )
    subject: Subject | None = Field(default=None, description="Replaces the template's subject.")
    scheduledAt: SendTime | None = Field(default=None, description=SEND_TIME_MEANING)
    priority: JobPriority = Field(default=JobPriority.DEFAULT, description="Jobs of high priority are sent first.")
    sender: str | None = Field(default=None, max_length=SENDER_MAX_CHARS, description=SENDER_MEANING)
    topic: str | None = Field(default=None, max_length=TOPIC_MAX_CHARS, description=TOPIC_MEANING)


class SendDraft(SendOptions):
    name: BatchName = None
    reviewed: str | None = Field(
        default=None,
        pattern=DIGEST_PATTERN,
        description="The `digest` of a review with the same template, subject, topic, sender, time and priority. If "
        "anything of it, or the list, has changed since, the send is refused with 409. Left out: nothing is compared.",
    )


class UploadOptions(ReadingChoices):
    """The form fields beside an uploaded file. A field with another name is refused, as in a Body."""

    templateId: TemplateKey | None = Field(
        default=None, description="The key or id of a template. Left out: the default template."
    )
    subject: Subject | None = Field(default=None, description="Replaces the template's subject.")
    sender: str | None = Field(default=None, max_length=SENDER_MAX_CHARS, description=SENDER_MEANING)
    topic: str | None = Field(default=None, max_length=TOPIC_MAX_CHARS, description=TOPIC_MEANING)
    name: BatchName = None
    isTest: IsTest = None
    scheduledAt: SendTime | None = Field(default=None, description=SEND_TIME_MEANING)
    priority: JobPriority | None = Field(
        default=None, description="Jobs of high priority are sent first. Left out: default."
    )
    draft: bool | None = Field(default=None, description="true: keep the batch as a draft, to be sent later.")
    hold: bool | None = Field(
        default=None,
        json_schema_extra={"deprecated": True},
        description="The former name of `draft`. Deprecated since 0.2.0: it works until 0.3.0.",
    )
    encoding: str | None = Field(
        default=None, max_length=100, description="Such as utf-8 or cp1252. Left out: detected."
    )
    delimiter: str | None = Field(
        default=None, max_length=20, description="A comma, a semicolon, a tab character or |. Left out: detected."
    )

    _leave_out_blank_timing = field_validator(*TIMING_FIELDS, mode="before")(leave_out_blank)


class SendBulk(SendOptions):
    roleFilter: str | None = Field(default=None, max_length=150, description="The name of a group of users.")
    recipients: Recipients | None = Field(
        default=None, description="Addresses, or objects with 'email' and merge fields."
    )
    name: BatchName = None
    isTest: IsTest = None
    sharedAddresses: SharedAddresses | None = Field(
        default=None,
        description="What happens to recipients with the same address: only the `first` gets an email (the default), "
        "`each` gets one, or all go `together` in one email.",
    )


class PreviewOptions(Body):
    """Which recipient to render for, and message parts that are not saved yet."""

    fields: Texts = Field(default_factory=dict, description="Merge field values by name.")
    batchId: int | None = Field(
        default=None, ge=0, le=ID_MAX, description="Take the merge field values of a recipient of this batch."
    )
    row: int | None = Field(
        default=None, ge=0, le=LINE_MAX, description="The row of that recipient. Left out: the first."
    )
    subject: Subject | None = Field(default=None, description="Replaces the template's subject.")
    html: Part | None = Field(default=None, description="Replaces the template's HTML body.")
    text: Part | None = Field(default=None, description="Replaces the template's text body.")
    source: Part | None = Field(
        default=None, description="A letter in Markdown, from which the HTML and the text are made for this preview."
    )


class ErrorOut(Schema):
    detail: str


class HealthOut(Schema):
    status: str
    database: bool
    redis: bool = Field(description="Whether Redis answers and accepts writes.")
    workers: int
    queued: int
    detail: str | None = Field(
        default=None, description="What is wrong, or soon will be, in a sentence. Left out if nothing is."
    )


class UploadOut(Schema):
    success: bool
    batchId: int
    jobId: int | None = Field(description="null for a draft, and while `approval` waits.")
    approval: ApprovalOut | None = Field(
        default=None, description="The approval that it waits for, if so many recipients need one. Otherwise left out."
    )
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

    names: Texts = Field(description="From the present name of a merge field to its new name.")


class ReadAgain(Body, ReadingChoices):
    """How to read the file of a draft.

    An option that is left out stays as it was chosen before. null finds it from the file.
    """

    encoding: str | None = Field(default=None, max_length=100, description="Such as utf-8 or cp1252.")
    delimiter: str | None = Field(
        default=None, max_length=20, description="A comma, a semicolon, a tab character or |."
    )
    hasHeader: bool | None = Field(
        default=None, description="Whether the first line has the headings. See `headerRow`."
    )
    addressColumn: int | None = Field(
        default=None, ge=0, le=COLUMN_MAX, description="The number of the address column, from 0. See `addressColumns`."
    )


class ReviewRowOut(Schema):
    row: int = Field(description="Its place in the batch, as a preview takes it.")
    line: int = Field(description="The line of the file. Several emails may come from one line.")
    address: str
    fields: dict[str, str]


class ReviewOut(Schema):
    """A draft as the review page shows it."""

    batchId: int
    templateId: str
    sender: SenderOut | None = Field(description="null: you have no sender.")
    topic: str = Field(description="The key of the topic: that of the request, or the template's.")
    totalEmails: int
    suppressedEmails: int = Field(description="Those of the emails that would not be sent: see /api/suppressions.")
    suppressedReasons: dict[str, int] = Field(description="The same by reason.")
    rejectedRows: int
    duplicateRows: int
    smtputf8Emails: int = Field(
        description="Addresses with non-ASCII characters before the @. Not every relay accepts them (SMTPUTF8)."
    )
    encoding: str = Field(description="Empty, like the delimiter, if the file was not a text file.")
    delimiter: str
    hasHeader: bool
    columns: list[str]
    addressColumn: int = Field(description="The first of `addressColumns`.")
    addressColumns: list[int] = Field(description="The columns of the addresses, from 0.")
    sharedAddresses: SharedAddresses
    reading: ReadingOut
    mergeFields: list[str] = Field(
        description="One for each column except the address column. If there are several, one for each column."
    )
    firstRows: list[ReviewRowOut]
    missingFields: list[str] = Field(description="Merge fields of the template that no column fills.")
    nearFields: dict[str, list[str]] = Field(
        description="For each missing field, the merge fields of the list that resemble it most, best first."
    )
    foreignTags: list[str] = Field(
        description="A sentence for each tag of another system in the template. Such tags are sent unchanged."
    )
    blankCounts: dict[str, int] = Field(
        description="How many rows leave a merge field of the template blank, for each that is left blank."
    )
    sameContentSentAt: datetime | None = Field(
        description="When a list with the same content was sent within the last day, or null."
    )
    durationSeconds: float | None = Field(
        description="How long sending will take: an estimate from the rates, quotas and windows of the relays, and "
        "from what else waits. null: no relay accepts mail now."
    )
    doneAt: datetime | None = Field(description="When it would be done if it were sent now. null: nobody knows it.")
    digest: str | None = Field(
        description="Stands for the list, the message, the sender, the time and the priority of this review. Give it "
        "to `send` as `reviewed`. null: it can't be sent as it is."
    )


class LeftOut(Schema):
    """A recipient who is on the suppression list for the topic of the message."""

    address: str
    reason: str = Field(description="Such as `unsubscribed`. Empty: it is not known any more.")


class SentOut(Schema):
    success: bool
    jobId: int | None = Field(description="null: nothing is sent yet, because `approval` waits.")
    batchId: int
    totalCount: int = Field(description="To how many it is sent: without those who were left out.")
    suppressedCount: int = Field(default=0, description="Recipients who were left out. Missing: nobody was.")
    suppressed: list[LeftOut] = Field(
        default=[],
        description=f"Who was left out, and why: the first {LEFT_OUT_MAX:,}.",
    )
    approval: ApprovalOut | None = Field(
        default=None, description="The approval that it waits for, if so many recipients need one. Otherwise left out."
    )


class MovedOut(Schema):
    success: bool
    batchId: int
    status: str


class MomentOut(Schema):
    """A time that a sentence names, for a program that shows it in another zone."""

    words: str = Field(description="What the sentence says, in the time zone of the site.")
    at: datetime
    shape: str = Field(description="How exactly it is said: `at`, `at-second`, `about` or `day`.")


class BatchOut(Schema):
    id: int
    filename: str
    name: str = Field(description="What a person called it. Empty: nobody did, and the pages show the file's name.")
    isTest: bool = Field(description="Whether it is a test message.")
    source: str
    status: str
    totalEmails: int
    processedCount: int
    sentCount: int = Field(description="The emails that any job of the batch has sent.")
    failedCount: int
    unknownCount: int
    suppressedCount: int
    suppressedReasons: dict[str, int] | None = Field(
        description="The suppressed emails by reason, such as `unsubscribed`. After a purge the reasons are not known "
        "any more, and it is empty. null in a list of batches, and in a batch that has none."
    )
    cancelledCount: int
    pendingCount: int = Field(description="The emails that are still to be sent, or are being sent.")
    resendingCount: int = Field(
        description="How many emails are counted in both sentCount and pendingCount, because a replay of all sends "
        "them again. Otherwise 0."
    )
    returnedCount: int = Field(
        description="The sent emails that came back after a mail server had taken them. They stay counted as sent."
    )
    complainedCount: int = Field(description="The sent emails about which their recipients complained.")
    waitingFor: str | None = Field(
        description="What the batch waits for, such as a relay or its time, until when, and how many emails wait, in "
        "sentences. null: for nothing."
    )
    moments: list[MomentOut] = Field(description="The times that `waitingFor` names.")
    doneAt: datetime | None = Field(
        description="When the batch will be done: an estimate from the rates, quotas and windows of the relays, and "
        "from what else waits. null: nobody knows it, or it is done, or it has not been sent."
    )
    rejectedRows: int
    duplicateRows: int
    sharedAddresses: SharedAddresses = Field(description="What happens to rows that have the same address.")
    createdAt: datetime
    completedAt: datetime | None
    purgedAt: datetime | None = Field(
        description="When the addresses, merge fields and replies of the batch were removed. Nothing of it can be sent "
        "again. null: they are there."
    )
    jobId: int | None = Field(description="The last job. null for a draft.")
    sender: SenderOut | None = Field(
        description="That of the last job, as it was when the job was made. For a draft: the one that you would send "
        "from with the default template. null if you may not send."
    )
    topic: str | None = Field(description="The key of the topic of the last job. null for a draft.")


class BatchList(Schema):
    items: list[BatchOut]
    next: str | None = Field(description="The cursor of the next page, or null.")


class JobOut(Schema):
    id: int
    batchId: int
    status: str
    templateId: str
    subject: str
    sender: SenderOut
    topic: str
    totalCount: int
    sentCount: int
    failedCount: int
    createdById: int | None
    createdAt: datetime
    startedAt: datetime | None
    completedAt: datetime | None
    lastError: str
