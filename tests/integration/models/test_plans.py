"""The statements of the send path and of the sweep read what they need by index, however long the list is.

The statistics are those of a list that nobody has begun to send. A batch that is being sent has no newer ones.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from batches.delivery.ledger_connection import SESSION_SETTINGS
from batches.models import Batch, EmailJob, EmailStatus, JobStatus, Lane, Relay, RelayQuota, RelayUse, sql
from batches.models.relay import DEFAULT_RELAY
from tests.conftest import MakeBatch
from tests.integration.models.conftest import ROWS
from tests.integration.models.plans import Plan, blocks_of, plan_of, rows_removed_of

HALF = ROWS // 2
ROWS_REMOVED_MAX = 10


@pytest.fixture
def none_due(large_batch: Batch) -> Batch:
    """The first half is sent. Eleven hundred of it wait for a retry, and none of these is due.

    None ever was: an index entry of an earlier version costs a block, if the table was filled by other tests before.
    """
    job = large_batch.jobs.get()
    EmailJob.objects.filter(pk=job.pk).update(handed_out_to_row=HALF)
    now = timezone.now()
    Lane.objects.filter(job=job).update(range_after_row=HALF, range_end_row=HALF, claimed_rows=[])
    large_batch.emails.filter(row__lte=HALF).update(status=EmailStatus.SENT, completed_at=now)
    retries = large_batch.emails.filter(row__lte=1100)
    retries.update(status=EmailStatus.PENDING, completed_at=None, attempts=1, next_attempt_at=now + timedelta(hours=1))
    return large_batch


@pytest.fixture
def half_sent(none_due: Batch) -> Batch:
    """The first half is sent. A hundred of it wait for a retry that is due, and a thousand for one that is not."""
    # Before the transaction of the test began, which is PostgreSQL's now(): the table takes seconds to fill.
    due = timezone.now() - timedelta(hours=1)
    none_due.emails.filter(row__lte=100).update(next_attempt_at=due)
    return none_due


@pytest.fixture
def as_ledger(half_sent: Batch) -> None:
    """Plan as the ledger's connection does."""
    with connection.cursor() as cursor:
        for setting in SESSION_SETTINGS:
            name, _, value = setting.partition("=")
            cursor.execute(f"SET LOCAL {name} = {value}")


def assert_by_index(plan: Plan, *indexes: str, blocks_max: int, removed_max: int = ROWS_REMOVED_MAX) -> None:
    assert "Seq Scan on batches_email " not in plan
    assert "Bitmap Heap Scan on batches_email " not in plan
    for index in indexes:
        assert f"using {index} on batches_email " in plan
    assert rows_removed_of(plan) <= removed_max
    assert blocks_of(plan) <= blocks_max


def leased_lane(batch: Batch) -> Lane:
    lane = batch.jobs.get().lanes.get(number=0)
    Lane.objects.filter(pk=lane.pk).update(lease_until=timezone.now())
    return lane


def two_sent(batch: Batch) -> dict[str, Any]:
    """The decisions of a cycle that records two emails as sent."""
    ids = list(batch.emails.filter(row__in=(HALF + 1, HALF + 2)).values_list("pk", flat=True))
    return {
        **{"ids": ids, "statuses": ["sent"] * 2, "outcomes": ["sent"] * 2, "codes": [250] * 2},
        **{"replies": ["Ok"] * 2, "delays": [0.0] * 2},
    }


def cycle_arguments(lane: Lane, **changed: object) -> dict[str, Any]:
    arguments = {
        **{"job": lane.job_id, "batch": lane.job.batch_id, "lane": lane.pk, "token": lane.token, "lease_seconds": 15},
        **{"sent": 0, "failed": 0, "unknown": 0, "retried": 0, "suppressed": 0, "rate": 0.0, "relay": "smtp://relay"},
        "relay_id": None,
        **dict.fromkeys(("ids", "statuses", "outcomes", "codes", "replies", "delays", "in_flight_rows"), "{}"),
        **{"after_row": HALF, "end_row": HALF + 1000, "after_at": "0001-01-01T00:00:00Z", "after_id": 0, "limit": 0},
        "is_news": False,
    }
    return arguments | changed


@pytest.mark.usefixtures("as_ledger")
def test_ledger_cycle_walks_two_indexes_when_it_claims(half_sent: Batch) -> None:
    lane = leased_lane(half_sent)
    plan = plan_of(sql.LEDGER_CYCLE, cycle_arguments(lane, limit=128))
    assert_by_index(plan, "email_retry", "email_row_once", blocks_max=1500)
    assert half_sent.emails.filter(status=EmailStatus.SENDING).count() == 100
    lane.refresh_from_db()
    assert sorted(lane.claimed_rows) == [*range(1, 101), *range(HALF + 1, HALF + 29)]


@pytest.mark.usefixtures("as_ledger")
def test_ledger_cycle_finds_emails_by_their_key_when_it_records(half_sent: Batch) -> None:
    lane = leased_lane(half_sent)
    decisions = two_sent(half_sent)
    plan = plan_of(sql.LEDGER_CYCLE, cycle_arguments(lane, **decisions))
    assert_by_index(plan, "batches_email_pkey", blocks_max=200)
    assert half_sent.emails.filter(pk__in=decisions["ids"], status=EmailStatus.SENT).count() == 2


def routed_arguments(lane: Lane, **changed: object) -> dict[str, Any]:
    """Two relays with quotas. The plan gives the first 28 emails to one, and 100 to the other."""
    arguments = {
        **{"relay_ids": [1, 2], "labels": ["a", "b"], "limit": 128, "plan": [1] * 28 + [2] * 100},
        **{"spaces": [28, 128], "pins": [1, 2], "routes": [], "in_flight_relays": [], "limited": [1, 2]},
        "held": [0, 0],
    }
    return cycle_arguments(lane) | arguments | changed


@pytest.mark.usefixtures("as_ledger")
def test_routed_cycle_walks_the_same_indexes_when_it_claims(half_sent: Batch) -> None:
    lane = leased_lane(half_sent)
    plan = plan_of(sql.ROUTED_CYCLE, routed_arguments(lane))
    # What is removed are rows of its own parts, each of which has a window of rows at most.
    assert_by_index(plan, "email_retry", "email_row_once", blocks_max=2000, removed_max=4 * 128)
    lane.refresh_from_db()
    assert sorted(lane.claimed_rows) == [*range(1, 101), *range(HALF + 1, HALF + 29)]
    assert (lane.claimed_relays.count(1), lane.claimed_relays.count(2)) == (28, 100)


@pytest.mark.usefixtures("as_ledger")
def test_routed_cycle_finds_emails_by_their_key_when_it_records(half_sent: Batch) -> None:
    lane = leased_lane(half_sent)
    decisions = two_sent(half_sent) | {"routes": [1, 2], "limit": 0, "plan": [], "spaces": [0, 0], "pins": []}
    plan = plan_of(sql.ROUTED_CYCLE, routed_arguments(lane, **decisions))
    assert_by_index(plan, "batches_email_pkey", blocks_max=300)
    assert half_sent.emails.filter(pk__in=decisions["ids"], status=EmailStatus.SENT).count() == 2


@pytest.mark.usefixtures("as_ledger")
def test_space_is_found_in_the_period_alone_when_old_uses_are_left(half_sent: Batch) -> None:
    lane = half_sent.jobs.get().lanes.get(number=0)
    relay = Relay.objects.get(name=DEFAULT_RELAY)
    quota = RelayQuota.objects.create(relay=relay, amount=1000, period_seconds=3600)
    now = timezone.now()
    RelayUse.objects.bulk_create(
        RelayUse(quota=quota, at=now - timedelta(seconds=60 * number), count=1) for number in range(1, 3000)
    )
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE batches_relayuse")
    plan = plan_of(sql.FIND_SPACE, {"relays": [relay.pk], "held": [0], "lane": lane.pk})
    assert "Seq Scan on batches_relayuse" not in plan
    assert blocks_of(plan) <= 50


@pytest.mark.usefixtures("as_ledger")
def test_row_range_is_found_at_its_place_when_the_half_is_sent(half_sent: Batch) -> None:
    lane = leased_lane(half_sent)
    arguments = {
        **{"job": lane.job_id, "batch": half_sent.pk, "lane": lane.pk, "token": lane.token},
        **{"window": 128, "rows_max": 2048},
    }
    plan = plan_of(sql.TAKE_ROW_RANGE, arguments)
    assert_by_index(plan, "email_row_once", blocks_max=100)
    lane.refresh_from_db()
    assert (lane.range_after_row, lane.range_end_row) == (HALF, HALF + 2048)


@pytest.mark.usefixtures("none_due")
def test_lanes_to_enqueue_read_a_row_each_when_the_half_is_sent() -> None:
    plan = plan_of(sql.LANES_TO_ENQUEUE, {})
    assert_by_index(plan, "email_retry", "email_row_once", blocks_max=100)
    assert "(actual rows=4.00" in plan.partition("\n")[0]


def test_jobs_to_finish_read_a_row_each_when_the_half_is_sent(half_sent: Batch) -> None:
    plan = plan_of(sql.JOBS_TO_FINISH, {"job": None})
    assert_by_index(plan, blocks_max=100)
    assert "(actual rows=0.00" in plan.partition("\n")[0]


@pytest.mark.django_db
def test_live_jobs_are_found_by_index_when_all_others_have_ended(make_batch: MakeBatch) -> None:
    """A table of so few rows is read as a whole, unless that is forbidden.

    The index is built again, because entries that earlier tests rolled back cost blocks as well.
    """
    batch = make_batch()
    ended = {"completed_at": timezone.now(), "status": JobStatus.COMPLETED}
    EmailJob.objects.bulk_create([EmailJob(batch=batch, template_key="t", from_email="a@b.org", **ended)] * 500)
    live = EmailJob.objects.create(batch=batch, template_key="t", from_email="a@b.org")
    with connection.cursor() as cursor:
        cursor.execute("REINDEX INDEX job_one_live_per_batch")
        cursor.execute("ANALYZE batches_emailjob")
        cursor.execute("SET LOCAL enable_seqscan = off")
    plan = EmailJob.objects.live().explain(analyze=True, buffers=True, timing=False)
    assert "using job_one_live_per_batch" in plan
    assert blocks_of(plan) <= 4
    assert [job.pk for job in EmailJob.objects.live()] == [live.pk]
