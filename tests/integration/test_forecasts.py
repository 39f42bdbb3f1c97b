"""Finish times from the tables: relays, quotas with their uses, pauses, senders, and what else waits."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from django.conf import LazySettings
from django.contrib.auth.models import User
from django.utils import timezone

from batches import progress
from batches.jobs import forecasts
from batches.jobs.forecasts import forecast_send, read_outlook, read_snapshot, read_snapshots
from batches.models import Batch, BatchStatus, EmailJob, JobPriority, JobStatus, Lane, Relay, Sender
from batches.models.relay import RelayPause, RelayQuota, RelayUse, Reservation
from batches.outcomes import ReplyMeaning
from batches.waiting import NOT_KNOWN, NOT_KNOWN_WHILE_PAUSED, NOT_KNOWN_WHILE_REFUSED
from tests.conftest import MakeBatch, MakeJob

pytestmark = pytest.mark.django_db

DAY = timedelta(days=1)
MakeLive = Callable[..., EmailJob]


@pytest.fixture
def relay() -> Relay:
    """The row of EMAIL_URL's relay, without limits."""
    return Relay.objects.get_or_create(name="default")[0]


@pytest.fixture
def make_live(make_batch: MakeBatch, make_job: MakeJob) -> MakeLive:
    """Make a batch that is being sent, and its job: ``make_live(1000)``."""

    def make(count: int, status: JobStatus = JobStatus.PROCESSING, **columns: object) -> EmailJob:
        statuses = {JobStatus.SCHEDULED: BatchStatus.SCHEDULED, JobStatus.PAUSED: BatchStatus.PAUSED}
        batch = make_batch(statuses.get(status, BatchStatus.PROCESSING))
        Batch.objects.filter(pk=batch.pk).update(total_count=count)
        batch.refresh_from_db()
        return make_job(batch, status, **columns)

    return make


def show_speed(make_batch: MakeBatch, make_job: MakeJob, *, per_second: int) -> None:
    """Let an ended job have shown how fast the workers are."""
    ended = timezone.now()
    job = make_job(make_batch(BatchStatus.COMPLETED), JobStatus.COMPLETED, completed_at=ended, sent_count=1000)
    EmailJob.objects.filter(pk=job.pk).update(started_at=ended - timedelta(seconds=1000 / per_second))


def seconds_for(count: int, **options: object) -> float:
    seconds = forecast_send(count, **options).seconds  # type: ignore[arg-type]
    assert seconds is not None
    return seconds


def test_finish_is_not_known_until_a_job_has_shown_a_speed(make_batch: MakeBatch, make_job: MakeJob) -> None:
    unknown = forecast_send(100_000)
    assert (unknown.done_at, unknown.words) == (None, NOT_KNOWN)
    assert forecast_send(10).words == "Done in less than a minute."
    show_speed(make_batch, make_job, per_second=100)
    assert seconds_for(100_000) == pytest.approx(1000)


def test_no_date_is_said_when_the_limits_allow_none(relay: Relay) -> None:
    relay.quotas.create(amount=1, period_seconds=30 * 86400)
    forecast = forecast_send(10_000_000)
    assert forecast.done_at is None and "more than a hundred years" in forecast.words


def test_quota_of_a_relay_spreads_a_list_over_days(relay: Relay, make_batch: MakeBatch, make_job: MakeJob) -> None:
    RelayQuota.objects.create(relay=relay, amount=10_000, period_seconds=86_400)
    show_speed(make_batch, make_job, per_second=100)
    assert seconds_for(25_000) == pytest.approx(2 * 86_400, rel=0.01)


def test_uses_and_reservations_count_against_the_quota(relay: Relay, make_live: MakeLive) -> None:
    quota = RelayQuota.objects.create(relay=relay, amount=1000, period_seconds=86_400)
    now = timezone.now()
    RelayUse.objects.create(quota=quota, at=now - DAY * 2, count=1000)  # too old to count
    RelayUse.objects.create(quota=quota, at=now - timedelta(hours=20), count=600)
    assert seconds_for(400) < 60
    assert seconds_for(500) == pytest.approx(4 * 3600, rel=0.01)
    lane = Lane.objects.create(job=make_live(0), number=0)
    Reservation.objects.create(relay=relay, lane=lane, count=100)
    assert seconds_for(400) == pytest.approx(4 * 3600, rel=0.01)


def hours_of(job: EmailJob) -> float:
    """The hours until a live batch is done, as its page says."""
    now = read_snapshot(job.batch_id)
    assert now is not None and now["doneAt"] is not None
    return (datetime.fromisoformat(now["doneAt"]) - timezone.now()).total_seconds() / 3600


@pytest.mark.parametrize(("recorded", "reserved"), [(0, 0), (0, 20), (1, 19), (6, 14), (20, 0)])
def test_finish_is_the_same_at_each_moment_of_a_job(
    recorded: int, reserved: int, relay: Relay, make_live: MakeLive
) -> None:
    """What is reserved and not yet sent was counted as used and as still to be sent, so the finish was an hour off."""
    Relay.objects.filter(pk=relay.pk).update(rate_per_minute=30)
    quota = RelayQuota.objects.create(relay=relay, amount=20, period_seconds=3600)
    assert seconds_for(50) / 3600 == pytest.approx(2, abs=0.1)
    job = make_live(50)
    lane = Lane.objects.create(job=job, number=0, sent_count=recorded)
    if reserved:
        Reservation.objects.create(relay=relay, lane=lane, count=reserved)
    if recorded:
        RelayUse.objects.create(quota=quota, at=timezone.now(), count=recorded)
    assert hours_of(job) == pytest.approx(2, abs=0.1)


@pytest.mark.parametrize("status", [JobStatus.PROCESSING, JobStatus.PAUSED])
@pytest.mark.parametrize("priority", list(JobPriority))
def test_reserved_emails_of_another_job_are_counted_once(
    status: JobStatus, priority: JobPriority, relay: Relay, make_live: MakeLive
) -> None:
    RelayQuota.objects.create(relay=relay, amount=20, period_seconds=3600)
    other = make_live(20, status)
    Reservation.objects.create(relay=relay, lane=Lane.objects.create(job=other, number=0), count=20)
    assert seconds_for(20, priority=priority) / 3600 == pytest.approx(1, abs=0.1)


def test_reservation_that_an_ended_job_left_counts_as_used(
    relay: Relay, make_batch: MakeBatch, make_job: MakeJob
) -> None:
    RelayQuota.objects.create(relay=relay, amount=20, period_seconds=3600)
    ended = make_job(make_batch(BatchStatus.COMPLETED), JobStatus.COMPLETED, completed_at=timezone.now())
    Reservation.objects.create(relay=relay, lane=Lane.objects.create(job=ended, number=0), count=20)
    assert seconds_for(20) / 3600 == pytest.approx(1, abs=0.1)


def test_slow_rate_of_a_snapshot_is_exact_to_the_minute(make_live: MakeLive) -> None:
    lease = timezone.now() + timedelta(minutes=1)
    job = make_live(50)
    Lane.objects.create(job=job, number=0, rate_per_second=1 / 6, lease_until=lease)
    now = progress.read_snapshot(job.batch_id)
    assert now is not None and round(now["ratePerSecond"] * 60) == 10


def test_rates_of_the_relay_and_of_the_settings_count(relay: Relay, settings: LazySettings) -> None:
    settings.SEND_RATE = 10
    assert seconds_for(1000) == pytest.approx(100)
    Relay.objects.filter(pk=relay.pk).update(rate_per_minute=30)
    assert seconds_for(1000) == pytest.approx(2000)
    Relay.objects.filter(pk=relay.pk).update(rate_per_second=0.1)
    assert seconds_for(1000) == pytest.approx(10_000)


def test_known_end_of_a_pause_is_waited_for_and_an_unknown_one_is_said(relay: Relay) -> None:
    until = timezone.now() + timedelta(hours=2)
    pause = RelayPause.objects.create(relay=relay, meaning=ReplyMeaning.QUOTA, sentence="x", until=until)
    assert seconds_for(100) == pytest.approx(7200, abs=10)
    RelayPause.objects.filter(pk=pause.pk).update(meaning=ReplyMeaning.LOGIN)
    assert forecast_send(100) == forecasts.Forecast(done_at=None, seconds=None, words=NOT_KNOWN_WHILE_REFUSED)
    RelayPause.objects.filter(pk=pause.pk).update(until=timezone.now() - timedelta(seconds=1))
    assert seconds_for(100) < 10


def test_pause_for_one_sender_stops_no_other(relay: Relay) -> None:
    ann, bob = (Sender.objects.create(key=key, address=f"{key}@example.org") for key in ("ann", "bob"))
    until = timezone.now() + DAY
    RelayPause.objects.create(relay=relay, sender=ann, meaning=ReplyMeaning.SENDER, sentence="x", until=until)
    assert forecast_send(100, sender_id=ann.pk).seconds is None
    assert seconds_for(100, sender_id=bob.pk) < 10


def test_only_relays_that_may_carry_the_sender_count(relay: Relay, settings: LazySettings) -> None:
    settings.RELAY_URLS = {"slow": "smtp://127.0.0.1:1"}
    slow = Relay.objects.create(name="slow", rate_per_second=1)
    ann, bob = (Sender.objects.create(key=key, address=f"{key}@example.org") for key in ("ann", "bob"))
    ann.relays.add(slow)
    Relay.objects.filter(pk=relay.pk).update(rate_per_second=100)
    assert seconds_for(1000, sender_id=ann.pk) == pytest.approx(1000)
    assert seconds_for(1000, sender_id=bob.pk) == pytest.approx(1000 / 101)
    slow.senders.add(ann)
    assert seconds_for(1000, sender_id=bob.pk) == pytest.approx(10)


def test_relay_that_is_disabled_or_not_configured_carries_nothing(relay: Relay) -> None:
    Relay.objects.create(name="gone", rate_per_second=1000)
    Relay.objects.filter(pk=relay.pk).update(rate_per_second=1)
    assert seconds_for(100) == pytest.approx(100)
    Relay.objects.filter(pk=relay.pk).update(is_enabled=False)
    assert forecast_send(100).seconds is None


def test_other_jobs_of_the_queue_take_turns_and_high_priority_goes_first(relay: Relay, make_live: MakeLive) -> None:
    Relay.objects.filter(pk=relay.pk).update(rate_per_second=1)
    make_live(5000)
    make_live(10)
    make_live(7000, JobStatus.PAUSED)
    assert seconds_for(100) == pytest.approx(100 + 100 + 10)
    make_live(300, priority=JobPriority.HIGH)
    assert seconds_for(100) == pytest.approx(100 + 100 + 10 + 300)
    assert seconds_for(100, priority=JobPriority.HIGH) == pytest.approx(100 + 100)


def test_scheduled_job_counts_if_it_begins_before_the_end(relay: Relay, make_live: MakeLive) -> None:
    Relay.objects.filter(pk=relay.pk).update(rate_per_second=1)
    make_live(50, JobStatus.SCHEDULED, scheduled_at=timezone.now() + timedelta(seconds=90))
    assert seconds_for(60) == pytest.approx(60)
    assert seconds_for(100) == pytest.approx(150)


def test_snapshot_of_a_live_batch_has_its_finish(relay: Relay, make_live: MakeLive) -> None:
    Relay.objects.filter(pk=relay.pk).update(rate_per_second=1)
    job = make_live(7200)
    Lane.objects.create(job=job, number=0, sent_count=3600)
    now = read_snapshot(job.batch_id)
    assert now is not None and now["doneAt"] is not None
    assert datetime.fromisoformat(now["doneAt"]) == pytest.approx(  # rounded up to a minute
        timezone.now() + timedelta(hours=1), abs=timedelta(seconds=62)
    )
    assert now["finish"].startswith("Done ")


def test_scheduled_batch_is_done_after_its_time(relay: Relay, make_live: MakeLive) -> None:
    at = timezone.now() + timedelta(days=3)
    job = make_live(10, JobStatus.SCHEDULED, scheduled_at=at)
    now = read_snapshot(job.batch_id)
    assert now is not None and now["doneAt"] is not None
    assert datetime.fromisoformat(now["doneAt"]) >= at
    assert (now["waitingFor"] or "").startswith("The emails go out on ")


@pytest.mark.parametrize("status", [BatchStatus.DRAFT, BatchStatus.COMPLETED])
def test_batch_that_is_not_being_sent_has_no_finish(status: BatchStatus, make_batch: MakeBatch) -> None:
    now = read_snapshot(make_batch(status, pending=3).pk)
    assert now is not None
    assert (now["doneAt"], now["finish"]) == (None, "")


def test_paused_batch_says_that_nobody_knows_its_finish(make_live: MakeLive) -> None:
    job = make_live(50, JobStatus.PAUSED)
    for now in (read_snapshot(job.batch_id), progress.read_snapshot(job.batch_id)):  # of a page, and as it is published
        assert now is not None
        assert (now["doneAt"], now["finish"]) == (None, NOT_KNOWN_WHILE_PAUSED)


def test_job_that_waits_says_why_until_when_and_for_how_many(make_live: MakeLive) -> None:
    retry_at = (timezone.now() + timedelta(days=9)).replace(hour=16, minute=20, second=0, microsecond=0)
    sentence = "The daily limit of relay m365 is used up (10,000 in 24 hours)."
    job = make_live(3400, last_error=sentence, relay_retry_at=retry_at)
    now = progress.read_snapshot(job.batch_id)
    assert now is not None
    day = f"{retry_at:%A} {retry_at.day} {retry_at:%B}" + (
        f" {retry_at.year}" if retry_at.year != timezone.now().year else ""
    )
    assert now["waitingFor"] == f"{sentence} Next try on {day} at 16:20. 3,400 are waiting."


def test_paused_job_says_why_without_a_time(make_live: MakeLive) -> None:
    sentence = "The mail server refused the first 10 recipients alike: 554 5.7.1 Relay access denied."
    job = make_live(50, JobStatus.PAUSED, last_error=sentence, relay_retry_at=timezone.now() + DAY)
    now = progress.read_snapshot(job.batch_id)
    assert now is not None
    assert now["waitingFor"] == f"{sentence} 50 are waiting."


def test_forecast_of_many_batches_takes_four_statements_and_little_time(
    relay: Relay, make_live: MakeLive, sender: User, django_assert_num_queries: Callable[..., object]
) -> None:
    quota = RelayQuota.objects.create(relay=relay, amount=10_000, period_seconds=86_400)
    now = timezone.now()
    RelayUse.objects.bulk_create(
        RelayUse(quota=quota, at=now - timedelta(minutes=6 * slice_number), count=40) for slice_number in range(240)
    )
    ids = [make_live(2000).batch_id for _ in range(10)]
    with django_assert_num_queries(4):  # type: ignore[attr-defined]
        found = read_snapshots(ids)
    assert all(each["finish"] for each in found.values())
    began = time.perf_counter()
    for _ in range(20):
        read_outlook(datetime.now(UTC))
    assert (time.perf_counter() - began) / 20 < 0.02
