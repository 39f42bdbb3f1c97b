"""Batches whose recipients the directory knows."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
from django.contrib.auth.models import User

from batches.directory import list_some
from batches.models import Batch, BatchStatus, Email, EmailStatus
from batches.suppressions import find_digest
from tests.conftest import MakeBatch

MakeList = Callable[..., Batch]


def list_all(batch: Batch) -> None:
    """List a batch as the worker does, until the directory knows every row."""
    while list_some(batch.pk):
        pass


@pytest.fixture
def make_list(make_batch: MakeBatch, sender: User) -> MakeList:
    """Make a batch that was sent: ``make_list(("Ann Berg", "ann@example.org"), owner=user)``. Rows begin at 2."""

    def make(
        *people: Sequence[str], owner: User | None = sender, is_listed: bool = True, has_digests: bool = True
    ) -> Batch:
        batch = make_batch(BatchStatus.COMPLETED, owner=owner)
        Email.objects.bulk_create(
            Email(
                batch=batch,
                row=row,
                address=address,
                address_digest=find_digest(address) if has_digests else None,
                fields=[name],
                status=EmailStatus.SENT,
            )
            for row, (name, address) in enumerate(people, start=2)
        )
        Batch.objects.filter(pk=batch.pk).update(total_count=len(people), sent_count=len(people))
        batch.refresh_from_db()
        if is_listed:
            list_all(batch)
        return batch

    return make
