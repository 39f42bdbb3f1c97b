"""What the local inbox holds about one person: give it out, delete it, and delete what is old.

A pattern that finds an address enters. The application calls this by its path in the settings.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from email import message_from_bytes, policy
from pathlib import Path
from typing import Any

from django.conf import settings

from emailbatch.localstack import addresses
from emailbatch.localstack.inbox_store import BUSY_SECONDS, TABLES, delete_rows

ALL = """
SELECT message.id, received_at, sender, recipients, subject, from_header, to_header, raw
FROM message JOIN content ON content.message_id = message.id ORDER BY message.id
"""


class InboxStore:
    """The messages of the local inbox."""

    name = "messages of the inbox"

    def export(self, pattern: re.Pattern[str]) -> list[dict[str, Any]]:
        """Return the messages that hold the address, with their sources."""
        with _open() as connection:
            return [
                {
                    "id": row[0],
                    "receivedAt": datetime.fromtimestamp(row[1], tz=UTC),
                    "recipients": row[3].split("\n"),
                    "subject": row[4],
                    "source": row[7].decode("utf-8", "replace"),
                }
                for row in _find(connection, pattern)
            ]

    def erase(self, pattern: re.Pattern[str]) -> int:
        """Delete the messages that hold the address, and return how many there were."""
        with _open() as connection:
            return delete_rows(connection, [row[0] for row in _find(connection, pattern)])

    def purge(self, before: datetime) -> int:
        """Delete the messages that came before a moment, and return how many there were."""
        with _open() as connection:
            found = connection.execute("SELECT id FROM message WHERE received_at < ?", (before.timestamp(),))
            return delete_rows(connection, [row[0] for row in found.fetchall()])


@contextmanager
def _open() -> Iterator[sqlite3.Connection]:
    """Open the inbox, or an empty one if no message was ever received."""
    path: Path = addresses.inbox_file(settings.DATA_DIR)
    is_there = path.exists()
    with closing(sqlite3.connect(path if is_there else ":memory:", timeout=BUSY_SECONDS, isolation_level=None)) as made:
        if not is_there:
            made.executescript(TABLES)
        yield made


def _find(connection: sqlite3.Connection, pattern: re.Pattern[str]) -> Iterator[tuple[Any, ...]]:
    for row in connection.execute(ALL):
        texts = (*(str(part) for part in row[2:7]), row[7].decode("utf-8", "replace"))
        if any(map(pattern.search, texts)) or any(map(pattern.search, _decode_bodies(row[7]))):
            yield row


def _decode_bodies(raw: bytes) -> Iterator[str]:
    """Yield the bodies of a message, because base64 and quoted-printable may hide an address."""
    try:
        for part in message_from_bytes(raw, policy=policy.default).walk():
            if not part.is_multipart():
                yield bytes(part.get_payload(decode=True) or b"").decode("utf-8", "replace")
    except Exception:  # the email package raises many kinds of errors for malformed messages
        return
