"""Write the suppression list as CSV, oldest first, in chunks of bytes and in constant memory.

It has digests and no addresses, because the list has none. The column ``list`` names the key of the digests: only the
site with that key can import the file again.
"""

from __future__ import annotations

import codecs
import csv
import io
from collections.abc import Iterable, Iterator
from hashlib import blake2b

from django.db.models import QuerySet

from batches.files.formulas import disarm
from batches.models import Suppression

PAGE_ROWS = 2000

COLUMNS = ("digest", "topic", "reason", "source", "created_at", "ends_at", "list")


def name_key(key: bytes) -> str:
    """Return a name for the key of the digests that tells nothing about it: eight hexadecimal digits."""
    return blake2b(key, digest_size=4, person=b"suppressions").hexdigest()


def suppressions_csv(rows: QuerySet[Suppression], *, key: bytes) -> Iterator[bytes]:
    """Yield the rows of a queryset."""
    name = name_key(key)
    yield codecs.BOM_UTF8 + _write([COLUMNS])
    last_id = 0
    rows = rows.select_related("topic").order_by("pk")
    while page := list(rows.filter(pk__gt=last_id)[:PAGE_ROWS]):
        last_id = page[-1].pk
        yield _write([*_cells(row), name] for row in page)


def _cells(row: Suppression) -> Iterable[str]:
    topic = row.topic.key if row.topic is not None else ""
    ends_at = row.ends_at.isoformat() if row.ends_at is not None else ""
    return bytes(row.digest).hex(), topic, row.reason, disarm(row.source), row.created_at.isoformat(), ends_at


def _write(rows: Iterable[Iterable[str]]) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text).writerows(rows)
    return text.getvalue().encode()
