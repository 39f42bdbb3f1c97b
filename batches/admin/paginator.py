"""A paginator that stays fast on a table of any size, because it stops counting at a limit."""

from __future__ import annotations

from typing import Any

from django.core.paginator import Paginator
from django.db import transaction
from django.db.models import QuerySet
from django.utils.functional import cached_property

from batches.paging import walk_indexes

COUNT_MAX = 10_000


class CappedPaginator(Paginator):  # type: ignore[type-arg]
    """Counts up to COUNT_MAX rows. For a row after those, a person has to narrow the list."""

    @cached_property
    def count(self) -> int:
        rows: QuerySet[Any] = self.object_list  # type: ignore[assignment]  # the admin's are querysets
        # A scan of the table would begin where the last one ended, perhaps among millions of rows of other batches.
        with transaction.atomic(), walk_indexes():
            return rows.order_by()[:COUNT_MAX].count()
