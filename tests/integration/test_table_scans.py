"""Pages and searches walk indexes, and do not read a table whose other rows nobody asked for.

PostgreSQL counts within a transaction how many rows of a table were read one after the other.
"""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.urls import reverse

from batches.directory import search_rows
from batches.models import Batch, Email, EmailJob, EmailStatus, EmailTemplate, JobKind, JobStatus
from tests.conftest import MakeBatch
from tests.integration.directory.conftest import MakeList, make_list  # noqa: F401  a fixture

OTHERS = 400
"""So many rows that the planner prefers to read them one after the other."""


def count_scanned(table: str) -> int:
    """Return how many rows of a table this transaction has read without an index."""
    with connection.cursor() as cursor:
        cursor.execute(f"ANALYZE {table}")
        cursor.execute("SELECT seq_tup_read FROM pg_stat_xact_user_tables WHERE relname = %s", [table])
        [count] = cursor.fetchone() or [0]
    return int(count)


def test_search_in_a_batch_reads_the_people_of_its_rows_and_no_others(
    sender: User,
    make_list: MakeList,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for limit in ("matching.STEP_ROWS", "matching.WALK_ROWS", "finding.WALK_ROWS"):
        monkeypatch.setattr(f"batches.directory.{limit}", 300)
    make_list(*((f"Bob {n}", f"bob{n}@example.com") for n in range(OTHERS)))
    batch = make_list(*((f"Ann {n}", f"ann{n}@example.org") for n in range(OTHERS)))
    count_scanned("batches_email")
    before = count_scanned("batches_person")
    assert next(search_rows(batch, "ann")) == list(range(2, 301))
    assert count_scanned("batches_person") == before


def test_list_of_templates_reads_no_jobs_of_other_templates(staff: User, client: Client, make_batch: MakeBatch) -> None:
    often, seldom = (EmailTemplate.objects.create(key=key, name=key, subject="s", text="t") for key in ("a", "b"))
    batch = make_batch()
    ended = {"status": JobStatus.COMPLETED, "completed_at": batch.created_at, "from_email": "a@b.org"}
    EmailJob.objects.bulk_create(
        EmailJob(batch=batch, template=often, template_key=often.key, kind=JobKind.FIRST, **ended)
        for _ in range(OTHERS)
    )
    client.force_login(staff)
    before = count_scanned("batches_emailjob")
    page = client.get(reverse("templates")).content.decode()
    assert often.name in page and seldom.name in page
    assert count_scanned("batches_emailjob") == before


def test_count_of_the_admin_reads_no_emails_of_other_batches(
    staff: User, client: Client, make_batch: MakeBatch
) -> None:
    batch, other = make_batch(), make_batch()
    _add_failed(other, OTHERS)
    _add_failed(batch, OTHERS)
    client.force_login(staff)
    before = count_scanned("batches_email")
    page = client.get(f"/admin/batches/email/?batch={batch.pk}&status=failed").content.decode()
    assert f"{OTHERS} emails" in page
    assert count_scanned("batches_email") == before


def _add_failed(batch: Batch, count: int) -> None:
    rows = range(1000, 1000 + count)
    Email.objects.bulk_create(
        Email(batch=batch, row=row, address=f"a{row}@example.org", status=EmailStatus.FAILED) for row in rows
    )
    Batch.objects.filter(pk=batch.pk).update(total_count=batch.total_count + count, failed_count=count)
