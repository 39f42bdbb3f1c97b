"""What a person does with the suppression list: add addresses, import a file of them, and take one off again.

Addresses enter as a person types them, or a file that the door of lists reads. What changed leaves. Each act is in the
audit. Pages, the API and the command call these functions.
"""

from __future__ import annotations

import csv
import io
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import BinaryIO

import orjson
from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone
from django.utils.dateparse import parse_date, parse_datetime

from batches import audit
from batches.files.addresses import BadAddress, normalise_address
from batches.files.errors import ListRefused
from batches.files.formulas import rearm
from batches.files.opening import OpenedFile, ReadingOptions, open_records
from batches.files.spooling import seekable
from batches.intake.rows import Block, BlockReader
from batches.models import AuditAction, Suppression, SuppressionReason, Topic
from batches.suppression_export import COLUMNS, name_key
from batches.suppressions import (
    DIGEST_BYTES,
    digest_address,
    find_digest,
    lift_all,
    lift_digest,
    list_of,
    read_key,
    suppress_digests,
)

REASONS = tuple(reason for reason in SuppressionReason if reason != SuppressionReason.ERASED)
"""The reasons that a person may give. Only the erasure of a person gives the other one."""

FAULTS_MAX = 20
"""How many bad lines of a file are described. The others are counted."""

CHUNK_ROWS = 2000
"""How many rows of an export are added in one transaction: the list is locked meanwhile."""

SOURCE_MAX_CHARS = 200
ADDRESS_SHOWN_CHARS = 100

END_MIN_YEAR, END_MAX_YEAR = 1970, 2999
"""A time outside of these years may be one that Python can't read back from PostgreSQL."""

DELIMITERS = (",", ";", "\t", "|")
"""What spreadsheets write between columns, by the language that they are set to."""

_REASON_NAMES = {"reason"}
_TOPIC_NAMES = {"topic"}
_END_NAMES = {"ends_at", "until"}


class SuppressionRefused(ValueError):
    """What was entered can't be used. The message says why and what to do. Nothing was changed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """What the list is to say of some addresses."""

    reason: SuppressionReason = SuppressionReason.MANUAL
    topic: Topic | None = None
    """None: every topic."""
    source: str = ""
    ends_at: datetime | None = None


@dataclass(kw_only=True, slots=True)
class FileImported:
    """What became of the lines of a file."""

    address_count: int = 0
    added_count: int = 0
    """Those that were not on the list, or for a shorter time."""
    fault_count: int = 0
    faults: list[tuple[int, str]] = field(default_factory=list)
    """The first bad lines: the number, and a sentence."""

    def add_fault(self, line: int, sentence: str) -> None:
        self.fault_count += 1
        if len(self.faults) < FAULTS_MAX:
            self.faults.append((line, sentence))


def add_addresses(addresses: Sequence[str], entry: Entry) -> int:
    """Put addresses on the list, all of them or none, and return how many were not there.

    Raises:
        SuppressionRefused: One of them is no address, or the end is past.
    """
    _refuse_past(entry)
    digests = {_digest(address) for address in addresses}
    with transaction.atomic():
        added = _add(digests, entry)
        person = digest_address(_normalise(addresses[0])) if len(digests) == 1 else None
        audit.record(AuditAction.SUPPRESS, person=person, count=len(digests), added=added, entry=_describe(entry))
    return added


def lift_address(
    address: str, *, topic: Topic | None = None, reason: SuppressionReason | None = None, is_topic_only: bool = False
) -> int:
    """Take an address off the list, and return how many rows were deleted. Safe to run twice.

    Args:
        topic: With ``is_topic_only``, only what was said about it; None is what was said about every topic.
        reason: Only what was said for this reason. None: for any.

    Raises:
        SuppressionRefused: It is no address; or neither a topic nor a reason is named, and the recipient unsubscribed.
    """
    digest = _digest(address)
    if reason is None and not is_topic_only:
        refuse_objection(list_of(digest))
    reasons = list(SuppressionReason) if reason is None else [reason]
    with transaction.atomic():
        if is_topic_only:
            lifted = lift_digest(digest, topic=topic, reasons=reasons)
        elif reason is not None:
            lifted, _ = Suppression.objects.filter(digest=digest, reason=reason).delete()
        else:
            lifted = lift_all(digest)
        audit.record(AuditAction.LIFT, person=digest_address(_normalise(address)), lifted=lifted)
    return lifted


def refuse_objection(rows: QuerySet[Suppression]) -> None:
    """Refuse to lift rows by the way with which a recipient unsubscribed.

    Raises:
        SuppressionRefused: There is one.
    """
    if rows.filter(reason=SuppressionReason.UNSUBSCRIBED).exists():
        raise SuppressionRefused(
            "The recipient unsubscribed, and that would be lifted too. Name the reason that is to be taken off: "
            "bounced, for example, or unsubscribed if the recipient wants news again."
        )


def find_rows(address: str) -> QuerySet[Suppression]:
    """Return what the list says of an address now, in whatever spelling the door of lists takes it.

    Raises:
        SuppressionRefused: It is no address.
    """
    return list_of(_digest(address))


def lift_row(row: Suppression) -> None:
    """Take one row off the list."""
    with transaction.atomic():
        topic = row.topic.key if row.topic is not None else ""
        audit.record(AuditAction.LIFT, digest=bytes(row.digest).hex(), reason=row.reason, topic=topic)
        row.delete()


def import_file(stream: BinaryIO, entry: Entry, *, filename: str = "", reader: int | None = None) -> FileImported:
    """Put the addresses of a file on the list: any file that can be uploaded as a list, or an export of this list.

    Columns with the names ``reason``, ``topic`` and ``ends_at`` say it for their lines, where they are filled. Each
    block of lines is a transaction of its own, because the list is locked meanwhile: run it again after an error.

    Args:
        entry: What is said of a line that says nothing itself.
        reader: The number of the user whose file it is.

    Raises:
        ListRefused: the file can't be read, or is the export of another site.
        SuppressionRefused: the end of the entry is past.
    """
    _refuse_past(entry)
    filename = filename.encode(errors="replace").decode()  # a name of a file may be no text
    entry = replace(entry, source=(entry.source or filename)[:SOURCE_MAX_CHARS])
    imported = FileImported()
    with seekable(stream) as file:
        if delimiter := _find_delimiter(file):
            _import_export(file, entry, imported, delimiter=delimiter)
        else:
            file.seek(0)
            with open_records(file, ReadingOptions(), reader=reader) as opened:
                _import_list(opened, entry, imported)
    with transaction.atomic():
        audit.record(
            AuditAction.SUPPRESS,
            file=filename,
            count=imported.address_count,
            added=imported.added_count,
            rejected=imported.fault_count,
            entry=_describe(entry),
        )
    return imported


def _refuse_past(entry: Entry) -> None:
    if entry.ends_at is not None and tidy_end(entry.ends_at) <= timezone.now():
        raise SuppressionRefused("That time is past. Choose a later one, or leave it out.")


def _add(digests: Iterable[bytes], entry: Entry) -> int:
    return suppress_digests(digests, reason=entry.reason, topic=entry.topic, source=entry.source, ends_at=entry.ends_at)


def _describe(entry: Entry) -> dict[str, str]:
    return {"reason": str(entry.reason), "topic": entry.topic.key if entry.topic is not None else ""}


def _normalise(address: str) -> str:
    try:
        return normalise_address(address)
    except BadAddress as exc:
        raise SuppressionRefused(f"The address {address[:ADDRESS_SHOWN_CHARS]!r} can't be used. {exc}") from exc


def _digest(address: str) -> bytes:
    return find_digest(_normalise(address))


def _import_list(opened: OpenedFile, entry: Entry, imported: FileImported) -> None:
    layout, reading = opened.layout, opened.reading
    reading.split_cells = True
    reader = BlockReader(opened.records, layout=layout, batch_id=0, seen=None, digest_key=read_key(), reading=reading)
    said = _SaidByLines(layout.merge_fields, entry)
    for block in reader:
        groups: defaultdict[Entry, list[bytes]] = defaultdict(list)
        for line, digest, cells in _read_block(block, has_lines=reader.has_lines):
            imported.address_count += 1
            try:
                groups[said.read(cells)].append(digest)
            except SuppressionRefused as exc:
                imported.add_fault(line, str(exc))
        for each, digests in groups.items():
            imported.added_count += _add(digests, each)
        for line, sentence in _read_rejected(block):
            imported.add_fault(line, sentence)


def _read_block(block: Block, *, has_lines: bool) -> Iterator[tuple[int, bytes, list[str]]]:
    """Yield line, digest and other cells of each address in a block: its possible duplicates, as COPY text."""
    for text in block.possible_duplicates.decode().split("\n")[:-1]:
        row, *rest = text.split("\t")
        line = rest.pop(0) if has_lines else "\\N"
        _, digest, fields, _ = rest
        cells = orjson.loads(fields.replace("\\\\", "\\"))
        yield int(row if line == "\\N" else line), bytes.fromhex(digest[3:]), cells


def _read_rejected(block: Block) -> Iterator[tuple[int, str]]:
    for text in block.rejected.decode().split("\n")[:-1]:
        _, line, _, _, reason = text.split("\t")
        yield int(line), reason.replace("\\\\", "\\")


class _SaidByLines:
    """Reads what the lines of a file say themselves."""

    def __init__(self, names: Sequence[str], entry: Entry) -> None:
        self._entry = entry
        self._topics = {topic.key: topic for topic in Topic.objects.all()}
        self._reason, self._topic, self._end = (
            next((place for place, name in enumerate(names) if name.casefold() in known), None)
            for known in (_REASON_NAMES, _TOPIC_NAMES, _END_NAMES)
        )

    def read(self, cells: Sequence[str]) -> Entry:
        """Return what is said of the address of a line.

        A reason that is not one of ours is the free text of another system, so the reason of the file holds.

        Raises:
            SuppressionRefused: there is no such topic, or the end is no time.
        """
        entry = self._entry
        if self._reason is not None and cells[self._reason] in REASONS:
            entry = replace(entry, reason=SuppressionReason(cells[self._reason]))
        if self._topic is not None and cells[self._topic]:
            entry = replace(entry, topic=find_topic(cells[self._topic], self._topics))
        if self._end is not None and cells[self._end]:
            entry = replace(entry, ends_at=read_end(cells[self._end]))
        return entry


def find_topic(key: str, topics: dict[str, Topic] | None = None) -> Topic:
    """Return the topic with a key.

    Raises:
        SuppressionRefused: there is none.
    """
    topics = topics if topics is not None else {topic.key: topic for topic in Topic.objects.all()}
    if key not in topics:
        raise SuppressionRefused(f"There is no topic {key!r}. The topics are: {', '.join(sorted(topics)) or 'none'}.")
    return topics[key]


def read_end(text: str) -> datetime:
    """Read a day or a time. A day stands for its beginning, in the time zone of the site.

    Raises:
        SuppressionRefused: it is neither.
    """
    try:
        day = parse_date(text)
        found = datetime.combine(day, datetime.min.time()) if day else parse_datetime(text)
    except ValueError:  # such as the 31st of June
        found = None
    if found is None:
        raise SuppressionRefused(f"{text!r} is no day. Write one such as 2027-03-31.")
    return tidy_end(found)


def tidy_end(ends_at: datetime) -> datetime:
    """Give a time that has none the time zone of the site.

    Raises:
        SuppressionRefused: it is too early or too late to be stored.
    """
    if ends_at.year < END_MIN_YEAR:
        raise SuppressionRefused(f"The year {ends_at.year} is too early. Choose a later one, or leave it out.")
    if ends_at.year > END_MAX_YEAR:
        raise SuppressionRefused(f"The year {ends_at.year} is too late. Choose an earlier one, or leave it out.")
    return ends_at if timezone.is_aware(ends_at) else timezone.make_aware(ends_at)


def _find_delimiter(file: BinaryIO) -> str:
    """Return what separates the columns of an export of this list, or an empty text if it is none.

    A spreadsheet may have saved it with another delimiter, and with more columns at its end.
    """
    file.seek(0)
    first = file.readline(1000).decode("utf-8-sig", "replace").strip()
    for delimiter in DELIMITERS:
        headings = [cell.strip('"') for cell in first.split(delimiter)]
        if tuple(headings[: len(COLUMNS)]) == COLUMNS:
            return delimiter
    return ""


def _import_export(file: BinaryIO, entry: Entry, imported: FileImported, *, delimiter: str) -> None:
    """Add the rows of an export of this list: their digests hold only under the key of this list."""
    file.seek(0)
    own, said = name_key(read_key()), _SaidByLines(("topic", "reason", "ends_at"), entry)
    groups: defaultdict[Entry, list[bytes]] = defaultdict(list)
    text = io.TextIOWrapper(file, encoding="utf-8-sig", errors="replace", newline="")
    try:
        rows = csv.DictReader(text, delimiter=delimiter)
        for row in rows:
            if row["list"] != own:
                raise ListRefused(
                    "This is the export of another site, whose digests say nothing here. Import a list of addresses."
                )
            imported.address_count += 1
            try:
                each = said.read((row["topic"] or "", row["reason"] or "", row["ends_at"] or ""))
                digest = _read_digest(row["digest"] or "")
            except SuppressionRefused as exc:
                imported.add_fault(rows.line_num, str(exc))
                continue
            if row["reason"] == SuppressionReason.ERASED:
                each = replace(each, reason=SuppressionReason.ERASED)
            groups[replace(each, source=_read_source(row["source"] or ""))].append(digest)
            if sum(map(len, groups.values())) >= CHUNK_ROWS:
                _add_groups(groups, imported)
        _add_groups(groups, imported)
    except csv.Error as exc:
        raise ListRefused(f"Line {rows.line_num} of the export can't be read. Export the list again.") from exc
    finally:
        text.detach()


def _read_digest(text: str) -> bytes:
    try:
        digest = bytes.fromhex(text)
    except ValueError:
        digest = b""
    if len(digest) != DIGEST_BYTES:
        raise SuppressionRefused(f"{text[:ADDRESS_SHOWN_CHARS]!r} is no digest. Export the list again.")
    return digest


def _read_source(cell: str) -> str:
    """Return a source as it was before the export. PostgreSQL stores no NUL."""
    return rearm(cell).replace("\0", "")[:SOURCE_MAX_CHARS]


def _add_groups(groups: defaultdict[Entry, list[bytes]], imported: FileImported) -> None:
    for each, digests in groups.items():
        imported.added_count += _add(digests, each)
    groups.clear()
