"""What the directory knows of sent batches, and that it forgets what is removed from them."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from batches.admin.deleting import delete_batches
from batches.directory import find_people, list_some, listing, listing_job
from batches.jobs import queues
from batches.jobs.sweep import sweep
from batches.models import Batch, BatchStatus, EmailJob, JobStatus, Person, PersonEmail
from batches.people import Spelling, erase_person, purge
from tests.conftest import MakeJob, MakeUser
from tests.integration.directory.conftest import MakeList

ANN = ("Ann Berg", "ann@example.org")
BOB = ("Bob Roth", "bob@example.org")


def find(user: User, text: str) -> list[str]:
    return [found.newest.address for found in find_people(user, text, size=10).people]


def end(batch: Batch, *, days: int) -> None:
    Batch.objects.filter(pk=batch.pk).update(completed_at=timezone.now() - timedelta(days=days))


def test_batch_is_listed_in_chunks_when_it_is_larger(
    sender: User, make_list: MakeList, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing, "CHUNK_ROWS", 2)
    batch = make_list(ANN, BOB, ("Cy", "cy@example.org"), is_listed=False)
    assert list_some(batch.pk) == 2
    batch.refresh_from_db()
    assert (batch.listed_to_row, batch.is_listed) == (3, False)
    assert list_some(batch.pk) == 1
    batch.refresh_from_db()
    assert batch.is_listed
    assert list_some(batch.pk) == 0
    assert find(sender, "cy") == ["cy@example.org"]


def test_rows_are_read_at_once_when_there_are_several(make_list: MakeList) -> None:
    batch = make_list(ANN, BOB, ("Cy", "cy@example.org"), is_listed=False)
    with CaptureQueriesContext(connection) as queries:
        assert list_some(batch.pk) == 3
    assert len([each for each in queries if 'FROM "batches_email"' in each["sql"]]) == 1


@pytest.mark.parametrize("status", [BatchStatus.DRAFT, BatchStatus.SCHEDULED])
def test_batch_is_not_listed_when_it_has_not_begun(make_list: MakeList, status: BatchStatus) -> None:
    batch = make_list(ANN, is_listed=False)
    Batch.objects.update(status=status)
    assert list_some(batch.pk) == 0
    assert not Person.objects.exists()


def test_batch_is_listed_when_it_was_paused_after_it_began(make_list: MakeList, make_job: MakeJob) -> None:
    """Paused before its time, it may be a draft again, and another person in the row that the search knows."""
    batch = make_list(ANN, is_listed=False)
    Batch.objects.update(status=BatchStatus.PAUSED)
    job = make_job(batch, JobStatus.PAUSED)
    assert (list_some(batch.pk), Batch.objects.unlisted().exists()) == (0, False)
    EmailJob.objects.filter(pk=job.pk).update(started_at=timezone.now())
    assert list_some(batch.pk) == 1


def test_worker_lists_all_batches_when_the_sweep_has_found_them(sender: User, make_list: MakeList) -> None:
    make_list(ANN, is_listed=False)
    make_list(BOB, is_listed=False)
    sweep()
    [job] = [job for job in queues.open_queue("default").jobs if str(job.func_name).endswith("list_in_turns")]
    assert queues.is_runnable(job)
    assert listing_job.list_in_turns(turn=0) == "2 rows; all batches are listed"
    assert find(sender, "e") == ["bob@example.org", "ann@example.org"] or find(sender, "example") != []
    assert not queues.enqueue_listing(turn=0)  # one waits already


def test_person_has_all_names_when_lists_differ(sender: User, make_list: MakeList) -> None:
    make_list(ANN)
    make_list(("Ann Roth", "ANN@example.org"), ("Annie", "ann@example.org"))
    assert Person.objects.count() == 1
    for name in ("Ann Berg", "Roth", "Annie"):
        assert find(sender, name) == ["ann@example.org"], name


def test_digests_are_added_when_an_earlier_version_stored_none(make_list: MakeList) -> None:
    batch = make_list(ANN, has_digests=False)
    assert batch.emails.get().address_digest is not None
    assert PersonEmail.objects.count() == 1


def test_nothing_is_left_when_person_was_erased(sender: User, make_user: MakeUser, make_list: MakeList) -> None:
    make_list(ANN, BOB)
    make_list(ANN, owner=make_user("other", "Senders"))
    erase_person(Spelling.read("Ann@example.org"))
    assert [person.words for person in Person.objects.all()] == ["  bob  roth  bob@example.org "]
    assert PersonEmail.objects.count() == 1
    assert find(sender, "ann") == []


def test_nothing_is_left_when_batch_was_purged(sender: User, make_list: MakeList) -> None:
    old = make_list(ANN, BOB)
    make_list(("Ann Smith", "ann@example.org"))
    end(old, days=40)
    purge(30)
    assert [person.words for person in Person.objects.all()] == ["  ann  smith  ann@example.org "]
    assert PersonEmail.objects.count() == 1
    assert find(sender, "bob") == find(sender, "berg") == []
    assert find(sender, "smith") == ["ann@example.org"]


def test_purged_batch_is_not_listed_when_its_turn_comes_later(make_list: MakeList) -> None:
    batch = make_list(ANN, is_listed=False)
    end(batch, days=40)
    purge(30)
    assert list_some(batch.pk) == 0
    assert not Person.objects.exists()


def test_nothing_is_left_when_batch_was_deleted(sender: User, make_list: MakeList) -> None:
    batch = make_list(ANN, BOB)
    make_list(BOB)
    delete_batches([batch.pk])
    assert find(sender, "example") == ["bob@example.org"]
    assert (Person.objects.count(), PersonEmail.objects.count()) == (1, 1)
