"""The statements of ``statements.sql``, each with the rows that it answers. This module runs nothing but ``fetch``."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from django.db import connection

from batches.models.sql import Statement, load

Row = TypeVar("Row", bound=tuple[Any, ...])


class FoundEmail(NamedTuple):
    id: int
    batch_id: int


class FoundRejected(NamedTuple):
    id: int
    batch_id: int
    raw: str
    """JSON text, because Django's connection decodes no JSON."""


class TextColumn(NamedTuple):
    table: str
    column: str
    type: str
    is_unique: bool
    """Whether a unique index has the column."""


class LockedLane(NamedTuple):
    id: int
    is_leased: bool


class EndedEmail(NamedTuple):
    was_sent: bool


class EmptiedRow(NamedTuple):
    row: int


class LaneNow(NamedTuple):
    id: int
    heartbeat_at: datetime
    is_sending: bool


class EmptiedCount(NamedTuple):
    email_count: int


class LastRow(NamedTuple):
    row: int | None


_statements = load(Path(__file__).with_name("statements.sql"))

FIND_EMAILS = Statement(_statements["FIND_EMAILS"], FoundEmail)
FIND_REJECTED = Statement(_statements["FIND_REJECTED"], FoundRejected)
TEXT_COLUMNS = Statement(_statements["TEXT_COLUMNS"], TextColumn)
LOCK_LANES = Statement(_statements["LOCK_LANES"], LockedLane)
END_PENDING = Statement(_statements["END_PENDING"], EndedEmail)
EMPTY_UNTRIED = Statement(_statements["EMPTY_UNTRIED"], EmptiedRow)
LANES_NOW = Statement(_statements["LANES_NOW"], LaneNow)
EMPTY_EMAILS = _statements["EMPTY_EMAILS"]
EMPTY_ATTEMPTS = _statements["EMPTY_ATTEMPTS"]
EMPTY_RETURNS = _statements["EMPTY_RETURNS"]
PURGE_EMAILS = Statement(_statements["PURGE_EMAILS"], EmptiedCount)
NEXT_ROWS = Statement(_statements["NEXT_ROWS"], LastRow)
PURGE_REJECTED = _statements["PURGE_REJECTED"]
DELETE_SOME_EMAILS = _statements["DELETE_SOME_EMAILS"]
DELETE_SOME_REJECTED = _statements["DELETE_SOME_REJECTED"]


def fetch(statement: Statement[Row], arguments: Mapping[str, Any] | None = None) -> list[Row]:
    """Run a statement over Django's connection, and return its rows."""
    with connection.cursor() as cursor:
        cursor.execute(statement, arguments)
        return statement.rows(cursor.fetchall())


def execute(statement: str, arguments: Mapping[str, Any]) -> int:
    """Run a statement over Django's connection, and return how many rows it changed."""
    with connection.cursor() as cursor:
        cursor.execute(statement, arguments)
        return int(cursor.rowcount)
