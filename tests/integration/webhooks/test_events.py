"""``batches.webhooks.events``: an event is written for each Webhook that wants it, with the act that it is about."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection, transaction
from django.utils import timezone
from django.utils.dateparse import parse_datetime

from batches.models import Webhook, WebhookDelivery, WebhookEvent
from batches.webhooks.events import emit, emit_many, is_wanted
from tests.integration.jobs.whole_jobs import wait_for

pytestmark = pytest.mark.django_db

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


def make_webhook(name: str, *events: WebhookEvent, is_enabled: bool = True) -> Webhook:
    return Webhook.objects.create(
        name=name, url="https://hooks.example.org/", secret=SECRET, events=list(events), is_enabled=is_enabled
    )


def test_event_is_written_for_each_webhook_that_wants_it_when_it_happens() -> None:
    first = make_webhook("first", WebhookEvent.BATCH_ENDED, WebhookEvent.EMAIL_FAILED)
    second = make_webhook("second", WebhookEvent.BATCH_ENDED)
    make_webhook("other", WebhookEvent.EMAIL_RETURNED)
    make_webhook("off", WebhookEvent.BATCH_ENDED, is_enabled=False)

    assert emit(WebhookEvent.BATCH_ENDED, {"batchId": 7}) == 2

    deliveries = WebhookDelivery.objects.order_by("webhook__name")
    assert [delivery.webhook for delivery in deliveries] == [first, second]
    assert len({delivery.message_id for delivery in deliveries}) == 2
    for delivery in deliveries:
        assert delivery.payload["type"] == "batch.ended"
        assert delivery.payload["data"] == {"batchId": 7}
        happened_at = parse_datetime(delivery.payload["timestamp"])
        assert happened_at is not None
        assert abs((timezone.now() - happened_at).total_seconds()) < 60
        assert delivery.next_attempt_at is not None
        assert delivery.attempts == 0


def test_nothing_is_written_when_no_webhook_wants_the_event() -> None:
    make_webhook("other", WebhookEvent.EMAIL_RETURNED)

    assert emit(WebhookEvent.BATCH_ENDED, {"batchId": 7}) == 0
    assert not is_wanted(WebhookEvent.BATCH_ENDED)
    assert is_wanted(WebhookEvent.EMAIL_RETURNED)
    assert not WebhookDelivery.objects.exists()


def test_event_is_gone_when_its_act_is_rolled_back() -> None:
    make_webhook("one", WebhookEvent.UNSUBSCRIBED)

    with pytest.raises(ZeroDivisionError), transaction.atomic():
        emit(WebhookEvent.UNSUBSCRIBED, {"topic": "news"})
        raise ZeroDivisionError

    assert not WebhookDelivery.objects.exists()


def test_events_are_written_in_order_when_there_are_several() -> None:
    make_webhook("one", WebhookEvent.EMAIL_RETURNED)

    assert emit_many(WebhookEvent.EMAIL_RETURNED, [{"emailId": number} for number in range(3)]) == 3
    assert emit_many(WebhookEvent.EMAIL_RETURNED, []) == 0

    written = [delivery.payload["data"]["emailId"] for delivery in WebhookDelivery.objects.order_by("pk")]
    assert written == [0, 1, 2]


@pytest.mark.parametrize("text", ["a\0b", "half \ud83d pair", "\udcff from a raw byte", "x" * 100_000])
def test_event_is_written_when_its_text_cannot_be_stored_as_it_is(text: str) -> None:
    make_webhook("one", WebhookEvent.EMAIL_RETURNED)

    emit(WebhookEvent.EMAIL_RETURNED, {"text": text, "lines": [text], "at": timezone.now()})

    stored = WebhookDelivery.objects.get().payload["data"]
    assert len(stored["text"]) <= 2000
    assert stored["lines"] == [stored["text"]]


@pytest.mark.django_db(transaction=True)
def test_act_is_not_undone_when_its_webhook_is_deleted_at_the_same_time() -> None:
    """The event waits for the deletion, and finds the webhook gone. Without the wait, its commit would fail."""
    webhook = make_webhook("shop", WebhookEvent.UNSUBSCRIBED)
    is_deleted, may_commit = threading.Event(), threading.Event()

    def delete() -> None:
        with transaction.atomic():
            Webhook.objects.filter(pk=webhook.pk).delete()
            is_deleted.set()
            assert may_commit.wait(10)
        connection.close()

    def object_to_news() -> int:
        try:
            with transaction.atomic():
                return emit(WebhookEvent.UNSUBSCRIBED, {})
        finally:
            connection.close()

    with ThreadPoolExecutor(2) as threads:
        deleting = threads.submit(delete)
        assert is_deleted.wait(10)
        objecting = threads.submit(object_to_news)
        wait_for(_is_anybody_waiting)
        may_commit.set()
        deleting.result(10)
        assert objecting.result(10) == 0
    assert not WebhookDelivery.objects.exists()


def _is_anybody_waiting() -> bool:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT EXISTS (SELECT FROM pg_stat_activity "
            "WHERE datname = current_database() AND wait_event_type = 'Lock')"
        )
        [(is_waiting,)] = cursor.fetchall()
    return bool(is_waiting)
