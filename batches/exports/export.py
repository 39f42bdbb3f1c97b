"""One download: of which batch, which of its rows, and in which kind of file."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import PurePath
from typing import IO, Self
from zoneinfo import ZoneInfo

from django.conf import settings

from batches.exports.cells import Row, rejected_columns, rejected_pages, result_columns, result_pages
from batches.exports.csv_file import write_csv
from batches.exports.xlsx_file import write_xlsx
from batches.files.findings import Reading
from batches.history import EmailRow
from batches.jobs.failure_groups import Failed, FailureChoice
from batches.models import Batch, EmailQuerySet, EmailState, EmailStatus

CHUNK_BYTES = 1 << 16
KEPT_IN_MEMORY_BYTES = 1 << 20


class FileKind(StrEnum):
    """The kinds of file. ``docs/lists.md`` tells them apart for people."""

    CSV = "csv"
    """For programs: commas, and times in UTC as ISO 8601. Its form is a promise (docs/upgrading.md)."""
    LOCAL_CSV = "local"
    """For people: the delimiter of the uploaded list, and times in TIME_ZONE, which the headings name."""
    XLSX = "xlsx"
    """For people: an Excel file with the sheet's name, and times in TIME_ZONE."""

    @property
    def ending(self) -> str:
        return "xlsx" if self is FileKind.XLSX else "csv"


@dataclass(frozen=True, kw_only=True, slots=True)
class Export:
    """What is downloaded. A child process gets it as JSON."""

    batch_id: int
    rows: str
    """``results`` or ``rejected``."""
    kind: FileKind = FileKind.CSV
    status: str = ""
    """Only results in this EmailState. Empty: all."""
    failure: str = ""
    """The key of a group of failures (``jobs.failure_groups``). Only results of this group. Empty: all."""
    domain: str = ""
    """Only failures of the group at this domain. Empty: at all."""

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Self:
        values = json.loads(text)
        return cls(**values | {"kind": FileKind(values["kind"])})


def results_csv(batch: Batch, emails: EmailQuerySet | None = None) -> Iterator[bytes]:
    """Yield results.csv as programs read it. ``emails`` are those of the batch that are wanted. None: all of them."""
    return write_csv(result_columns(batch), result_pages(batch, emails=emails))


def rejected_csv(batch: Batch) -> Iterator[bytes]:
    """Yield rejected.csv as programs read it."""
    return write_export(batch, Export(batch_id=batch.pk, rows="rejected"))


def write_export(batch: Batch, export: Export) -> Iterator[bytes]:
    """Yield the file in chunks of bytes. An .xlsx file is written to a temporary file before the first chunk."""
    if export.kind == FileKind.XLSX:
        return _read_xlsx(batch, export)
    columns, pages = _read(batch, export)
    if export.kind == FileKind.LOCAL_CSV:
        return write_csv(columns, pages, delimiter=batch.delimiter or ",", zone=ZoneInfo(settings.TIME_ZONE))
    return write_csv(columns, pages)


def _read_xlsx(batch: Batch, export: Export) -> Iterator[bytes]:
    columns, pages = _read(batch, export)
    sheet_name = Reading.from_json(batch.reading).sheet or PurePath(batch.filename).stem
    with tempfile.SpooledTemporaryFile(max_size=KEPT_IN_MEMORY_BYTES) as file:
        write_xlsx(file, columns, pages, sheet_name=sheet_name, zone=ZoneInfo(settings.TIME_ZONE))
        file.seek(0)
        yield from _chunks(file)


def _chunks(file: IO[bytes]) -> Iterator[bytes]:
    while chunk := file.read(CHUNK_BYTES):
        yield chunk


def _read(batch: Batch, export: Export) -> tuple[list[str], Iterator[list[Row]]]:
    if export.rows == "rejected":
        return rejected_columns(batch), rejected_pages(batch)
    zone = "" if export.kind == FileKind.CSV else settings.TIME_ZONE
    columns = result_columns(batch, zone=zone)
    if not export.failure:
        return columns, result_pages(batch, status=export.status, zone=zone)
    group = FailureChoice(key=export.failure, words="", domain=export.domain)

    def is_in_group(email: EmailRow) -> bool:
        return group.has(Failed(email.id, email.address, email.code, email.reply))

    return columns, result_pages(batch, status=EmailStatus.FAILED, is_wanted=is_in_group, zone=zone)


def name_file(batch: Batch, export: Export) -> str:
    """Return the name under which a browser saves the file: ``members-results.xlsx``."""
    status = EmailState.FAILED if export.failure else export.status
    what = f"{status}-{export.rows}" if status in EmailState else export.rows
    return f"{PurePath(batch.filename).stem or 'batch'}-{what}.{export.kind.ending}"
