"""Keyset paging for the pages and the API: page 20,000 costs as much as page 1.

A page begins after the last key of the page before it (PostgreSQL walks an index to that key). No rows are skipped,
and none are counted. The key travels as a cursor: the whole numbers of the order's columns, joined by dots.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Generic, TypeVar

from django.db import connection, transaction
from django.db.models import Model, Q, QuerySet
from django.http import QueryDict

from batches.models import sql

Row = TypeVar("Row", bound=Model)

WHOLE_NUMBER_MAX_DIGITS = 18
"""A number with more digits may not fit PostgreSQL's bigint."""


class CursorFault(ValueError):
    """The cursor is not one that this module made. The message says what to do."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Page(Generic[Row]):
    """Some rows, and the query strings of the first page and the next page. No such page: an empty string."""

    rows: Sequence[Row]
    first_query: str
    next_query: str


@dataclass(frozen=True, slots=True)
class Walk(Generic[Row]):
    """A list of which each page is read by a walk along the index of its order, whatever the statistics say.

    It has several parts if several conditions find its rows. No row is in two parts.
    """

    parts: Sequence[QuerySet[Row]]


def cut(
    rows: QuerySet[Row] | Walk[Row], *, order: Sequence[str], cursor: str, size: int
) -> tuple[list[Row], str | None]:
    """Read one page of a queryset or walk. Returns its rows, and the cursor of the next page or None.

    Args:
        order: The columns of a unique order, all whole numbers. A minus sign means descending.
        cursor: What the page before returned; an empty string for the first page.
        size: The most rows that the page may have.

    Raises:
        CursorFault: The cursor is malformed.
    """
    condition = is_after(order, parse(cursor, count=len(order))) if cursor else Q()
    # One row more than the page has: that row says whether there is a next page.
    if isinstance(rows, Walk):
        found = _walk(rows, condition, order=order, size=size + 1)
    else:
        found = list(rows.filter(condition).order_by(*order)[: size + 1])
    page = found[:size]
    return page, _key_of(page[-1], order) if len(found) > size else None


def cut_by_count(rows: QuerySet[Row], *, cursor: str, size: int) -> tuple[list[Row], str | None]:
    """Read one page of a list that is ordered by a text. Its cursor says how many rows were before the page.

    It is for lists that people write, such as templates: the rows before a page are read, and a row that is added
    meanwhile moves the others.

    Raises:
        CursorFault: The cursor is malformed.
    """
    [skipped] = parse(cursor, count=1) if cursor else [0]
    found = list(rows[skipped : skipped + size + 1])
    return found[:size], str(skipped + size) if len(found) > size else None


def _walk(walk: Walk[Row], condition: Q, *, order: Sequence[str], size: int) -> list[Row]:
    if not walk.parts:
        return []
    with transaction.atomic(), walk_indexes():
        found = [row for part in walk.parts for row in part.filter(condition).order_by(*order)[:size]]
    if len(walk.parts) > 1:
        found.sort(key=lambda row: [_sort_value(row, column) for column in order])
    return found[:size]


def _sort_value(row: Model, column: str) -> int:
    value: int = getattr(row, column.removeprefix("-"))
    return -value if column.startswith("-") else value


@contextmanager
def walk_indexes() -> Iterator[None]:
    """Let PostgreSQL only walk indexes, within the caller's transaction."""
    with connection.cursor() as cursor:
        cursor.execute(sql.WALK_INDEXES)
        yield
        cursor.execute(sql.WALK_NO_MORE)


def read_page(rows: QuerySet[Row] | Walk[Row], *, order: Sequence[str], query: QueryDict, size: int = 50) -> Page[Row]:
    """Read one page for a web page, which keeps the cursor in the query string's ``after``.

    A malformed cursor shows the first page: a person may have shortened the address.
    """
    cursor = query.get("after", "")
    try:
        found, following = cut(rows, order=order, cursor=cursor, size=size)
    except CursorFault:
        cursor = ""
        found, following = cut(rows, order=order, cursor=cursor, size=size)
    return make_page(found, query=query, following=following, is_first=not cursor)


def make_page(rows: Sequence[Row], *, query: QueryDict, following: str | None, is_first: bool) -> Page[Row]:
    """Make a page for a web page of rows that were read already.

    Args:
        following: The cursor of the next page. None: there is none.
    """
    return Page(
        rows=rows,
        first_query="" if is_first else _with_after(query, ""),
        next_query=_with_after(query, following) if following else "",
    )


def parse(cursor: str, *, count: int) -> list[int]:
    """Return the whole numbers of a cursor.

    Raises:
        CursorFault: The cursor is malformed.
    """
    parts = cursor.split(".")
    if len(parts) != count or not all(_is_whole_number(part) for part in parts):
        raise CursorFault(
            "This cursor is malformed. Pass on the 'next' of the page before, or leave it out for the first page."
        )
    return [int(part) for part in parts]


def _is_whole_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= WHOLE_NUMBER_MAX_DIGITS


def is_after(order: Sequence[str], key: Sequence[int]) -> Q:
    """The row comparison ``(a, b) > (x, y)``, with a bound on the first column alone, which an index can use."""
    first, value = order[0], key[0]
    if len(order) == 1:
        return Q(**{_lookup(first): value})
    column = first.removeprefix("-")
    return Q(**{f"{_lookup(first)}e": value}) & (
        Q(**{_lookup(first): value}) | Q(**{column: value}) & is_after(order[1:], key[1:])
    )


def _lookup(column: str) -> str:
    return f"{column.removeprefix('-')}__{'lt' if column.startswith('-') else 'gt'}"


def _key_of(row: Model, order: Sequence[str]) -> str:
    return ".".join(str(getattr(row, column.removeprefix("-"))) for column in order)


def _with_after(query: QueryDict, cursor: str) -> str:
    changed = query.copy()
    changed.pop("after", None)
    if cursor:
        changed["after"] = cursor
    return f"?{changed.urlencode()}"
