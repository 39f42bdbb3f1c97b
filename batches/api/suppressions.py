"""The suppression list for programs: read it, add addresses or a file of them, ask about some, and take one off.

Addresses enter, and never leave: the list has digests alone. Everything needs the permission to manage the list.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, BinaryIO, cast

from channels.db import database_sync_to_async
from django.contrib.auth.models import User
from django.db.models import QuerySet
from django.http import HttpRequest, StreamingHttpResponse
from django.utils import timezone
from ninja import Field, File, Form, Query, Router, Schema
from ninja.files import UploadedFile
from pydantic import AwareDatetime, BeforeValidator

from batches import audit, do_not_send, paging
from batches.api.errors import ApiError
from batches.api.exports import CSV, stream_csv
from batches.api.schemas import ListOptions
from batches.api.send_times import refuse_number
from batches.api.unknown_fields import Body, refuse_query, refuse_unknown_form
from batches.do_not_send import Entry, SuppressionRefused
from batches.files.spooling import check_size
from batches.models import AuditAction, Suppression, SuppressionReason
from batches.permissions import Permission, require
from batches.suppression_export import suppressions_csv
from batches.suppressions import read_key

router = Router(tags=["suppressions"])

ADDRESSES_MAX = 1000
ADDRESS_MAX_CHARS = 512

Address = Annotated[str, Field(max_length=ADDRESS_MAX_CHARS)]
Moment = Annotated[datetime, BeforeValidator(refuse_number)]
EndTime = Annotated[AwareDatetime, BeforeValidator(refuse_number)]
TopicKey = Annotated[str, Field(max_length=50, description="The key of a topic. Left out: every topic.")]


class SuppressionOut(Schema):
    """Why one address gets no mail, of one topic or of any. The address itself is not kept."""

    id: int
    digest: str = Field(description="Of the address, in hexadecimal. It means nothing outside of this site.")
    topic: str | None = Field(description="The key of the topic. null: every topic.")
    reason: SuppressionReason = Field(description="`unsubscribed` stops news alone, every other reason all mail.")
    source: str
    createdAt: datetime
    endsAt: datetime | None = Field(description="null: it does not end.")


class SuppressionList(Schema):
    items: list[SuppressionOut]
    next: str | None = Field(description="The `cursor` of the next page. null: this is the last one.")


class SuppressionSearch(ListOptions):
    """What to look for. Everything that is left out filters nothing."""

    reason: SuppressionReason | None = None
    topic: str | None = Field(None, max_length=50)
    since: Moment | None = Field(None, description="Added at this time or later.")
    until: Moment | None = Field(None, description="Added before this time.")
    address: Address | None = Field(None, description="Only what is said of this address and has not ended.")


class AddSuppressions(Body):
    """One address, or many."""

    address: Address | None = None
    addresses: list[Address] | None = Field(default=None, max_length=ADDRESSES_MAX)
    topic: TopicKey | None = None
    reason: SuppressionReason = Field(default=SuppressionReason.MANUAL, description="Any but `erased`.")
    source: str = Field(default="", max_length=do_not_send.SOURCE_MAX_CHARS, description="Without the address.")
    endsAt: EndTime | None = Field(
        default=None,
        description="ISO 8601 with a time zone, before the year 3000. Left out: it does not end.",
    )


class AddedOut(Schema):
    success: bool
    addedCount: int = Field(description="Those that were not there yet, or for a shorter time.")


class ImportOptions(Schema):
    topic: TopicKey | None = None
    reason: SuppressionReason = SuppressionReason.IMPORTED


class LineFault(Schema):
    line: int
    reason: str


class ImportedOut(AddedOut):
    addressCount: int
    rejectedCount: int
    rejected: list[LineFault] = Field(description="The first of them.")


class LiftSuppression(Body):
    address: Address
    topic: TopicKey | None = Field(default=None, description="Only what is said of this topic. Left out: everything.")
    reason: SuppressionReason | None = Field(default=None, description="Only what is there for this reason.")


class LiftQuery(Schema):
    """The same in the query of a request without a body."""

    address: Address | None = None
    topic: str | None = Field(None, max_length=50)
    reason: SuppressionReason | None = None


class LiftedOut(Schema):
    success: bool
    removedCount: int = Field(description="0: nothing was said of the address.")


@router.get("/suppressions", response=SuppressionList)
def list_suppressions(request: HttpRequest, options: Query[SuppressionSearch]) -> SuppressionList:
    """Who gets no mail, newest first. Those that have ended are among them."""
    require(request.user, Permission.MANAGE_SUPPRESSIONS)
    try:
        found = _search(options).select_related("topic")
    except SuppressionRefused as exc:
        raise ApiError(422, str(exc)) from exc
    rows, following = paging.cut(found, order=["-id"], cursor=options.cursor or "", size=options.limit)
    return SuppressionList(items=list(map(_describe, rows)), next=following)


@router.get("/suppressions.csv", openapi_extra=CSV)
async def download_suppressions(request: HttpRequest) -> StreamingHttpResponse:
    """The whole list as a file, which this site can import again. It has digests and no addresses."""
    rows, key = await database_sync_to_async(_find_exported)(request)
    return stream_csv(suppressions_csv(rows, key=key), filename="do-not-send.csv")


@router.post("/suppressions", response=AddedOut)
def add_suppressions(request: HttpRequest, payload: AddSuppressions) -> AddedOut:
    """Put addresses on the list: all of them, or none if one is no address. Safe to repeat."""
    require(request.user, Permission.MANAGE_SUPPRESSIONS)
    refuse_query(request, fields=AddSuppressions.model_fields)
    addresses = _addresses_of(payload)
    try:
        entry = _make_entry(payload.reason, payload.topic, source=payload.source or "API", ends_at=payload.endsAt)
        added = do_not_send.add_addresses(addresses, entry)
    except SuppressionRefused as exc:
        raise ApiError(422, str(exc)) from exc
    return AddedOut(success=True, addedCount=added)


@router.post("/suppressions/import", response=ImportedOut)
def import_suppressions(request: HttpRequest, file: File[UploadedFile], options: Form[ImportOptions]) -> ImportedOut:
    """Put the addresses of a file on the list: any file that can be uploaded as a list, or an export of this list."""
    require(request.user, Permission.MANAGE_SUPPRESSIONS)
    refuse_unknown_form(request, ImportOptions.model_fields)
    check_size(file.size or 0)
    reader = request.user.pk if isinstance(request.user, User) else None
    try:
        entry = _make_entry(options.reason, options.topic)
        imported = do_not_send.import_file(cast(BinaryIO, file), entry, filename=file.name or "", reader=reader)
    except SuppressionRefused as exc:
        raise ApiError(422, str(exc)) from exc
    return ImportedOut(
        success=True,
        addedCount=imported.added_count,
        addressCount=imported.address_count,
        rejectedCount=imported.fault_count,
        rejected=[LineFault(line=line, reason=sentence) for line, sentence in imported.faults],
    )


@router.delete("/suppressions", response=LiftedOut)
def lift_suppression(
    request: HttpRequest, options: Query[LiftQuery], payload: LiftSuppression | None = None
) -> LiftedOut:
    """Take an address off the list. Emails that have ended as suppressed stay so. Safe to repeat.

    A client that sends no body with DELETE puts the same names into the query.
    """
    require(request.user, Permission.MANAGE_SUPPRESSIONS)
    wanted: LiftQuery | LiftSuppression = options
    if payload is not None:
        if options.address is not None:
            raise ApiError(422, "Name the address either in the body or in the query, not in both.")
        wanted = payload
    if not wanted.address:
        raise ApiError(422, "Name the 'address' that is to be taken off the list.")
    try:
        topic = do_not_send.find_topic(wanted.topic) if wanted.topic else None
        lifted = do_not_send.lift_address(
            wanted.address, topic=topic, reason=wanted.reason, is_topic_only=topic is not None
        )
    except SuppressionRefused as exc:
        raise ApiError(422, str(exc)) from exc
    return LiftedOut(success=True, removedCount=lifted)


def _find_exported(request: HttpRequest) -> tuple[QuerySet[Suppression], bytes]:
    require(request.user, Permission.MANAGE_SUPPRESSIONS)
    audit.record(AuditAction.DOWNLOAD, file="do-not-send.csv")
    return Suppression.objects.all(), read_key()


def _search(options: SuppressionSearch) -> QuerySet[Suppression]:
    found = Suppression.objects.all()
    if options.address:
        found = do_not_send.find_rows(options.address)
    if options.reason:
        found = found.filter(reason=options.reason)
    if options.topic:
        found = found.filter(topic__key=options.topic)
    if options.since:
        found = found.filter(created_at__gte=_with_zone(options.since))
    if options.until:
        found = found.filter(created_at__lt=_with_zone(options.until))
    return found


def _with_zone(moment: datetime) -> datetime:
    return moment if timezone.is_aware(moment) else timezone.make_aware(moment)


def _addresses_of(payload: AddSuppressions) -> Sequence[str]:
    """Return the addresses of a request.

    Raises:
        ApiError: It has none, or both fields.
    """
    if (payload.address is None) == (payload.addresses is None):
        raise ApiError(422, "Name the addresses: send either 'address' or 'addresses', not both.")
    addresses = payload.addresses if payload.addresses is not None else [payload.address or ""]
    if not addresses:
        raise ApiError(422, "'addresses' is empty. Name at least one address.")
    return addresses


def _make_entry(
    reason: SuppressionReason, topic: str | None, *, source: str = "", ends_at: datetime | None = None
) -> Entry:
    if reason not in do_not_send.REASONS:
        raise SuppressionRefused("Only the erasure of a person gives the reason 'erased'. Choose another reason.")
    found = do_not_send.find_topic(topic) if topic else None
    ends_at = do_not_send.tidy_end(ends_at) if ends_at is not None else None
    return Entry(reason=reason, topic=found, source=source, ends_at=ends_at)


def _describe(row: Suppression) -> SuppressionOut:
    return SuppressionOut(
        id=row.pk,
        digest=bytes(row.digest).hex(),
        topic=row.topic.key if row.topic is not None else None,
        reason=SuppressionReason(row.reason),
        source=row.source,
        createdAt=row.created_at,
        endsAt=row.ends_at,
    )
