"""Keyset paging over the rows of real tables."""

from __future__ import annotations

import pytest
from django.db.models import Model, QuerySet
from django.http import QueryDict

from batches.models import Batch, RejectedRow, RejectionKind
from batches.paging import CursorFault, cut, read_page
from tests.conftest import MakeBatch


def read_all(rows: QuerySet[Model], *, order: list[str], size: int) -> list[int]:
    """The keys of all pages, read by following the links."""
    keys: list[int] = []
    query = QueryDict("status=kept")
    for _ in range(50):
        page = read_page(rows, order=order, query=query, size=size)
        keys += [row.pk for row in page.rows]
        assert all("status=kept" in link for link in (page.first_query, page.next_query) if link)
        if not page.next_query:
            return keys
        query = QueryDict(page.next_query.removeprefix("?"))
    raise AssertionError("The pages never end.")


@pytest.mark.parametrize("size", [1, 3, 10, 11])
@pytest.mark.parametrize("order", [["row"], ["-row"], ["pk"]])
def test_pages_have_every_row_once_at_any_size(size: int, order: list[str], make_batch: MakeBatch) -> None:
    emails = make_batch(pending=10).emails.all()
    expected = list(emails.order_by(*order).values_list("pk", flat=True))
    assert read_all(emails, order=order, size=size) == expected


@pytest.mark.parametrize("order", [["line", "pk"], ["-line", "pk"], ["line", "-pk"]])
def test_pages_have_every_row_once_when_the_first_column_repeats(order: list[str], make_batch: MakeBatch) -> None:
    batch = make_batch(rejected=5)
    RejectedRow.objects.bulk_create(
        RejectedRow(batch=batch, line=line, kind=RejectionKind.INVALID, reason="No.") for line in (3, 12, 12, 4)
    )
    expected = list(batch.rejected_rows.order_by(*order).values_list("pk", flat=True))
    assert read_all(batch.rejected_rows.all(), order=order, size=2) == expected


@pytest.mark.parametrize("after", ["", "x", "-1", "1.2", "²", "9" * 40, "' OR 1=1"])
def test_first_page_is_shown_when_the_cursor_is_malformed(after: str, make_batch: MakeBatch) -> None:
    make_batch(pending=1)
    page = read_page(Batch.objects.all(), order=["-pk"], query=_query(after))
    assert len(page.rows) == 1
    assert page.first_query == ""


@pytest.mark.parametrize("cursor", ["x", "-1", "1.2", "²", "9" * 19, ".", " 1"])
def test_program_is_told_when_its_cursor_is_malformed(cursor: str, db: None) -> None:
    with pytest.raises(CursorFault, match="malformed"):
        cut(Batch.objects.all(), order=["-id"], cursor=cursor, size=2)


@pytest.mark.parametrize(("size", "following"), [(1, True), (2, False), (3, False)])
def test_cursor_is_the_last_key_when_there_is_a_next_page(size: int, following: bool, make_batch: MakeBatch) -> None:
    emails = make_batch(pending=2).emails.all()
    rows, cursor = cut(emails, order=["row"], cursor="", size=size)
    assert cursor == (str(rows[-1].row) if following else None)


def _query(after: str) -> QueryDict:
    query = QueryDict(mutable=True)
    query["after"] = after
    return query
