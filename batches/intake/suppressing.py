"""End the emails of an import as suppressed whose recipients want no mail, within the caller's transaction.

The rows that the reader of the import found by their checksums enter, or a batch whose rows came by SQL. How many
emails were suppressed leaves.
"""

from __future__ import annotations

from collections.abc import Iterable

from django.db import connection

from batches.models import Batch, sql
from batches.suppressions import SUPPRESSED_REPLY, SuppressionFilter, find_suppressed

CHUNK_ROWS = 10_000
"""How many rows of a batch are in memory at once."""


def suppress_rows(batch: Batch, possible: Iterable[tuple[int, str]], suppressions: SuppressionFilter) -> int:
    """End those of some rows as suppressed whose address is on the list, and return how many emails ended.

    A row that made no email, such as a duplicate, is left out.
    """
    digests = {row: suppressions.digest(address) for row, address in possible}
    found = find_suppressed(set(digests.values())) if digests else set()
    rows = [row for row, digest in digests.items() if digest in found]
    if not rows:
        return 0
    with connection.cursor() as cursor:
        cursor.execute(sql.SUPPRESS_ROWS, {"batch": batch.pk, "rows": rows, "reply": SUPPRESSED_REPLY})
        return int(cursor.rowcount)


def suppress_stored(batch: Batch, suppressions: SuppressionFilter) -> int:
    """Do the same for a batch whose rows no reader has seen, because PostgreSQL copied them from another table."""
    if not suppressions:
        return 0
    possible: list[tuple[int, str]] = []
    last_row = -1
    emails = batch.emails.order_by("row").values_list("row", "address")
    while chunk := list(emails.filter(row__gt=last_row)[:CHUNK_ROWS]):
        last_row = chunk[-1][0]
        possible += [chunk[place] for place in suppressions.find_possible([address for _, address in chunk])]
    return suppress_rows(batch, possible, suppressions)
