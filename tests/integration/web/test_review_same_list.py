"""What the review says if the same list was sent before."""

from __future__ import annotations

from io import BytesIO

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from batches import intake
from batches.models import Batch, EmailTemplate, JobStatus
from batches.permissions import Permission
from tests.conftest import MakeJob, permit

LIST = "Name,E-Mail\nZoë,zoe@example.org\nBo,bo@example.org\n"
WARNING = "A batch with the same list was started within the last 24 hours"


@pytest.fixture
def draft(sender: User) -> Batch:
    return intake.import_csv(BytesIO(LIST.encode()), filename="list.csv", user=sender).batch


def read(page: Client, batch: Batch) -> str:
    return page.get(reverse("review", args=[batch.pk])).content.decode()


def test_earlier_batch_with_the_same_file_is_linked(
    page: Client, draft: Batch, welcome: EmailTemplate, sender: User, make_job: MakeJob
) -> None:
    make_job(draft, JobStatus.COMPLETED, completed_at=timezone.now(), sent_count=1)
    again = intake.import_csv(BytesIO(LIST.encode()), filename="again.csv", user=sender).batch
    text = read(page, again)
    assert WARNING in text
    assert reverse("batch", args=[draft.pk]) in text


@pytest.mark.parametrize(
    ("status", "has_ended", "is_told"),
    [(JobStatus.QUEUED, False, True), (JobStatus.SCHEDULED, False, True), (JobStatus.CANCELLED, True, False)],
)
def test_earlier_batch_of_which_nothing_went_out_is_told_while_it_may_still_go(
    page: Client,
    draft: Batch,
    welcome: EmailTemplate,
    sender: User,
    make_job: MakeJob,
    status: JobStatus,
    has_ended: bool,
    is_told: bool,
) -> None:
    make_job(draft, status, completed_at=timezone.now() if has_ended else None)
    again = intake.import_csv(BytesIO(LIST.encode()), filename="again.csv", user=sender).batch
    assert (WARNING in read(page, again)) is is_told


def test_nothing_is_told_of_an_earlier_batch_of_another_user(
    page: Client, draft: Batch, welcome: EmailTemplate, sender: User, staff: User, make_job: MakeJob
) -> None:
    theirs = intake.import_csv(BytesIO(LIST.encode()), filename="theirs.csv", user=staff).batch
    make_job(theirs, JobStatus.COMPLETED, completed_at=timezone.now(), sent_count=1)
    assert WARNING not in read(page, draft)
    assert page.get(f"/api/batches/{draft.pk}/review").json()["sameContentSentAt"] is None
    permit(sender, Permission.VIEW_ALL_BATCHES)
    text = read(page, draft)
    assert WARNING in text and reverse("batch", args=[theirs.pk]) in text
    assert page.get(f"/api/batches/{draft.pk}/review").json()["sameContentSentAt"]
