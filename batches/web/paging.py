"""Keyset paging: a page begins after the last key of the one before, so page 20,000 costs what page 1 costs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from django.db.models import Model, QuerySet
from django.http import QueryDict

T = TypeVar("T", bound=Model)


@dataclass(frozen=True, kw_only=True, slots=True)
class Page(Generic[T]):
    """Some rows and the query strings of the first page and the next; an empty string where there is none."""

    rows: Sequence[T]
    first_query: str
    next_query: str


def read_page(rows: QuerySet[T], *, key: str, query: QueryDict, size: int = 50) -> Page[T]:
    """Read one page of a queryset in the order of a unique column.

    Args:
        key: the column, with a minus sign for descending order. The query string's ``after`` is the
            last value on the page before; anything but a whole number begins at the beginning.
    """
    column = key.removeprefix("-")
    after = query.get("after", "")
    is_later_page = after.isascii() and after.isdigit() and len(after) < 19
    if is_later_page:
        rows = rows.filter(**{f"{column}__{'lt' if key.startswith('-') else 'gt'}": int(after)})
    found = list(rows.order_by(key)[: size + 1])
    last = found[size - 1] if len(found) > size else None
    return Page(
        rows=found[:size],
        first_query=_with_after(query, None) if is_later_page else "",
        next_query=_with_after(query, getattr(last, column)) if last else "",
    )


def _with_after(query: QueryDict, after: int | None) -> str:
    changed = query.copy()
    changed.pop("after", None)
    if after is not None:
        changed["after"] = str(after)
    return f"?{changed.urlencode()}"
