"""Batches are found by parts of names and subjects, among the newest and by the indexes alike."""

from __future__ import annotations

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from batches import batch_search
from batches.batch_search import find_batches
from batches.models import Batch, BatchStatus, EmailJob, JobStatus
from tests.conftest import MakeBatch, MakeJob
from tests.integration.models.plans import plan_of


@pytest.fixture(params=["newest", "index"])
def named(
    request: pytest.FixtureRequest, make_batch: MakeBatch, make_job: MakeJob, monkeypatch: pytest.MonkeyPatch
) -> dict[str, Batch]:
    """Three batches, of which the walk reaches all, or one."""
    monkeypatch.setattr(batch_search, "WALK_BATCHES", {"newest": 1_000, "index": 1}[request.param])
    found = {}
    for name, filename in {"Été à Québec": "a.csv", "": "100%_sure.csv", "Winter": "Österreich.xlsx"}.items():
        batch = make_batch(BatchStatus.COMPLETED, sent=1)
        Batch.objects.filter(pk=batch.pk).update(name=name, filename=filename)
        found[name] = batch
    job = make_job(found["Winter"], JobStatus.COMPLETED, completed_at=timezone.now())
    EmailJob.objects.filter(pk=job.pk).update(subject="Rare News")
    return found


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("été", ["Été à Québec"]),
        ("ÖSTER", ["Winter"]),
        ("rare winter", ["Winter"]),
        ("news", ["Winter"]),
        (".csv", ["", "Été à Québec"]),
        ("%_s", [""]),
        ("x%", []),
        ("à", ["Été à Québec"]),
        ("zebra", []),
        ("rare été", []),
    ],
)
def test_batch_is_found_when_each_word_is_in_a_name_or_subject(
    named: dict[str, Batch], text: str, names: list[str]
) -> None:
    assert find_batches(Batch.objects.all(), text, size=10) == [named[name].pk for name in names]


def test_batch_is_found_when_its_number_is_typed(named: dict[str, Batch]) -> None:
    oldest = named["Été à Québec"].pk
    assert oldest in find_batches(Batch.objects.all(), str(oldest), size=10)


def test_next_batches_are_found_when_a_page_ends(named: dict[str, Batch]) -> None:
    [first] = find_batches(Batch.objects.all(), "csv", size=1)
    assert find_batches(Batch.objects.all(), "csv", before=first, size=5) == [named["Été à Québec"].pk]


def test_only_batches_of_the_queryset_are_found(named: dict[str, Batch]) -> None:
    others = Batch.objects.exclude(pk=named["Winter"].pk)
    assert find_batches(others, "news", size=10) == []


def test_many_batches_are_searched_by_the_indexes(make_batch: MakeBatch, monkeypatch: pytest.MonkeyPatch) -> None:
    batch = make_batch(BatchStatus.COMPLETED, sent=1)
    Batch.objects.bulk_create(Batch(filename=f"list-{number}.csv", source="upload") for number in range(500))
    EmailJob.objects.bulk_create(
        EmailJob(batch_id=batch.pk + number, subject="News", completed_at=timezone.now(), status=JobStatus.COMPLETED)
        for number in range(1, 200)
    )
    monkeypatch.setattr(batch_search, "WALK_BATCHES", 1)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE batches_batch, batches_emailjob")
    with CaptureQueriesContext(connection) as queries:
        assert find_batches(Batch.objects.all(), "zebra", size=10) == []
    [found] = [each["sql"] for each in queries if "UNION ALL" in each["sql"]]
    plan = plan_of(found, {})
    assert "batch_search_keys" in plan and "job_search_keys" in plan
