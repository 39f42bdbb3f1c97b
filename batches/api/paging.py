"""Cut a list at a cursor: one index walk a page, however deep, and no count of what is left."""

from __future__ import annotations

from typing import TypeVar

from django.db.models import Model, QuerySet
from ninja import Field, Schema

from batches.api.errors import ApiError

LIMIT_MAX = 500

Row = TypeVar("Row", bound=Model)


class Page(Schema):
    """The query parameters of every list."""

    limit: int = Field(50, ge=1, le=LIMIT_MAX, description="How many items a page has.")
    cursor: str | None = Field(None, description="The `next` of the page before.")


def cut(rows: QuerySet[Row], page: Page, *, key: str) -> tuple[list[Row], str | None]:
    """One page of rows in the order of an integer column (``-id``, ``row``), and the next page's cursor or None."""
    column = key.removeprefix("-")
    if page.cursor:  # an empty one too is the first page: what a client fills in that has none yet
        comparison = "lt" if key.startswith("-") else "gt"
        rows = rows.filter(**{f"{column}__{comparison}": _parse(page.cursor)})
    found = list(rows.order_by(key)[: page.limit + 1])
    kept = found[: page.limit]
    return kept, str(getattr(kept[-1], column)) if len(found) > page.limit else None


def _parse(cursor: str) -> int:
    if not (cursor.isascii() and cursor.isdigit() and len(cursor) < 19):
        raise ApiError(422, "This cursor is not one of ours. Pass on the 'next' of the page before, or leave it out.")
    return int(cursor)
