"""What the page of a batch shows of its message, its jobs and its course over time."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from django.db import connection
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from batches.directory import list_some
from batches.jobs import lifecycle
from batches.models import Batch, BatchStatus, EmailStatus, JobKind, JobStatus, Lane, ProgressMark, sql
from tests.conftest import MakeBatch, MakeJob, MakeUser


def read(page: Client, batch: Batch, **query: str) -> str:
    text = page.get(reverse("batch", args=[batch.pk]), query).content.decode()
    return " ".join(re.sub(r"<[^>]+>", " ", text).split())


@pytest.fixture
def sent(make_batch: MakeBatch, make_job: MakeJob) -> Batch:
    batch = make_batch(BatchStatus.COMPLETED, sent=3)
    job = make_job(batch, JobStatus.COMPLETED, completed_at=timezone.now(), created_by=batch.created_by)
    type(job).objects.filter(pk=job.pk).update(sent_count=3, reply_to="answers@example.org")
    return batch


def test_message_is_shown_with_its_subject_and_addresses(page: Client, sent: Batch) -> None:
    words = read(page, sent)
    assert "From from@example.org Reply to answers@example.org To person2@example.org Subject Hello Person 2" in words
    assert "Created sender ," in words or "Created sender," in words


@pytest.mark.parametrize("wanted", ["3", "person3@example.org", "rson 3", "PERSON3@"])
def test_message_is_that_of_the_person_who_was_asked_for(page: Client, sent: Batch, wanted: str) -> None:
    assert "Subject Hello Person 3" in read(page, sent, **{"for": wanted})


def test_sentence_says_that_nobody_was_found(page: Client, sent: Batch) -> None:
    words = read(page, sent, **{"for": "nobody@example.org"})
    assert "Nobody was found for “nobody@example.org”." in words
    assert "Subject Hello Person 2" in words


def test_message_is_that_of_a_person_far_down_when_the_directory_knows_the_list(
    page: Client, sent: Batch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("batches.web.message.SEARCHED_ROWS", 1)
    monkeypatch.setattr("batches.directory.finding.WALK_ROWS", 0)
    last = sent.emails.order_by("-row").values_list("row", flat=True)[0]
    assert f"Subject Hello Person {last}" not in read(page, sent, **{"for": f"Person {last}"})
    list_some(sent.pk)
    for wanted in (f"Person {last}", f"person{last}@example.org"):
        assert f"Subject Hello Person {last}" in read(page, sent, **{"for": wanted})


def test_draft_has_no_message_yet(page: Client, make_batch: MakeBatch) -> None:
    assert "The message" not in read(page, make_batch(pending=2))


def test_jobs_are_told_in_words(page: Client, sent: Batch, make_job: MakeJob) -> None:
    make_job(sent, JobStatus.CANCELLED, kind=JobKind.UNKNOWN, completed_at=timezone.now())
    words = read(page, sent)
    assert "Sent again where it was not certain" in words
    assert "Completed: 3 sent" in words
    assert "Cancelled: 3 not sent or not certain" in words


def test_marks_are_made_while_a_job_runs_and_at_its_end(page: Client, make_batch: MakeBatch, make_job: MakeJob) -> None:
    batch = make_batch(BatchStatus.PROCESSING, sent=30)
    job = make_job(batch, JobStatus.PROCESSING, started_at=timezone.now() - timedelta(seconds=40))
    Lane.objects.create(job=job, number=0, sent_count=20, failed_count=1)
    for _ in range(2):  # the second comes too early
        with connection.cursor() as cursor:
            cursor.execute(sql.ADD_MARKS)
    assert list(ProgressMark.objects.values_list("sent_count", "failed_count")) == [(20, 1)]
    batch.emails.update(status=EmailStatus.SENT)
    assert lifecycle.finish_job(job.pk)
    assert ProgressMark.objects.count() == 2
    assert 'id="chart"' in page.get(reverse("batch", args=[batch.pk])).content.decode()
    assert "Each bar is 1.3 seconds" in read(page, batch)


def test_job_without_marks_has_no_chart(page: Client, sent: Batch) -> None:
    assert "Over time" not in read(page, sent)
    with connection.cursor() as cursor:
        cursor.execute(sql.ADD_MARKS)
    assert not ProgressMark.objects.exists()


def test_small_batch_says_that_it_waits_for_another_one(
    page: Client, make_batch: MakeBatch, make_job: MakeJob, make_user: MakeUser
) -> None:
    big = make_batch(BatchStatus.PROCESSING, pending=2)
    Batch.objects.filter(pk=big.pk).update(name="Newsletter November")
    make_job(big, JobStatus.PROCESSING, started_at=timezone.now())
    small = make_batch(BatchStatus.PENDING, pending=1)
    make_job(small, JobStatus.QUEUED)
    sentence = "It waits for its turn: “Newsletter November” is being sent now."
    assert sentence in read(page, small)
    assert page.get(f"/api/batches/{small.pk}").json()["waitingFor"] == sentence
    assert page.get(f"/api/batches/{big.pk}").json()["waitingFor"] is None
    Batch.objects.filter(pk=big.pk).update(created_by=make_user("somebody"))
    assert "Newsletter" not in (words := read(page, small))
    assert "It waits for its turn: another batch is being sent now." in words


def test_api_says_that_no_worker_is_running(page: Client, make_batch: MakeBatch, make_job: MakeJob) -> None:
    batch = make_batch(BatchStatus.PENDING, pending=1)
    make_job(batch, JobStatus.QUEUED)
    assert page.get(f"/api/batches/{batch.pk}").json()["waitingFor"].startswith("Sending is switched off at the moment")
    assert read(page, batch).count("Sending is switched off at the moment") == 1
