"""Fixtures and readers that the tests of intake, exports and reviewing share."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User

from batches.intake import ReadingOptions, import_csv
from batches.models import Batch

Upload = Callable[..., Batch]


@pytest.fixture
def upload(sender: User) -> Upload:
    """Import bytes or text as the sender: ``upload("email\\nann@example.com\\n")``."""

    def run(data: bytes | str, **options: Any) -> Batch:
        stream = io.BytesIO(data.encode() if isinstance(data, str) else data)
        return import_csv(stream, filename="list.csv", user=sender, options=ReadingOptions(**options)).batch

    return run


def emails_of(batch: Batch) -> list[list[Any]]:
    """Return row, address and fields of each email, in the order of the file."""
    return [list(row) for row in batch.emails.order_by("row").values_list("row", "address", "fields")]


def rejected_of(batch: Batch) -> list[list[Any]]:
    """Return line and kind of each rejected row, in the order of the file."""
    return [list(row) for row in batch.rejected_rows.order_by("line", "id").values_list("line", "kind")]
