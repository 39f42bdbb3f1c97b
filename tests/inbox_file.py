"""Reads all messages of a local inbox from its file, for tests that count and compare them. No page reads all."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import fields
from pathlib import Path

from emailbatch.localstack.inbox_store import Message

COLUMNS = ", ".join(f"message.{field.name}" for field in fields(Message))
EVERYTHING = f"SELECT {COLUMNS}, raw FROM message JOIN content ON content.message_id = message.id ORDER BY id"  # noqa: S608


def count_messages(path: Path) -> int:
    """Return how many messages the inbox holds; none if it never received one."""
    if not path.exists():
        return 0
    with closing(sqlite3.connect(path)) as connection:
        return int(connection.execute("SELECT count(*) FROM message").fetchone()[0])


def read_raw_messages(path: Path) -> Iterator[tuple[Message, bytes]]:
    """Yield every message with its raw octets, oldest first."""
    with closing(sqlite3.connect(path)) as connection:
        for *columns, raw in connection.execute(EVERYTHING):
            yield Message(*columns), raw
