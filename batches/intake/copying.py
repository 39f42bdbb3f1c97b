"""COPY blocks of rows into PostgreSQL and resolve the possible duplicates, within the caller's transaction.

Blocks of rows enter. The Counts of the import leave, after the rows are in their tables.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import cast

import psycopg
from django.db import connection
from django.utils.translation import gettext_noop

from batches.intake import sql
from batches.intake.odd_rows import NONE_ODD, OddRows
from batches.intake.rows import Block
from batches.models import Batch, RejectionKind, SharedAddresses

SAID_BY_SQL = (
    gettext_noop("The same address is already in line %(line)s."),
    gettext_noop("The same row is already in line %(line)s. Change a cell of it if it is another row."),
)
"""The reasons that statements.sql writes, so that the catalogue has them."""

BUFFER_MAX_BYTES = 1 << 20
"""How much the buffer holds before the COPY of emails is ended to empty it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Counts:
    """What became of the rows of one import."""

    total: int
    rejected: int
    duplicate: int
    shared: int = 0
    """Rows that have the address of an earlier row. The duplicates are among them."""
    odd: OddRows | None = NONE_ODD
    """The odd ones of the emails. None: not counted."""

    def __add__(self, other: Counts) -> Counts:
        return Counts(
            total=self.total + other.total,
            rejected=self.rejected + other.rejected,
            duplicate=self.duplicate + other.duplicate,
            shared=self.shared + other.shared,
            odd=None if self.odd is None or other.odd is None else self.odd + other.odd,
        )


ROWS_MAX = 200
"""The most rows in one mail, if the rows that share an address go together. The next ones are rejected.

A longer mail is the fault of a list with one address in every row, and its template would exceed its limits.
"""


RESOLVED_COUNTED_MAX = 20_000
"""Of so many resolved rows at most, the odd ones are counted: each of them is looked up."""


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


def copy_blocks(blocks: Iterable[Block], batch: Batch, *, has_lines: bool = False, is_added: bool = False) -> Counts:
    """Write all blocks and resolve the possible duplicates, within the caller's transaction.

    ``has_lines`` says that the blocks name the line of each row, and ``is_added`` that the batch has emails already.
    """
    emails, duplicates = (sql.COPY_EMAILS, sql.COPY_POSSIBLE_DUPLICATES)
    if has_lines:
        emails, duplicates = (sql.COPY_EMAILS_WITH_LINES, sql.COPY_POSSIBLE_DUPLICATES_WITH_LINES)
    counts = Counts(total=0, rejected=0, duplicate=0)
    has_possible_duplicates = False
    with raw_cursor() as cursor:
        remaining = iter(blocks)
        first: Block | None
        while (first := next(remaining, None)) is not None:
            buffer = _Buffer()
            with cursor.copy(emails) as copy:
                for block in _take_until_full(first, remaining, buffer):
                    copy.write(block.emails)
                    counts += Counts(total=block.email_count, rejected=block.rejected_count, duplicate=0, odd=block.odd)
            if buffer.possible_duplicates and not has_possible_duplicates:
                cursor.execute(sql.CREATE_POSSIBLE_DUPLICATES)
                has_possible_duplicates = True
            _copy_rows(cursor, duplicates, buffer.possible_duplicates)
            _copy_rows(cursor, sql.COPY_REJECTED, buffer.rejected)
        if has_possible_duplicates:
            counts += resolve_possible_duplicates(cursor, batch, is_added=is_added)
    return counts


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


def resolve_possible_duplicates(cursor: psycopg.Cursor, batch: Batch, *, is_added: bool = False) -> Counts:
    """Make emails of the possible duplicates as the batch's choice says, and drop their table.

    Of added rows, those that the batch has already are duplicates by any choice, so a file may be added twice.

    The uniqueness of the addresses depends on this statement, because no index holds them: it would cost each import
    more than the rest of it. No other transaction writes the batch's rows: the batch is not committed yet, or locked.
    """
    shared = SharedAddresses(batch.shared_addresses)
    statement = sql.RESOLVE[shared]
    repeated_count = 0
    values = {"batch": batch.pk, "kind": RejectionKind.DUPLICATE, "width": len(batch.merge_fields)}
    cursor.execute(sql.FORBID_NESTED_LOOPS)
    if is_added and shared != SharedAddresses.FIRST:
        cursor.execute(sql.REJECT_REPEATED, values)
        repeated_count = cursor.rowcount
    cursor.execute(statement, values | {"rows_max": ROWS_MAX})
    [resolved] = statement.rows(cursor.fetchall())
    odd = _count_odd(cursor, batch, email_count=resolved.email_count)
    cursor.execute(sql.ALLOW_NESTED_LOOPS)
    cursor.execute(sql.DROP_POSSIBLE_DUPLICATES)
    return Counts(
        total=resolved.email_count,
        rejected=0,
        duplicate=resolved.duplicate_count + repeated_count,
        shared=resolved.shared_count + repeated_count,
        odd=odd,
    )


def _count_odd(cursor: psycopg.Cursor, batch: Batch, *, email_count: int) -> OddRows | None:
    """Count the odd ones of the possible duplicates that became emails. None: there are many, so the review counts."""
    if not email_count:
        return NONE_ODD
    if email_count > RESOLVED_COUNTED_MAX:
        return None
    cursor.execute(sql.COUNT_ODD_RESOLVED, {"batch": batch.pk})
    counted = sql.COUNT_ODD_RESOLVED.rows(cursor.fetchall())
    blanks = {each.place: each.blank_count for each in counted if each.place >= 0}
    return OddRows(
        blank_counts=tuple(blanks.get(place, 0) for place in range(len(batch.merge_fields))),
        smtputf8_count=sum(each.blank_count for each in counted if each.place < 0),
    )


def raw_cursor() -> psycopg.Cursor:
    """Return a cursor of psycopg on Django's connection, because Django's own cursor has no COPY."""
    connection.ensure_connection()
    return cast("psycopg.Connection", connection.connection).cursor()
