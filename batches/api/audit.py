"""The audit for auditors: as pages of JSON, and as one CSV file.

What to look for enters. Entries leave, newest first. Anyone who lacks the permission is refused, which is an entry too.
"""

from __future__ import annotations

import re
from datetime import date, datetime
from typing import Any

from channels.db import database_sync_to_async
from django.db.models import QuerySet
from django.http import HttpRequest, StreamingHttpResponse
from ninja import Field, Query, Router, Schema
from pydantic import field_validator

from batches import audit, paging
from batches.api.exports import CSV, stream_csv
from batches.api.schemas import ListOptions
from batches.audit_export import audit_csv
from batches.models import AuditAction, AuditEntry
from batches.permissions import Permission, require

router = Router(tags=["audit"])


class AuditSearch(Schema):
    """What to look for. Everything that is left out filters nothing."""

    who: str = Field("", max_length=150, description="A user's name, or a door such as `token nightly` or `program`.")
    action: AuditAction | None = None
    batch: int | None = Field(None, ge=1, le=2**63 - 1)
    since: date | None = Field(None, description="The first day, in the time zone of the site.")
    until: date | None = Field(None, description="The last day.")
    refused: bool = Field(False, description="Only what was refused.")

    @field_validator("since", "until", mode="before")
    @classmethod
    def _refuse_seconds(cls, value: Any) -> Any:
        """Take a day only as text: pydantic would take a number as seconds since 1970."""
        if isinstance(value, str) and not re.fullmatch(r"\d{4}-\d{2}-\d{2}", value):
            raise ValueError("Write a day such as 2026-03-31.")
        return value


class AuditListOptions(ListOptions, AuditSearch):
    pass


class AuditEntryOut(Schema):
    """Who did what, to which object, when, and from where."""

    id: int
    at: datetime
    action: AuditAction
    refused: bool = Field(description="It was tried, and refused.")
    actorId: int | None = Field(description="The user. null: a stranger, a command or the program itself.")
    actor: str = Field(description="The user's name at that time.")
    via: str = Field(description="`page`, `admin`, `token NAME`, `command NAME` or `program`.")
    client: str | None = Field(description="The IP address of the client.")
    target: str = Field(description="The kind of object, such as `batch`.")
    targetId: str
    targetName: str
    batchId: int | None
    details: dict[str, Any]


class AuditList(Schema):
    items: list[AuditEntryOut]
    next: str | None = Field(description="The `cursor` of the next page. null: this is the last one.")


@router.get("/audit", response=AuditList)
def list_audit(request: HttpRequest, options: Query[AuditListOptions]) -> AuditList:
    """Who did what, newest first. For those who may read the audit."""
    require(request.user, Permission.VIEW_AUDIT)
    entries, following = paging.cut(_search(options), order=["-id"], cursor=options.cursor or "", size=options.limit)
    return AuditList(items=[_describe(entry) for entry in entries], next=following)


@router.get("/audit.csv", openapi_extra=CSV)
async def download_audit(request: HttpRequest, options: Query[AuditSearch]) -> StreamingHttpResponse:
    """Who did what as a CSV file. That it was downloaded is an entry of the audit."""
    entries = await database_sync_to_async(_find_exported)(request, options)
    return stream_csv(audit_csv(entries), filename="audit.csv")


def _find_exported(request: HttpRequest, options: AuditSearch) -> QuerySet[AuditEntry]:
    require(request.user, Permission.VIEW_AUDIT)
    latest = audit.record(AuditAction.AUDIT_READ, search=options.model_dump(mode="json", exclude_defaults=True))
    # Without what is written while the file is read, so that the file has an end.
    return _search(options).filter(pk__lt=latest.pk)


def _search(options: AuditSearch) -> QuerySet[AuditEntry]:
    return AuditEntry.objects.search(
        who=options.who.strip(),
        action=options.action or "",
        batch_id=options.batch,
        since=options.since,
        until=options.until,
        is_refused=options.refused,
    )


def _describe(entry: AuditEntry) -> AuditEntryOut:
    return AuditEntryOut(
        id=entry.pk,
        at=entry.at,
        action=AuditAction(entry.action),
        refused=entry.is_refused,
        actorId=entry.actor_id,
        actor=entry.actor_name,
        via=entry.via,
        client=entry.client,
        target=entry.target,
        targetId=entry.target_id,
        targetName=entry.target_name,
        batchId=entry.batch_id,
        details=entry.details,
    )
