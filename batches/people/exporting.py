"""Give out everything that the program keeps about one person (GDPR, articles 15 and 20).

A Spelling enters. A mapping leaves that JSON can hold. Of rows that are about somebody else, only the cells that hold
the address are in it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from django.contrib.auth.models import User
from django.db import connection
from django.db.models import Q
from django.utils import timezone

from batches.history import History, read_histories
from batches.models import AuditEntry, Batch, Email, RejectedRow, Return, Sender, Suppression
from batches.people.accounts import describe_account
from batches.people.redis_traces import RedisAway, find_traces
from batches.people.searching import (
    CACHE_TABLE,
    Findings,
    Table,
    find_cached,
    find_person,
    find_sessions,
    match_values,
    read_tables,
)
from batches.people.spelling import Spelling
from batches.people.stores import compile_pattern, open_stores
from batches.people.uploads import find_lines
from batches.returns.summary import read_returns
from batches.suppressions import DIGEST_BYTES, digest_address, find_digest

AUDIT_MAX = 10_000
"""How many audit entries are given out: the newest."""

OWN_EMAILS = {"batches_email": "address", "batches_rejectedrow": "raw"}
"""Columns that have a part of their own in the export."""


def export_person(spelling: Spelling) -> dict[str, Any]:
    """Return everything about a person. Reads every table."""
    found = find_person(spelling)
    digest = digest_address(spelling.stored)
    return {
        "address": spelling.stored,
        "exportedAt": timezone.now(),
        "suppressions": list(
            Suppression.objects.filter(digest=find_digest(spelling.stored)).values(
                "reason", "topic__name", "source", "created_at", "ends_at"
            )
        ),
        "emails": list(_describe_emails(found)),
        "rejectedRows": list(_describe_rejected(found)),
        "uploads": list(_describe_uploads(found, spelling)),
        "users": [describe_account(user) for user in found.users],
        "senders": [_describe_sender(sender) for sender in found.senders],
        "mentions": list(_read_all_mentions(spelling)),
        "stores": {store.name: store.export(compile_pattern(spelling)) for store in open_stores()},
        "redis": _describe_redis(spelling),
        "audit": list(_describe_audit(found.users, digest)),
    }


def _describe_emails(found: Findings) -> Iterator[dict[str, Any]]:
    batches = Batch.objects.in_bulk(found.emails)
    for batch_id, email_ids in found.emails.items():
        emails = list(Email.objects.filter(pk__in=email_ids).with_state().order_by("row"))
        histories, returns = read_histories(emails), read_returns(email_ids)
        for email in emails:
            yield _describe_email(email, batches[batch_id], histories[email.pk]) | {
                "returns": [_describe_return(report) for report in returns.get(email.pk, [])]
            }


def _describe_return(report: Return) -> dict[str, Any]:
    return {
        "kind": report.kind,
        "returnClass": report.return_class,
        "statusCode": report.status_code,
        "text": report.text,
        "happenedAt": report.happened_at,
        "receivedAt": report.received_at,
    }


def _describe_email(email: Email, batch: Batch, history: History) -> dict[str, Any]:
    width = len(batch.merge_fields)
    return {
        "batchId": batch.pk,
        "filename": batch.filename,
        "uploadedAt": batch.created_at,
        "row": email.row,
        "line": email.shown_line,
        "address": email.address,
        "fields": dict(zip(batch.merge_fields, email.fields, strict=False)),
        "furtherRows": email.fields[width:],
        "status": history.state.value,
        "code": history.code,
        "reply": history.reply,
        "completedAt": history.completed_at,
        "attempts": [attempt._asdict() for attempt in history.attempts],
    }


def _describe_rejected(found: Findings) -> Iterator[dict[str, Any]]:
    for row in RejectedRow.objects.filter(pk__in=[row.id for row in found.rejected if row.is_own]).order_by("pk"):
        yield {"batchId": row.batch_id, "line": row.line, "kind": row.kind, "cells": row.raw, "reason": row.reason}


def _describe_uploads(found: Findings, spelling: Spelling) -> Iterator[dict[str, Any]]:
    for batch in Batch.objects.filter(pk__in=found.uploads).order_by("pk"):
        yield {"batchId": batch.pk, "filename": batch.filename, "lines": find_lines(batch, spelling)}


def _describe_sender(sender: Sender) -> dict[str, Any]:
    return {"key": sender.key, "name": sender.display_name, "address": sender.address, "replyTo": sender.reply_to}


def _read_all_mentions(spelling: Spelling) -> Iterator[dict[str, Any]]:
    for table in read_tables():
        yield from _read_mentions(table, spelling)
    # The address alone: these hold what another user typed, beside what keeps that user signed in.
    for _ in find_sessions(spelling):
        yield {"table": "django_session", "column": "session_data", "text": spelling.stored}
    for _ in find_cached(spelling):
        yield {"table": CACHE_TABLE, "column": "value", "text": spelling.stored}


def _read_mentions(table: Table, spelling: Spelling) -> Iterator[dict[str, Any]]:
    """Yield the texts of a table that hold the address and have no part of their own: the cell or the reply alone."""
    for column in table.columns:
        if OWN_EMAILS.get(table.name) == column:
            continue
        name = connection.ops.quote_name(column)
        with connection.cursor() as cursor:
            cursor.execute(
                f"SELECT {name}::text FROM {table.quoted} WHERE {table.match_column(column)}",  # noqa: S608  our tables
                match_values(spelling),
            )
            for (text,) in cursor.fetchall():
                yield {"table": table.name, "column": column, "text": _cut(text, spelling)}


def _cut(text: str, spelling: Spelling) -> str:
    """Return the lines or cells of a text that hold the address, and nothing of others."""
    parts = text.replace('", "', "\n").splitlines()
    return "\n".join(part for part in parts if spelling.is_in(part)) or spelling.stored


def _describe_redis(spelling: Spelling) -> list[str] | str:
    try:
        return find_traces(spelling)
    except RedisAway:
        return "Redis can't be reached. It keeps records of letter checks for an hour."


def _describe_audit(users: Iterable[User], digest: str) -> Iterator[dict[str, Any]]:
    """Yield the entries about the person, and about what the person's own account did."""
    # What a recipient did by a link is known by the digest of the suppression list: the first half of this one.
    persons = [digest, digest[: 2 * DIGEST_BYTES]]
    entries = AuditEntry.objects.filter(Q(details__person__in=persons) | Q(actor_id__in=[user.pk for user in users]))
    for entry in entries.order_by("-pk")[:AUDIT_MAX]:
        yield {
            "at": entry.at,
            "action": entry.action,
            "by": entry.actor_name or entry.via,
            "via": entry.via,
            "target": entry.target,
            "targetId": entry.target_id,
            "client": entry.client,
        }
