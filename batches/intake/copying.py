"""COPY blocks of rows into PostgreSQL and settle the duplicates, within the caller's transaction."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import cast

import psycopg
from django.db import connection

from batches.intake import sql
from batches.intake.rows import Block
from batches.models import RejectionKind

ASIDE_MAX_BYTES = 1 << 20
"""How much is held of what is set aside before the COPY of emails is broken off for it."""


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


class _Aside:
    """Rows set aside while emails are copied: one connection can do only one COPY at a time."""

    def __init__(self) -> None:
        self.possible_duplicates: list[bytes] = []
        self.rejected: list[bytes] = []
        self.bytes_count = 0

    def add(self, block: Block) -> None:
        for kept, rows in ((self.possible_duplicates, block.possible_duplicates), (self.rejected, block.rejected)):
            if rows:
                kept.append(rows)
                self.bytes_count += len(rows)


def copy_blocks(blocks: Iterable[Block], *, batch_id: int) -> Counts:
    """Write all blocks and settle the possible_duplicates; the transaction is the caller's."""
    total = rejected = duplicate = possible_duplicates = 0
    with raw_cursor() as cursor:
        remaining = iter(blocks)
        first: Block | None
        while (first := next(remaining, None)) is not None:
            aside = _Aside()
            with cursor.copy(sql.COPY_EMAILS) as copy:
                for block in _chain_until_full(first, remaining, aside):
                    copy.write(block.emails)
                    total += block.email_count
                    rejected += block.rejected_count
            if aside.possible_duplicates and not possible_duplicates:
                cursor.execute(sql.CREATE_POSSIBLE_DUPLICATES)
            possible_duplicates += len(aside.possible_duplicates)
            _copy_rows(cursor, sql.COPY_POSSIBLE_DUPLICATES, aside.possible_duplicates)
            _copy_rows(cursor, sql.COPY_REJECTED, aside.rejected)
        if possible_duplicates:
            more, duplicate = _resolve_possible_duplicates(cursor, batch_id)
            total += more
    return Counts(total=total, rejected=rejected, duplicate=duplicate)


def _chain_until_full(first: Block, remaining: Iterator[Block], aside: _Aside) -> Iterator[Block]:
    block: Block | None = first
    while block is not None:
        aside.add(block)
        yield block
        block = next(remaining, None) if aside.bytes_count < ASIDE_MAX_BYTES else None


def _copy_rows(cursor: psycopg.Cursor, statement: str, rows: list[bytes]) -> None:
    if rows:
        with cursor.copy(statement) as copy:
            for text in rows:
                copy.write(text)


def _resolve_possible_duplicates(cursor: psycopg.Cursor, batch_id: int) -> tuple[int, int]:
    """How many of them became emails and how many duplicates."""
    cursor.execute(sql.NO_NESTED_LOOPS)
    cursor.execute(sql.RESOLVE_POSSIBLE_DUPLICATES, {"batch": batch_id, "kind": RejectionKind.DUPLICATE})
    row = cursor.fetchone()
    assert row is not None  # noqa: S101  a SELECT without FROM gives one row
    cursor.execute(sql.ANY_JOINS)
    cursor.execute(sql.DROP_POSSIBLE_DUPLICATES)
    return row[0], row[1]


def raw_cursor() -> psycopg.Cursor:
    """A cursor of psycopg's own: Django's has no COPY."""
    connection.ensure_connection()
    return cast("psycopg.Connection", connection.connection).cursor()
