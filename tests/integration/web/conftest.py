"""What the tests of the pages share: a signed-in browser, and batches made straight in the tables."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.contrib.auth.models import User
from django.test import Client

from batches.models import (
    Batch,
    BatchSource,
    BatchStatus,
    Email,
    EmailJob,
    EmailStatus,
    EmailTemplate,
    JobStatus,
    RejectedRow,
    RejectionKind,
)

MakeBatch = Callable[..., Batch]


@pytest.fixture
def page(sender: User) -> Client:
    """The sender's browser."""
    browser = Client()
    browser.force_login(sender)
    return browser


@pytest.fixture
def make_batch(sender: User) -> MakeBatch:
    """Make a batch of the sender's: ``make_batch(BatchStatus.COMPLETED, sent=3, failed=1)``."""

    def make(
        status: BatchStatus = BatchStatus.DRAFT, *, owner: User | None = sender, rejected: int = 0, **counts: int
    ) -> Batch:
        statuses = [EmailStatus(name) for name, count in counts.items() for _ in range(count)]
        settled = {f"{name}_count": count for name, count in counts.items() if name not in ("pending", "sending")}
        batch = Batch.objects.create(
            created_by=owner,
            filename="list.csv",
            source=BatchSource.UPLOAD,
            status=status,
            columns=["Name", "E-Mail"],
            address_index=1,
            merge_fields=["name"],
            total_count=len(statuses),
            rejected_count=rejected,
            **settled,
        )
        Email.objects.bulk_create(
            Email(batch=batch, row=row, address=f"person{row}@example.org", fields=[f"Person {row}"], status=status)
            for row, status in enumerate(statuses, start=2)
        )
        RejectedRow.objects.bulk_create(
            RejectedRow(
                batch=batch, line=9, kind=RejectionKind.INVALID, raw=["x", f"bad{number}"], reason="No @ in it."
            )
            for number in range(rejected)
        )
        return batch

    return make


@pytest.fixture
def make_job(welcome: EmailTemplate) -> Callable[..., EmailJob]:
    """Make a job of a batch with the default template."""

    def make(batch: Batch, status: JobStatus, **columns: object) -> EmailJob:
        return EmailJob.objects.create(
            batch=batch,
            status=status,
            template=welcome,
            template_key=welcome.key,
            subject=welcome.subject,
            html=welcome.html,
            text=welcome.text,
            from_email="from@example.org",
            total_count=batch.total_count,
            **columns,
        )

    return make
