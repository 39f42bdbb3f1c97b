"""The ways on from a batch, each beside what happens at the same moment: nothing is sent twice, and nothing is lost."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.db import connection, connections, transaction
from django.utils import timezone

from batches import intake
from batches.jobs import creation, lifecycle
from batches.jobs.failure_groups import find_choice, find_key
from batches.jobs.rescheduling import reschedule_batch, return_to_draft
from batches.models import (
    Batch,
    BatchStatus,
    EmailJob,
    EmailStatus,
    EmailTemplate,
    JobKind,
    JobStatus,
    Lane,
)
from batches.people import Spelling, erase_person, purge
from tests.conftest import MakeBatch, MakeJob
from tests.integration.jobs.test_approval_races import answer_in_threads, is_waiting_for_a_lock

pytestmark = pytest.mark.django_db(transaction=True)

NEXT_WEEK = timezone.now() + timedelta(days=7)

LIVE = {
    BatchStatus.SCHEDULED: JobStatus.SCHEDULED,
    BatchStatus.PENDING: JobStatus.QUEUED,
    BatchStatus.PAUSED: JobStatus.PAUSED,
}
"""The status of the job that a batch has in each status."""

WAYS: dict[str, Callable[[Batch], object]] = {
    "time": lambda batch: reschedule_batch(batch, scheduled_at=NEXT_WEEK),
    "now": lambda batch: reschedule_batch(batch, scheduled_at=None),
    "draft": return_to_draft,
    "sweep": lambda batch: lifecycle.start_due_job(batch.jobs.get().pk),
    "pause": lifecycle.pause_batch,
    "cancel": lifecycle.cancel_batch,
}


@pytest.fixture
def scheduled(make_batch: MakeBatch, welcome: EmailTemplate, sender: User) -> Batch:
    batch = make_batch(pending=3)
    creation.create_job(batch, template=welcome, user=sender, scheduled_at=timezone.now() + timedelta(hours=1))
    EmailJob.objects.update(scheduled_at=timezone.now())  # the next sweep starts it
    return batch


@pytest.mark.parametrize("way", ["time", "now", "draft"])
@pytest.mark.parametrize("rival", WAYS)
def test_batch_is_in_one_state_when_two_things_happen_at_once(scheduled: Batch, way: str, rival: str) -> None:
    answers = answer_in_threads(*(lambda act=act: act(Batch.objects.get()) for act in (WAYS[way], WAYS[rival])))
    assert not all(isinstance(answer, Exception) for answer in answers)
    scheduled.refresh_from_db()
    jobs = list(EmailJob.objects.all())
    statuses = set(scheduled.emails.values_list("status", flat=True))
    if scheduled.status == BatchStatus.DRAFT:
        assert (jobs, Lane.objects.count(), statuses) == ([], 0, {EmailStatus.PENDING})
    elif scheduled.status == BatchStatus.CANCELLED:
        assert [job.status for job in jobs] == [JobStatus.CANCELLED]
        assert (statuses, scheduled.cancelled_count) == ({EmailStatus.CANCELLED}, 3)
    else:
        assert [job.status for job in jobs] == [LIVE[BatchStatus(scheduled.status)]]
        assert statuses == {EmailStatus.PENDING}


def test_person_is_erased_when_the_batch_becomes_a_draft_at_the_same_moment(scheduled: Batch) -> None:
    address = scheduled.emails.get(row=2).address

    def erase() -> None:
        try:
            erase_person(Spelling.read(address))
        finally:
            connections.close_all()

    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            return_to_draft(scheduled)
            erasure = pool.submit(erase)
            while not erasure.done() and not is_waiting_for_a_lock():
                pass
        erasure.result()
    scheduled.refresh_from_db()
    assert scheduled.total_count == scheduled.emails.exclude(address="").count() == 2


@pytest.fixture
def ended(make_batch: MakeBatch, make_job: MakeJob) -> Batch:
    batch = make_batch(BatchStatus.CANCELLED, sent=2, failed=2, unknown=1, cancelled=2, suppressed=1)
    make_job(batch, JobStatus.CANCELLED, completed_at=timezone.now())
    lifecycle.recount_ended_batch(batch.pk)
    batch.emails.filter(status=EmailStatus.FAILED).update(code=550, reply="No such user", attempts=1)
    return batch


def replay(batch: Batch, **chosen: object) -> EmailJob:
    return creation.replay_batch(batch, user=batch.created_by, **chosen)  # type: ignore[arg-type]


REPLAYS: dict[str, Callable[[Batch], EmailJob]] = {
    "unsent": lambda batch: replay(batch, which=JobKind.UNSENT),
    "with unknown": lambda batch: replay(batch, which=JobKind.UNSENT, include_unknown=True),
    "failed": lambda batch: replay(batch, which=JobKind.FAILED),
    "group": lambda batch: replay(
        batch, which=JobKind.FAILED, failure=find_choice(batch, find_key("550 No such user"))
    ),
}


@pytest.mark.parametrize("first", REPLAYS)
@pytest.mark.parametrize("second", REPLAYS)
def test_one_replay_is_made_when_two_buttons_are_pressed(ended: Batch, first: str, second: str) -> None:
    acts = [REPLAYS[first], REPLAYS[second]]
    answers = answer_in_threads(*(lambda act=act: act(Batch.objects.get()) for act in acts))
    made = [answer for answer in answers if isinstance(answer, EmailJob)]
    assert len(made) == 1 and EmailJob.objects.count() == 2
    pending = ended.emails.filter(status=EmailStatus.PENDING).count()
    assert made[0].total_count == pending
    assert ended.emails.filter(status=EmailStatus.SENT).count() == 2
    assert ended.emails.filter(status=EmailStatus.SUPPRESSED).count() == 1


def test_copy_is_whole_or_refused_when_a_purge_begins_at_the_same_moment(ended: Batch) -> None:
    Batch.objects.update(completed_at=timezone.now() - timedelta(days=40))
    user = ended.created_by
    assert user
    answer_in_threads(
        lambda: intake.copy_batch(Batch.objects.get(pk=ended.pk), user=user), lambda: purge(30, rest=lambda _: None)
    )
    copies = Batch.objects.exclude(pk=ended.pk)
    assert all(copy.total_count == copy.emails.exclude(address="").count() == 8 for copy in copies)
    assert not ended.emails.exclude(address="").exists()


def test_copy_is_refused_when_a_purge_has_begun_since_the_page_was_read(ended: Batch) -> None:
    with connection.cursor() as cursor:
        cursor.execute("UPDATE batches_batch SET purged_at = now()")
    user = ended.created_by
    assert user
    with pytest.raises(intake.ListRefused, match="no list to copy"):
        intake.copy_batch(ended, user=user)
    assert Batch.objects.count() == 1
