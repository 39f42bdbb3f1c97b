"""Which relays may carry a job's mail, as PostgreSQL and the environment say."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime, time, timedelta

import pytest
from django.conf import LazySettings
from django.db import connection
from django.db.models.functions import Now
from django.utils import timezone

from batches.delivery.ledger import connect
from batches.delivery.spec import RouteSpec
from batches.jobs.run_lane import database_parameters
from batches.models import BatchStatus, EmailJob, JobStatus, Relay, RelayPause, RelayQuota, Sender
from batches.outcomes import ReplyMeaning
from batches.relays import Found, afind_routes, find_routes, relays_version, sync, wake_jobs
from batches.smtp.backend import Backend
from tests.conftest import MakeBatch, MakeJob

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def two_relays(settings: LazySettings) -> None:
    settings.EMAIL_URL = "smtp://first.example:2525"
    settings.RELAY_URLS = {"second": "smtp+tls://ann:hush@second.example"}
    settings.SEND_BACKEND = ""
    settings.SEND_RATE = 0
    sync()


def change(name: str, **columns: object) -> Relay:
    Relay.objects.filter(name=name).update(**columns)
    return Relay.objects.get(name=name)


def pause(name: str, seconds: float, *, sender: Sender | None = None, sentence: str = "It said no.") -> None:
    RelayPause.objects.create(
        relay=Relay.objects.get(name=name),
        sender=sender,
        meaning=ReplyMeaning.RATE,
        sentence=sentence,
        until=Now() + timedelta(seconds=seconds),
    )


def make_sender(key: str) -> Sender:
    return Sender.objects.create(key=key, address=f"{key}@example.org")


def names(found: Found) -> list[str]:
    return [route.name for route in found.routes]


def route(name: str, **arguments: int | None) -> RouteSpec:
    found = find_routes(sender_id=arguments.get("sender_id"))
    return next(route for route in found.routes if route.name == name)


def test_every_relay_is_found_once_when_rows_are_added_twice() -> None:
    sync()
    assert sorted(Relay.objects.values_list("name", flat=True)) == ["default", "second"]
    found = find_routes(sender_id=None)
    assert names(found) == ["default", "second"]
    assert [str(route.address) for route in found.routes] == ["first.example:2525", "second.example:587"]
    assert (found.why, found.retry_seconds) == ("", None)


def test_row_is_added_when_a_new_relay_is_looked_for(settings: LazySettings) -> None:
    settings.RELAY_URLS = {**settings.RELAY_URLS, "third": "smtp://third.example"}
    assert names(find_routes(sender_id=None)) == ["default", "second", "third"]


def test_relay_without_address_carries_nothing_but_keeps_its_row(settings: LazySettings) -> None:
    settings.RELAY_URLS = {}
    assert names(find_routes(sender_id=None)) == ["default"]
    assert Relay.objects.filter(name="second").exists()


def test_default_carries_nothing_when_only_further_relays_are_configured(settings: LazySettings) -> None:
    settings.EMAIL_URL = ""
    assert names(find_routes(sender_id=None)) == ["second"]


def test_backend_is_the_default_relay_when_there_is_one(settings: LazySettings) -> None:
    settings.SEND_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
    assert route("default").address == Backend(path=settings.SEND_BACKEND)


def test_route_has_the_limits_when_a_person_set_them(settings: LazySettings) -> None:
    settings.SEND_RATE, settings.SEND_CONNECTIONS = 9, 7
    relay = change("second", weight=3, order=2, connections=4, rate_per_second=5, closes_after_refusals=True)
    RelayQuota.objects.create(relay=relay, amount=1000, period_seconds=3600)
    first, second = find_routes(sender_id=None).routes
    assert (first.connections, first.rate, first.weight, first.order, first.has_quotas) == (7, 9, 1, 0, False)
    assert (second.connections, second.rate, second.weight, second.order, second.has_quotas) == (4, 5, 3, 2, True)
    assert (first.closes_after_refusals, second.closes_after_refusals) == (False, True)


@pytest.mark.parametrize(("a_second", "a_minute", "expected"), [(0, 30, 0.5), (1, 30, 0.5), (1, 120, 1), (0, 0, 0)])
def test_smaller_rate_holds_when_there_are_two(a_second: float, a_minute: int, expected: float) -> None:
    change("second", rate_per_second=a_second, rate_per_minute=a_minute)
    assert route("second").rate == expected


def test_disabled_relay_carries_nothing_and_the_reason_is_said() -> None:
    change("default", is_enabled=False)
    assert names(find_routes(sender_id=None)) == ["second"]
    change("second", is_enabled=False)
    found = find_routes(sender_id=None)
    assert (found.routes, found.why) == ((), "Every relay is disabled. Enable one in the admin, under Relays.")
    assert found.retry_seconds == 60


def test_relay_carries_only_its_senders_when_it_names_some() -> None:
    ann, bob = make_sender("ann"), make_sender("bob")
    Relay.objects.get(name="second").senders.add(ann)
    assert names(find_routes(sender_id=ann.pk)) == ["default", "second"]
    assert names(find_routes(sender_id=bob.pk)) == ["default"]
    assert names(find_routes(sender_id=None)) == ["default"]


def test_sender_is_carried_only_by_its_relays_when_it_names_some() -> None:
    ann = make_sender("ann")
    ann.relays.add(Relay.objects.get(name="second"))
    assert names(find_routes(sender_id=ann.pk)) == ["second"]
    assert names(find_routes(sender_id=None)) == ["default", "second"]
    Relay.objects.get(name="second").senders.add(make_sender("bob"))
    found = find_routes(sender_id=ann.pk)
    assert found.routes == ()
    assert "No relay may carry mail of this sender" in found.why


def test_pause_of_a_sender_holds_for_that_sender_only() -> None:
    ann, bob = make_sender("ann"), make_sender("bob")
    pause("default", 100, sender=ann)
    assert 95 < route("default", sender_id=ann.pk).paused_seconds <= 100
    assert route("default", sender_id=bob.pk).paused_seconds == 0
    pause("default", 300)
    assert 295 < route("default", sender_id=ann.pk).paused_seconds <= 300
    assert 295 < route("default", sender_id=bob.pk).paused_seconds <= 300


def test_pause_that_is_over_holds_no_more() -> None:
    pause("default", -1)
    assert route("default").paused_seconds == 0


def test_earliest_end_is_the_reason_when_every_relay_is_paused() -> None:
    pause("default", 500, sentence="The first is full.")
    assert find_routes(sender_id=None).why == ""
    pause("second", 100, sentence="The second is full.")
    found = find_routes(sender_id=None)
    assert found.why == "The second is full."
    assert found.retry_seconds is not None and 95 < found.retry_seconds <= 100
    assert len(found.routes) == 2


def test_relay_counts_as_usable_when_its_pause_ends_within_five_seconds() -> None:
    pause("default", 4)
    pause("second", 100)
    found = find_routes(sender_id=None)
    assert (found.why, found.retry_seconds) == ("", None)
    assert 0 < found.routes[0].paused_seconds <= 4


def test_unreadable_address_is_no_route_and_its_fault_is_the_reason_when_no_other_is_usable(
    settings: LazySettings,
) -> None:
    settings.EMAIL_URL = "smpt://ann:hush@first.example"
    assert names(find_routes(sender_id=None)) == ["second"]
    change("second", is_enabled=False)
    found = find_routes(sender_id=None)
    assert (found.routes, found.retry_seconds) == ((), 60)
    assert "must begin with" in found.why and "hush" not in found.why


def window_around(hours_from: int, hours_to: int) -> tuple[time, time]:
    now = timezone.localtime()
    return tuple((now + timedelta(hours=hours)).time().replace(microsecond=0) for hours in (hours_from, hours_to))  # type: ignore[return-value]


def test_window_closes_the_relay_and_says_when_it_opens() -> None:
    opens_at, closes_at = window_around(1, 2)
    change("second", opens_at=opens_at, closes_at=closes_at)
    assert 3590 < route("second").paused_seconds <= 3600
    change("default", is_enabled=False)
    found = find_routes(sender_id=None)
    assert found.why == f"The relay second carries mail only from {opens_at:%H:%M} to {closes_at:%H:%M}."
    assert found.retry_seconds == pytest.approx(3600, abs=10)


def test_open_window_says_when_it_closes() -> None:
    opens_at, closes_at = window_around(-1, 1)
    change("second", opens_at=opens_at, closes_at=closes_at)
    found = route("second")
    assert found.paused_seconds == 0
    assert found.closes_in_seconds == pytest.approx(3600, abs=10)


def test_relay_waits_for_the_next_window_when_its_pause_outlasts_this_one() -> None:
    opens_at, closes_at = window_around(-1, 1)
    change("second", opens_at=opens_at, closes_at=closes_at)
    pause("second", 2 * 3600)
    assert route("second").paused_seconds == pytest.approx(23 * 3600, abs=10)


def test_version_changes_when_a_person_changes_a_relay() -> None:
    before = relays_version()
    assert relays_version() == before
    Relay.objects.get(name="second").save()
    after = relays_version()
    assert after != before
    change("second", closes_after_refusals=True)  # as a lane notes it
    pause("second", 9)
    assert relays_version() == after
    assert find_routes(sender_id=None).version == after
    make_sender("ann")
    assert relays_version() != after


def test_version_changes_when_the_clock_of_the_web_process_is_slow() -> None:
    change("default", updated_at=timezone.now() + timedelta(hours=1))
    before = relays_version()
    Relay.objects.get(name="second").save()
    assert relays_version() != before


def test_waiting_jobs_go_on_when_they_are_woken(make_batch: MakeBatch, make_job: MakeJob) -> None:
    later = timezone.now() + timedelta(hours=1)
    job = make_job(make_batch(BatchStatus.PROCESSING, pending=1), JobStatus.PROCESSING, relay_retry_at=later)
    lane = job.lanes.create(number=0, waits_until=later)
    assert wake_jobs() == 1
    assert wake_jobs() == 0
    lane.refresh_from_db()
    assert lane.waits_until is None
    retry_at = EmailJob.objects.get(pk=job.pk).relay_retry_at
    assert retry_at is not None and retry_at <= now_of_database()


def now_of_database() -> datetime:
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        found: datetime = cursor.fetchone()[0]
        return found


@pytest.mark.django_db(transaction=True)
def test_both_ways_find_the_same_when_a_lane_asks_over_its_own_connection(settings: LazySettings) -> None:
    async def find(sender_id: int | None) -> Found:
        lane_connection = await connect(database_parameters())
        try:
            await lane_connection.execute("SET TimeZone = 'Asia/Tokyo'")  # as the server's own setting may be
            return await afind_routes(lane_connection, sender_id=sender_id)
        finally:
            await lane_connection.close()

    settings.RELAY_URLS = {**settings.RELAY_URLS, "third": "smtp://third.example"}
    ann = make_sender("ann")
    Relay.objects.get(name="second").senders.add(ann)
    ways: list[Callable[[int | None], Found]] = [
        lambda sender_id: asyncio.run(find(sender_id)),
        lambda sender_id: find_routes(sender_id=sender_id),
    ]
    for sender_id, expected in ((None, ["default", "third"]), (ann.pk, ["default", "second", "third"])):
        first, second = (way(sender_id) for way in ways)
        assert names(first) == expected
        assert first == second
