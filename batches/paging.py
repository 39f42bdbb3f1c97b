"""Keyset paging: a page begins after the last key of the one before, so page 20,000 costs what page 1 costs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from django.db.models import Model, Q, QuerySet
from django.http import QueryDict

T = TypeVar("T", bound=Model)

WHOLE_NUMBER_MAX_DIGITS = 18
"""More would not fit PostgreSQL's bigint."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Page(Generic[T]):
    """Some rows and the query strings of the first page and the next; an empty string where there is none."""

    rows: Sequence[T]
    first_query: str
    next_query: str


def read_page(rows: QuerySet[T], *, order: Sequence[str], query: QueryDict, size: int = 50) -> Page[T]:
    """Read one page of a queryset.

    Args:
        order: the columns of a unique order, all whole numbers; a minus sign is for descending.
        query: its ``after`` holds those columns of the last row on the page before, joined by dots;
            anything else there begins at the beginning.
    """
    after = _parse(query.get("after", ""), count=len(order))
    if after:
        rows = rows.filter(_is_after(order, after))
    found = list(rows.order_by(*order)[: size + 1])
    last = found[size - 1] if len(found) > size else None
    return Page(
        rows=found[:size],
        first_query=_with_after(query, "") if after else "",
        next_query=_with_after(query, _key_of(last, order)) if last else "",
    )


def _parse(text: str, *, count: int) -> list[int]:
    parts = text.split(".")
    if len(parts) != count or not all(
        part.isascii() and part.isdigit() and len(part) <= WHOLE_NUMBER_MAX_DIGITS for part in parts
    ):
        return []
    return [int(part) for part in parts]


def _is_after(order: Sequence[str], after: Sequence[int]) -> Q:
    """The row comparison ``(a, b) > (x, y)``, with a bound on the first column that an index can use."""
    first, value = order[0], after[0]
    if len(order) == 1:
        return Q(**{_lookup(first, ""): value})
    column = first.removeprefix("-")
    return Q(**{_lookup(first, "e"): value}) & (
        Q(**{_lookup(first, ""): value}) | Q(**{column: value}) & _is_after(order[1:], after[1:])
    )


def _lookup(column: str, or_equal: str) -> str:
    return f"{column.removeprefix('-')}__{'lt' if column.startswith('-') else 'gt'}{or_equal}"


def _key_of(row: Model, order: Sequence[str]) -> str:
    return ".".join(str(getattr(row, column.removeprefix("-"))) for column in order)


def _with_after(query: QueryDict, after: str) -> str:
    changed = query.copy()
    changed.pop("after", None)
    if after:
        changed["after"] = after
    return f"?{changed.urlencode()}"
