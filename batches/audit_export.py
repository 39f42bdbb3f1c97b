"""Write entries of the audit as CSV, newest first, in chunks of bytes and in constant memory.

As in ``exports``: UTF-8 with a byte order mark, pages by key and no cursor that stays open, and an apostrophe in front
of each cell that a spreadsheet program would run as a formula.
"""

from __future__ import annotations

import codecs
import csv
import io
import json
from collections.abc import Iterable, Iterator

from django.db.models import QuerySet

from batches.files.formulas import disarm
from batches.models import AuditEntry

PAGE_ROWS = 1000

COLUMNS = (
    *("id", "at", "action", "refused", "actor_id", "actor", "via", "client"),
    *("target", "target_id", "target_name", "batch", "details"),
)


def audit_csv(entries: QuerySet[AuditEntry]) -> Iterator[bytes]:
    """Yield the entries of a queryset."""
    yield codecs.BOM_UTF8 + _write([COLUMNS])
    last_id: int | None = None
    while page := list((entries if last_id is None else entries.filter(pk__lt=last_id)).order_by("-pk")[:PAGE_ROWS]):
        last_id = page[-1].pk
        yield _write(map(_cells, page))


def _cells(entry: AuditEntry) -> Iterable[str]:
    cells = (
        *(entry.pk, entry.at.isoformat(), entry.action, "refused" if entry.is_refused else "", entry.actor_id),
        *(entry.actor_name, entry.via, entry.client, entry.target, entry.target_id, entry.target_name, entry.batch_id),
        json.dumps(entry.details, ensure_ascii=False, sort_keys=True),
    )
    return ["" if cell is None else disarm(str(cell)) for cell in cells]


def _write(rows: Iterable[Iterable[str]]) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text).writerows(rows)
    return text.getvalue().encode()
