"""Keeps the messages of the inbox in one SQLite file. The local SMTP server writes it, and the inbox pages read it.

The raw message is kept octet for octet. It has a table of its own, so that lists and searches never read it.
"""

from __future__ import annotations

import email.policy
import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from email.header import decode_header, make_header
from email.parser import BytesHeaderParser
from pathlib import Path
from typing import Literal

BUSY_SECONDS = 10
PAGE_SIZE = 50
HEADER_MAX_CHARACTERS = 500

TABLES = """
CREATE TABLE IF NOT EXISTS message (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    received_at REAL NOT NULL,
    sender TEXT NOT NULL,
    recipients TEXT NOT NULL,
    subject TEXT NOT NULL,
    from_header TEXT NOT NULL,
    to_header TEXT NOT NULL,
    date_header TEXT NOT NULL,
    size_bytes INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS content (
    message_id INTEGER PRIMARY KEY REFERENCES message (id),
    raw BLOB NOT NULL
);
"""

# Newest first, and each page begins below a key: a later page costs no more than the first.
PAGE = """
SELECT id, received_at, sender, recipients, subject, from_header, to_header, date_header, size_bytes
FROM message
WHERE id < :before AND (:wanted = '' OR recipients LIKE :pattern ESCAPE '\\')
ORDER BY id DESC LIMIT :limit
"""

ONE = """
SELECT id, received_at, sender, recipients, subject, from_header, to_header, date_header, size_bytes
FROM message WHERE id = ?
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Incoming:
    """A message as the SMTP server accepted it."""

    received_at: float
    sender: str
    recipients: Sequence[str]
    raw: bytes


@dataclass(frozen=True, slots=True)
class Message:
    """A stored message without its content. The header fields are decoded and shortened for display."""

    id: int
    received_at: float
    sender: str
    recipients: str
    subject: str
    from_header: str
    to_header: str
    date_header: str
    size_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """One page of the list."""

    messages: list[Message]
    next_before: int | None
    """The key below which the next page begins, or None at the end."""


class InboxWriter:
    """Writes the file. Only the process of the SMTP server has one."""

    def __init__(self, path: Path) -> None:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))  # only the owner may read the mail
        self._connection = sqlite3.connect(path, timeout=BUSY_SECONDS, check_same_thread=False, isolation_level=None)
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute("PRAGMA synchronous = FULL")  # a 250 promises that a power cut cannot lose the message
        self._connection.executescript(TABLES)

    def add(self, group: Sequence[Incoming]) -> None:
        """Store a group of messages in one durable transaction."""
        cursor = self._connection.cursor()
        cursor.execute("BEGIN IMMEDIATE")
        try:
            for message in group:
                cursor.execute("INSERT INTO message VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?)", _row(message))
                cursor.execute("INSERT INTO content VALUES (?, ?)", (cursor.lastrowid, message.raw))
            cursor.execute("COMMIT")
        except BaseException:
            cursor.execute("ROLLBACK")
            raise

    def close(self) -> None:
        self._connection.close()


def read_page(path: Path, *, before: int | None = None, recipient: str = "", limit: int = PAGE_SIZE) -> Page:
    """Return one page of messages, newest first.

    ``before`` keeps the messages with a smaller id. ``recipient`` keeps those whose recipients contain this text.
    """
    escaped = recipient.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    parameters = {
        "before": (1 << 62) if before is None else before,
        "wanted": recipient,
        "pattern": f"%{escaped}%",
        "limit": limit + 1,
    }
    with _reading(path) as connection:
        rows = connection.execute(PAGE, parameters).fetchall()
    messages = [Message(*row) for row in rows[:limit]]
    return Page(messages=messages, next_before=messages[-1].id if len(rows) > limit else None)


def read_message(path: Path, message_id: int) -> tuple[Message, bytes] | None:
    """Return one message and its raw octets, or None if there is no such message."""
    with _reading(path) as connection:
        row = connection.execute(ONE, (message_id,)).fetchone()
        if row is None:
            return None
        raw = connection.execute("SELECT raw FROM content WHERE message_id = ?", (message_id,)).fetchone()[0]
    return Message(*row), raw


def delete_messages(path: Path, ids: Sequence[int] | None = None) -> int:
    """Delete messages, or all of them, and return how many there were."""
    with _reading(path, isolation_level=None) as connection:
        found = [row[0] for row in connection.execute("SELECT id FROM message")]
        return delete_rows(connection, found if ids is None else [each for each in found if each in ids])


def delete_rows(connection: sqlite3.Connection, ids: Sequence[int]) -> int:
    """Delete messages, and overwrite what they were in the file. The connection begins no transaction by itself."""
    if not ids:
        return 0
    connection.execute("PRAGMA secure_delete = ON")
    connection.execute("BEGIN IMMEDIATE")
    connection.executemany("DELETE FROM content WHERE message_id = ?", [(each,) for each in ids])
    connection.executemany("DELETE FROM message WHERE id = ?", [(each,) for each in ids])
    connection.execute("COMMIT")
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # the log held them too
    return len(ids)


@contextmanager
def _reading(path: Path, *, isolation_level: Literal["DEFERRED"] | None = "DEFERRED") -> Iterator[sqlite3.Connection]:
    """Open a connection for reading. Create the file and its tables if no message was ever received."""
    if not path.exists():
        InboxWriter(path).close()
    with closing(sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=isolation_level)) as connection:
        yield connection


def _row(message: Incoming) -> tuple[object, ...]:
    # raw_items(), because the getters replace undeclared UTF-8 with question marks.
    headers = BytesHeaderParser(policy=email.policy.compat32).parsebytes(message.raw).raw_items()
    found = {name.lower(): value for name, value in reversed(list(headers))}
    shown = [_readable(found.get(name, "")) for name in ("subject", "from", "to", "date")]
    return (message.received_at, message.sender, "\n".join(message.recipients), *shown, len(message.raw))


def _readable(text: str) -> str:
    """Return a header field as a person reads it. A part that cannot be decoded stays as it came."""
    if "=?" in text:
        with suppress(LookupError, ValueError):  # an unknown charset or broken base64
            text = str(make_header(decode_header(text)))
    # Octets beyond ASCII come as lone surrogates, which SQLite refuses. UTF-8 is decoded, and the rest is replaced.
    text = text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    return " ".join(text.split())[:HEADER_MAX_CHARACTERS]
