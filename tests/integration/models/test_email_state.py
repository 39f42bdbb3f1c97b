"""Pages, API, exports and admin show the same state of an email, and find it without a scan."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import pytest
from django.contrib.auth.models import User
from django.test import Client

from batches.exports import export
from batches.models import Batch, BatchStatus, Email, EmailQuerySet, EmailStatus, JobStatus, Lane
from tests.conftest import MakeBatch, MakeJob
from tests.integration.models.conftest import ROWS
from tests.integration.models.plans import blocks_of, plan_of_emails


@pytest.fixture
def batch(make_batch: MakeBatch, make_job: MakeJob, staff: User) -> Batch:
    """A batch whose lane has claimed rows 2, 3, 4 and 6, and has recorded decisions about 2 and 3 since."""
    batch = make_batch(BatchStatus.PROCESSING, owner=staff, pending=5)
    job = make_job(batch, JobStatus.PROCESSING)
    lane = Lane.objects.create(job=job, number=0, claimed_rows=[2, 3, 4, 6])
    later = datetime(2030, 1, 2, tzinfo=UTC)
    batch.emails.filter(row=2).update(status=EmailStatus.SENT, completed_at=later, attempts=1)
    batch.emails.filter(row=3).update(next_attempt_at=later, attempts=1)
    batch.emails.filter(row=6).update(status=EmailStatus.SENDING, next_attempt_at=later, attempts=2, lane=lane)
    return batch


STATES = {
    2: EmailStatus.SENT,
    3: EmailStatus.PENDING,
    4: EmailStatus.SENDING,
    5: EmailStatus.PENDING,
    6: EmailStatus.SENDING,
}


def states_of(emails: EmailQuerySet) -> dict[int, str]:
    return {email.row: email.state for email in emails.with_state()}


def test_state_is_sending_when_only_the_lane_says_so(batch: Batch) -> None:
    assert states_of(batch.emails.all()) == STATES


@pytest.mark.parametrize("state", EmailStatus)
def test_filter_finds_what_is_shown_when_a_state_is_asked_for(batch: Batch, state: EmailStatus) -> None:
    assert states_of(batch.emails.in_state(state)) == {row: shown for row, shown in STATES.items() if shown == state}


def test_filter_finds_no_email_of_another_batch_when_the_rows_are_equal(
    batch: Batch, make_batch: MakeBatch, make_job: MakeJob
) -> None:
    other = make_batch(BatchStatus.COMPLETED, pending=5)
    ended = make_job(other, JobStatus.COMPLETED, completed_at=datetime(2030, 1, 2, tzinfo=UTC))
    Lane.objects.create(job=ended, number=0, claimed_rows=[2, 3])  # of no meaning: the job has ended
    assert set(states_of(other.emails.all()).values()) == {EmailStatus.PENDING}
    assert set(Email.objects.in_state(EmailStatus.SENDING).values_list("batch", flat=True)) == {batch.pk}


def test_all_readers_agree_when_a_first_attempt_is_in_flight(client: Client, batch: Batch, staff: User) -> None:
    client.force_login(staff)

    def get(address: str) -> str:
        response = client.get(address)
        assert response.status_code == 200
        return response.content.decode()

    listed = client.get(f"/api/batches/{batch.pk}/emails").json()["items"]
    api = {item["row"]: item["status"] for item in listed}
    exported = b"".join(export.results_csv(batch)).decode().splitlines()[1:]
    results = {row: line.split(",")[2] for row, line in enumerate(exported, start=2)}
    page = dict(enumerate(re.findall(r'data-status="(\w+)">\w+<', get(f"/batches/{batch.pk}/")), start=2))
    admin = [label.lower() for label in re.findall(r'class="field-state">(\w+)<', get("/admin/batches/email/"))]
    assert api == results == page == STATES
    assert dict(zip(reversed(STATES), admin, strict=True)) == STATES  # the newest first

    sending = client.get(f"/api/batches/{batch.pk}/emails?status=sending").json()["items"]
    assert [item["row"] for item in sending] == [4, 6]
    assert re.findall(r"person(\d)@", get("/admin/batches/email/?status=sending")) == ["6", "4"]
    rows = get(f"/batches/{batch.pk}/?status=sending").partition('id="rows"')[2]
    assert re.findall(r"person(\d)@", rows) == ["4", "6"]


def test_page_reads_only_its_rows_when_the_batch_is_large(large_batch: Batch) -> None:
    emails = large_batch.emails.with_state().filter(row__gt=ROWS // 2).order_by("row")[:51]
    assert [email.state for email in emails] == [EmailStatus.SENDING] * 51
    plan = plan_of_emails(emails)
    assert "email_row_once" in plan
    assert "Seq Scan on batches_email " not in plan
    assert blocks_of(plan) < 400


def test_emails_in_flight_are_found_by_the_lanes_when_the_batch_is_large(large_batch: Batch) -> None:
    emails = large_batch.emails.with_state().in_state(EmailStatus.SENDING).order_by("row")
    claimed = [*range(1, 129), *range(ROWS // 2 + 1, ROWS // 2 + 129)]
    assert list(emails.values_list("row", flat=True)) == claimed
    plan = plan_of_emails(emails[:51])
    assert "email_row_once" in plan
    assert "unnest" in plan
    assert "Seq Scan on batches_email " not in plan
    assert blocks_of(plan) < 2000
