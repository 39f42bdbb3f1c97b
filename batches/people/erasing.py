"""Remove one person from everything that the program keeps, except from the counts.

A Spelling enters. What was removed leaves, as counts. Each step is a short transaction, and the whole may be repeated:
an erasure that was interrupted is finished by the next one. The order matters: the address goes on the suppression list
first, so that nobody sends to it meanwhile, and what lanes have in flight ends before its row is emptied.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from django.contrib.sessions.models import Session
from django.db import connection, transaction

from batches import audit
from batches.directory import unlist_person
from batches.models import AuditAction, Batch, BatchStatus, EmailStatus, RejectedRow, SuppressionReason, UploadChunk
from batches.people import live, sql
from batches.people.accounts import refuse_accounts, strip_account
from batches.people.redis_traces import RedisAway, delete_traces
from batches.people.searching import (
    CACHE_TABLE,
    Findings,
    RejectedFound,
    Table,
    find_cached,
    find_person,
    find_senders,
    find_sessions,
    match_values,
    read_tables,
)
from batches.people.spelling import MASK, Spelling
from batches.people.stores import compile_pattern, open_stores
from batches.suppressions import digest_address, find_digest, suppress

WAIT_SECONDS = 60.0
"""How long an erasure waits for emails in flight. A lane that is slow renews its lease every five seconds."""

PASSES_MAX = 5
"""How often a table is searched again, because a row was written meanwhile."""


class ErasureRefused(Exception):
    """The person can't be erased as things are. The message says why and what to do. Nothing was changed."""


class PersonBusy(Exception):
    """An email to the person is on its way. The message says what to do. The address is on the suppression list."""


@dataclass(kw_only=True, slots=True)
class Erased:
    """How many rows of what kind an erasure has emptied or deleted."""

    counts: dict[str, int] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)
    """Sentences about what the auditor has to do or to know."""

    def add(self, kind: str, count: int) -> None:
        if count:
            self.counts[kind] = self.counts.get(kind, 0) + count


def erase_person(spelling: Spelling, *, wait_seconds: float = WAIT_SECONDS) -> Erased:
    """Remove a person from the database, Redis and the stores, and suppress the address. Safe to run twice.

    The rows, their statuses, codes and times stay, and so does every count. ``docs/privacy.md`` lists what stays.

    Raises:
        ErasureRefused: the address is that of a sender, or of the last administrator.
        PersonBusy: an email to the person was still in flight after ``wait_seconds``.
    """
    if senders := find_senders(spelling):
        keys = ", ".join(sender.key for sender in senders)
        raise ErasureRefused(
            f"This is an address of the sender {keys}, from which mail of this site comes. Change or delete that "
            "sender in the admin first."
        )
    refuse_accounts(spelling, ErasureRefused)
    with transaction.atomic():
        suppress(spelling.stored, reason=SuppressionReason.ERASED)
        audit.record(AuditAction.PERSON_ERASE, person=digest_address(spelling.stored))
    found = find_person(spelling)
    erased = Erased()
    _erase_emails(found, erased, wait_seconds=wait_seconds)
    unlist_person(find_digest(spelling.stored))
    _erase_rejected(found.rejected, erased)
    _erase_uploads(found.uploads, erased)
    for user in found.users:
        erased.remarks.append(strip_account(user, spelling))
        erased.add("accounts", 1)
    erased.add("sessions", _erase_sessions(spelling))
    erased.add("cached values", _erase_cached(spelling))
    for table in read_tables():
        erased.add(table.name.removeprefix("batches_"), _mask(table, spelling))
    _erase_outside(spelling, erased)
    return erased


def _erase_emails(found: Findings, erased: Erased, *, wait_seconds: float) -> None:
    batches = Batch.objects.in_bulk(found.emails)
    for batch_id, email_ids in found.emails.items():
        batch = batches[batch_id]
        if _delete_from_draft(batch, email_ids):
            erased.add("recipients of drafts", len(email_ids))
            continue
        blank = [""] * len(batch.merge_fields)
        try:
            live.end_pending(batch_id, email_ids, blank=blank, wait_seconds=wait_seconds)
        except live.StillSending as exc:
            raise PersonBusy(
                f"{exc} Nothing else of the person was removed yet. Run the erasure again in a minute, or pause the "
                "batch first."
            ) from exc
        with transaction.atomic():
            # Locked, because a scheduled batch may be taken back to a draft, in which no email is without an address.
            Batch.objects.select_for_update().filter(pk=batch_id).first()
            is_draft = _delete_from_draft(batch, email_ids)
            if not is_draft:
                values = {"emails": email_ids, "blank": json.dumps(blank)}
                sql.execute(sql.EMPTY_EMAILS, values)
                sql.execute(sql.EMPTY_ATTEMPTS, values)
                sql.execute(sql.EMPTY_RETURNS, values)
        erased.add("recipients of drafts" if is_draft else "emails", len(email_ids))


def _delete_from_draft(batch: Batch, email_ids: Sequence[int]) -> bool:
    """Delete the person's emails from a draft. Its stored file is deleted later. False: the batch was sent."""
    with transaction.atomic():
        draft = Batch.objects.select_for_update().filter(pk=batch.pk, status=BatchStatus.DRAFT).first()
        if draft is None:
            return False
        draft.emails.filter(pk__in=email_ids).delete()
        draft.total_count = draft.emails.count()
        draft.suppressed_count = draft.emails.filter(status=EmailStatus.SUPPRESSED).count()
        draft.save(update_fields=["total_count", "suppressed_count"])
    return True


def _erase_rejected(rows: Iterable[RejectedFound], erased: Erased) -> None:
    """Empty the cells of the person's own rejected rows. In others' rows, the address alone is masked later."""
    for row in rows:
        if row.is_own:
            RejectedRow.objects.filter(pk=row.id).update(raw=[""] * len(row.cells), reason="This person was erased.")
            erased.add("rejected rows", 1)


def _erase_uploads(batch_ids: Sequence[int], erased: Erased) -> None:
    """Delete the stored files. The drafts stay, but their files can't be read in another way any more.

    Their lists have changed, also where only a cell of somebody else is masked. So what was reviewed is reviewed again.
    """
    for draft in Batch.objects.filter(pk__in=batch_ids, status=BatchStatus.DRAFT):
        digest = hashlib.sha256(f"{draft.content_digest} without a person".encode()).hexdigest()
        Batch.objects.filter(pk=draft.pk).update(content_digest=digest)
    deleted = UploadChunk.objects.filter(batch__in=batch_ids)
    erased.add("stored files", deleted.values("batch").distinct().count())
    deleted.delete()


def _erase_sessions(spelling: Spelling) -> int:
    """Mask the address in the data of sessions."""
    count = 0
    for session, text in find_sessions(spelling):
        masked = json.loads(spelling.mask(text))
        Session.objects.filter(pk=session.pk).update(session_data=Session.objects.encode(masked))
        count += 1
    return count


def _erase_cached(spelling: Spelling) -> int:
    """Delete the cached values that hold the address."""
    keys = find_cached(spelling)
    with connection.cursor() as cursor:
        cursor.execute(f"DELETE FROM {CACHE_TABLE} WHERE cache_key = ANY(%s)", [keys])  # noqa: S608  a constant
    return len(keys)


def _mask(table: Table, spelling: Spelling) -> int:
    """Replace the address in every text of a table, and return how many rows held it.

    The rows are found before any is locked. A row that changes meanwhile is found by the next pass.
    """
    changes = ", ".join(_change_of(table, column) for column in table.columns)
    found = f"SELECT ctid FROM {table.quoted} WHERE {table.match()}"  # noqa: S608  quoted names of our tables
    statement = f"UPDATE {table.quoted} SET {changes} WHERE ctid = ANY(ARRAY({found}))"  # noqa: S608
    if table.name == "account_emailaddress":  # its address is unique and must be one, so it can't be masked
        statement = f"DELETE FROM {table.quoted} WHERE ctid = ANY(ARRAY({found}))"  # noqa: S608
    count = 0
    for _ in range(PASSES_MAX):
        changed = sql.execute(statement, match_values(spelling) | {"mask": MASK})
        count += changed
        if not changed:
            break
    return count


def _change_of(table: Table, column: str) -> str:
    """Return the SQL that masks the address in one column."""
    name = connection.ops.quote_name(column)
    # Where two rows may not have the same text, such as the keys of two requests, two persons need different masks.
    mask = "%(mask)s || substr(md5(random()::text), 1, 8)" if column in table.unique else "%(mask)s"
    return f"{name} = regexp_replace({name}::text, %(pattern)s, {mask}, 'gi')::{table.columns[column]}"


def _erase_outside(spelling: Spelling, erased: Erased) -> None:
    for store in open_stores():
        erased.add(store.name, store.erase(compile_pattern(spelling)))
    try:
        erased.add("keys of Redis", delete_traces(spelling))
    except RedisAway:
        erased.remarks.append(
            "Redis can't be reached. It keeps records of letter checks for an hour; run the erasure again when it is "
            "back, or empty it."
        )
