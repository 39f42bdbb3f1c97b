"""COPY blocks of rows into PostgreSQL and resolve the possible duplicates, within the caller's transaction.

Blocks of rows enter. The Counts of the import leave, after the rows are in their tables.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import cast

import psycopg
from django.db import connection

from batches.intake import sql
from batches.intake.rows import Block
from batches.intake.sql import ResolvedRows
from batches.models import RejectionKind

BUFFER_MAX_BYTES = 1 << 20
"""How much the buffer holds before the COPY of emails is ended to empty it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Counts:
    """What became of the rows of one import."""

    total: int
    rejected: int
    duplicate: int

    def __add__(self, other: Counts) -> Counts:
        return Counts(
            total=self.total + other.total,
            rejected=self.rejected + other.rejected,
            duplicate=self.duplicate + other.duplicate,
        )


class _Buffer:
    """Holds the rows for the other tables while emails are copied, because a connection does one COPY at a time."""

    def __init__(self) -> None:
        self.possible_duplicates: list[bytes] = []
        self.rejected: list[bytes] = []
        self._size = 0

    def add(self, block: Block) -> None:
        for buffered, rows in ((self.possible_duplicates, block.possible_duplicates), (self.rejected, block.rejected)):
            if rows:
                buffered.append(rows)
                self._size += len(rows)

    def is_full(self) -> bool:
        return self._size >= BUFFER_MAX_BYTES


def copy_blocks(blocks: Iterable[Block], *, batch_id: int) -> Counts:
    """Write all blocks and resolve the possible duplicates, within the caller's transaction."""
    total = rejected = duplicate = 0
    has_possible_duplicates = False
    with raw_cursor() as cursor:
        remaining = iter(blocks)
        first: Block | None
        while (first := next(remaining, None)) is not None:
            buffer = _Buffer()
            with cursor.copy(sql.COPY_EMAILS) as copy:
                for block in _take_until_full(first, remaining, buffer):
                    copy.write(block.emails)
                    total += block.email_count
                    rejected += block.rejected_count
            if buffer.possible_duplicates and not has_possible_duplicates:
                cursor.execute(sql.CREATE_POSSIBLE_DUPLICATES)
                has_possible_duplicates = True
            _copy_rows(cursor, sql.COPY_POSSIBLE_DUPLICATES, buffer.possible_duplicates)
            _copy_rows(cursor, sql.COPY_REJECTED, buffer.rejected)
        if has_possible_duplicates:
            resolved = _resolve_possible_duplicates(cursor, batch_id)
            total, duplicate = total + resolved.email_count, resolved.duplicate_count
    return Counts(total=total, rejected=rejected, duplicate=duplicate)


def _take_until_full(first: Block, remaining: Iterator[Block], buffer: _Buffer) -> Iterator[Block]:
    """Yield blocks until the buffer is full, and put their other rows into it."""
    block: Block | None = first
    while block is not None:
        buffer.add(block)
        yield block
        block = None if buffer.is_full() else next(remaining, None)


def _copy_rows(cursor: psycopg.Cursor, statement: str, rows: list[bytes]) -> None:
    if rows:
        with cursor.copy(statement) as copy:
            for text in rows:
                copy.write(text)


def _resolve_possible_duplicates(cursor: psycopg.Cursor, batch_id: int) -> ResolvedRows:
    cursor.execute(sql.FORBID_NESTED_LOOPS)
    cursor.execute(sql.RESOLVE_POSSIBLE_DUPLICATES, {"batch": batch_id, "kind": RejectionKind.DUPLICATE})
    [resolved] = sql.RESOLVE_POSSIBLE_DUPLICATES.rows(cursor.fetchall())
    cursor.execute(sql.ALLOW_NESTED_LOOPS)
    cursor.execute(sql.DROP_POSSIBLE_DUPLICATES)
    return resolved


def raw_cursor() -> psycopg.Cursor:
    """Return a cursor of psycopg on Django's connection, because Django's own cursor has no COPY."""
    connection.ensure_connection()
    return cast("psycopg.Connection", connection.connection).cursor()
