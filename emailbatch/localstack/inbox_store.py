"""Keeps the messages of the inbox in one SQLite file. The local SMTP server writes it, and the inbox pages read it.

The raw message is kept octet for octet. It has a table of its own, so that lists and searches never read it.
"""

from __future__ import annotations

import email.policy
import json
import os
import sqlite3
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
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
    size_bytes INTEGER NOT NULL,
    message_id TEXT NOT NULL DEFAULT '',
    batch_id INTEGER
);
CREATE TABLE IF NOT EXISTS content (
    message_id INTEGER PRIMARY KEY REFERENCES message (id),
    raw BLOB NOT NULL
);
CREATE TABLE IF NOT EXISTS seen (
    user_id INTEGER NOT NULL,
    message_id INTEGER NOT NULL,
    PRIMARY KEY (message_id, user_id)
) WITHOUT ROWID;
"""

LATER_COLUMNS = {"message_id": "TEXT NOT NULL DEFAULT ''", "batch_id": "INTEGER"}
"""The columns of ``message`` that files of earlier versions lack."""

# assign_batches: the messages that arrived since. The pages: those of one batch, and which batches there are.
INDEXES = """
CREATE INDEX IF NOT EXISTS message_unassigned ON message (id) WHERE batch_id IS NULL;
CREATE INDEX IF NOT EXISTS message_of_batch ON message (batch_id, id) WHERE batch_id > 0;
"""

NO_BATCH = 0
"""The ``batch_id`` of a message that belongs to no batch, such as an invitation. NULL: nobody has looked yet."""

ASSIGN_MAX = 1000

COLUMNS = (
    "id, received_at, sender, recipients, subject, from_header, to_header, date_header, size_bytes, "
    "message_id, batch_id"
)

VISIBLE = """(
    :sees_private OR (batch_id > 0 AND (:sees_all OR batch_id IN (SELECT value FROM json_each(:batches))))
)"""

IS_READ = "EXISTS (SELECT 1 FROM seen WHERE seen.message_id = message.id AND seen.user_id = :user)"

# Newest first, and each page begins below a key: a later page costs no more than the first.
PAGE = f"""
SELECT {COLUMNS}, {IS_READ}
FROM message
WHERE id < :before AND (:wanted = '' OR recipients LIKE :pattern ESCAPE '\\')
    AND (:batch IS NULL OR batch_id = :batch) AND NOT (:is_unread AND {IS_READ}) AND {VISIBLE}
ORDER BY id DESC LIMIT :limit
"""  # noqa: S608  (only the constants above)

ONE = f"SELECT {COLUMNS} FROM message WHERE id = :id AND {VISIBLE}"  # noqa: S608  (likewise)

SOME = f"SELECT id FROM message WHERE (:id IS NULL OR id = :id) AND {VISIBLE}"  # noqa: S608  (likewise)


@dataclass(frozen=True, slots=True, kw_only=True)
class Viewer:
    """Whose messages are read, and which of them that person may see."""

    user_id: int = 0
    batches: Collection[int] | None = None
    """The messages of these batches. None: of every batch."""
    sees_private: bool = False
    """Whether also messages of no batch, in which there may be a secret: a link that sets a password, for example."""

    def parameters(self) -> dict[str, object]:
        return {
            "user": self.user_id,
            "sees_private": self.sees_private,
            "sees_all": self.batches is None,
            "batches": json.dumps(sorted(self.batches or ())),
        }


EVERYTHING = Viewer(sees_private=True)
"""Who keeps the file: a command, or a test."""


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
    message_id: str = ""
    batch_id: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """One page of the list."""

    messages: list[Message]
    unread: frozenset[int]
    """The ids of those that the viewer has not opened."""
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
        _add_columns(self._connection)
        self._connection.executescript(INDEXES)

    def add(self, group: Sequence[Incoming]) -> None:
        """Store a group of messages in one durable transaction."""
        cursor = self._connection.cursor()
        cursor.execute("BEGIN IMMEDIATE")
        try:
            for message in group:
                cursor.execute("INSERT INTO message VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?, ?, NULL)", _row(message))
                cursor.execute("INSERT INTO content VALUES (?, ?)", (cursor.lastrowid, message.raw))
            cursor.execute("COMMIT")
        except BaseException:
            cursor.execute("ROLLBACK")
            raise

    def close(self) -> None:
        self._connection.close()


def read_page(
    path: Path,
    *,
    viewer: Viewer = EVERYTHING,
    before: int | None = None,
    recipient: str = "",
    batch_id: int | None = None,
    is_unread: bool = False,
    limit: int = PAGE_SIZE,
) -> Page:
    """Return one page of messages, newest first.

    Args:
        before: Keeps the messages with a smaller id.
        recipient: Keeps those whose recipients contain this text.
        batch_id: Keeps those of one batch.
        is_unread: Keeps those that the viewer has not opened.
    """
    escaped = recipient.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    parameters = viewer.parameters() | {
        "before": (1 << 62) if before is None else before,
        "wanted": recipient,
        "pattern": f"%{escaped}%",
        "batch": batch_id,
        "is_unread": is_unread,
        "limit": limit + 1,
    }
    with _reading(path) as connection:
        rows = connection.execute(PAGE, parameters).fetchall()
    messages = [Message(*row[:-1]) for row in rows[:limit]]
    unread = frozenset(row[0] for row in rows if not row[-1])
    return Page(messages=messages, unread=unread, next_before=messages[-1].id if len(rows) > limit else None)


def read_message(path: Path, message_id: int, *, viewer: Viewer = EVERYTHING) -> tuple[Message, bytes] | None:
    """Return one message and its raw octets, or None if the viewer sees no such message."""
    with _reading(path) as connection:
        row = connection.execute(ONE, viewer.parameters() | {"id": message_id}).fetchone()
        if row is None:
            return None
        raw = connection.execute("SELECT raw FROM content WHERE message_id = ?", (message_id,)).fetchone()[0]
    return Message(*row), raw


def delete_messages(path: Path, message_id: int | None = None, *, viewer: Viewer = EVERYTHING) -> int:
    """Delete one message, or all of those that the viewer sees, and return how many there were."""
    with _reading(path, isolation_level=None) as connection:
        found = connection.execute(SOME, viewer.parameters() | {"id": message_id}).fetchall()
        return delete_rows(connection, [row[0] for row in found])


def mark_read(path: Path, message_id: int | None = None, *, viewer: Viewer) -> None:
    """Note that the viewer has opened one message, or needs none of those that there are. Safe to repeat."""
    mark = f"INSERT OR IGNORE INTO seen (user_id, message_id) SELECT :user, id FROM ({SOME})"  # noqa: S608  (a constant)
    with _reading(path, isolation_level=None) as connection:
        connection.execute(mark, viewer.parameters() | {"id": message_id})


def mark_unread(path: Path, message_id: int, *, viewer: Viewer) -> None:
    """Note that the viewer wants to open a message again."""
    with _reading(path, isolation_level=None) as connection:
        connection.execute("DELETE FROM seen WHERE user_id = ? AND message_id = ?", (viewer.user_id, message_id))


def assign_batches(path: Path, find: Callable[[Sequence[str]], Mapping[str, int]]) -> None:
    """Note of which batch each new message is. The server does not: it needs no database of the application.

    Args:
        find: Returns the batches of those Message-IDs that are of one.
    """
    with _reading(path, isolation_level=None) as connection:
        while rows := connection.execute(
            "SELECT id, message_id FROM message WHERE batch_id IS NULL LIMIT ?", (ASSIGN_MAX,)
        ).fetchall():
            found = find([message_id for _, message_id in rows])
            pairs = [(found.get(message_id, NO_BATCH), key) for key, message_id in rows]
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany("UPDATE message SET batch_id = ? WHERE id = ?", pairs)
            connection.execute("COMMIT")


def list_batches(path: Path) -> list[int]:
    """Return the batches of which there are messages, newest first."""
    with _reading(path) as connection:
        found = connection.execute("SELECT DISTINCT batch_id FROM message WHERE batch_id > 0 ORDER BY batch_id DESC")
        return [row[0] for row in found]


def delete_rows(connection: sqlite3.Connection, ids: Sequence[int]) -> int:
    """Delete messages, and overwrite what they were in the file. The connection begins no transaction by itself."""
    if not ids:
        return 0
    connection.execute("PRAGMA secure_delete = ON")
    connection.execute("BEGIN IMMEDIATE")
    connection.executemany("DELETE FROM content WHERE message_id = ?", [(each,) for each in ids])
    connection.executemany("DELETE FROM seen WHERE message_id = ?", [(each,) for each in ids])
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


def _add_columns(connection: sqlite3.Connection) -> None:
    """Add what a file of an earlier version lacks. Its messages name no batch, so only administrators see them."""
    there = {row[1] for row in connection.execute("PRAGMA table_info(message)")}
    for name, kind in LATER_COLUMNS.items():
        if name not in there:
            connection.execute(f"ALTER TABLE message ADD COLUMN {name} {kind}")


def _row(message: Incoming) -> tuple[object, ...]:
    # raw_items(), because the getters replace undeclared UTF-8 with question marks.
    headers = BytesHeaderParser(policy=email.policy.compat32).parsebytes(message.raw).raw_items()
    found = {name.lower(): value for name, value in reversed(list(headers))}
    shown = [_readable(found.get(name, "")) for name in ("subject", "from", "to", "date")]
    message_id = _readable(found.get("message-id", ""))
    return (message.received_at, message.sender, "\n".join(message.recipients), *shown, len(message.raw), message_id)


def _readable(text: str) -> str:
    """Return a header field as a person reads it. A part that cannot be decoded stays as it came."""
    if "=?" in text:
        with suppress(LookupError, ValueError):  # an unknown charset or broken base64
            text = str(make_header(decode_header(text)))
    # Octets beyond ASCII come as lone surrogates, which SQLite refuses. UTF-8 is decoded, and the rest is replaced.
    text = text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    return " ".join(text.split())[:HEADER_MAX_CHARACTERS]
