"""What each event holds is what docs/webhooks.md says, and the same act is told once."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.conf import LazySettings
from django.utils import timezone

from batches.jobs.end_events import emit_end
from batches.models import (
    NEWS_TOPIC,
    Batch,
    BatchStatus,
    JobStatus,
    Lane,
    ReturnClass,
    ReturnKind,
    Topic,
    Webhook,
    WebhookDelivery,
    WebhookEvent,
    sql,
)
from batches.return_paths import ReturnPathMaker, derive_key
from batches.returns.events import ReturnEvent
from batches.returns.recording import record_events
from batches.suppressions import find_digest, read_key
from batches.unsubscribe_tokens import UnsubscribeToken
from batches.unsubscribing import unsubscribe
from batches.webhooks.events import emit_test
from tests.conftest import MakeBatch, MakeJob
from tests.integration.webhooks.conftest import MakeWebhook
from tests.project_files import PROJECT_DIR

pytestmark = pytest.mark.django_db

ADDRESS = "person2@example.org"


def documented(event: WebhookEvent) -> set[str]:
    """Return the names in the data of an event, as the page lists them. Brackets hold values and are left out."""
    page = (PROJECT_DIR / "docs" / "webhooks.md").read_text()
    row = re.search(rf'^\| `"{re.escape(event)}"` \|[^|]+\|(.+)\|$', page, re.MULTILINE)
    assert row is not None, f"docs/webhooks.md does not name {event}"
    return set(re.findall(r"`(\w+)`", re.sub(r"\([^)]*\)", "", row[1])))


def told(event: WebhookEvent) -> list[dict[str, Any]]:
    return [delivery.payload["data"] for delivery in WebhookDelivery.objects.filter(event=event).order_by("pk")]


@pytest.fixture
def webhook(make_webhook: MakeWebhook) -> Webhook:
    return make_webhook("https://hooks.example.org/")


@pytest.fixture
def batch(make_batch: MakeBatch) -> Batch:
    made = make_batch(BatchStatus.COMPLETED, sent=1)
    made.emails.update(address_digest=find_digest(ADDRESS))
    return made


@pytest.mark.usefixtures("webhook")
def test_bounce_is_told_once_when_it_comes_twice(batch: Batch, settings: LazySettings) -> None:
    settings.BOUNCE_ADDRESS = "bounce@news.example.org"
    email = batch.emails.get()
    maker = ReturnPathMaker(settings.BOUNCE_ADDRESS, key=derive_key(read_key()))
    event = ReturnEvent(
        kind=ReturnKind.BOUNCED,
        return_class=ReturnClass.GONE,
        door="lmtp",
        key="one",
        return_path=maker.make(email.pk, email.address),
        recipient=email.address,
        status_code="5.1.1",
        text="550 5.1.1 user unknown",
    )
    record_events([event])
    record_events([event, event])

    [data] = told(WebhookEvent.EMAIL_RETURNED)
    assert set(data) == documented(WebhookEvent.EMAIL_RETURNED)
    assert (data["batchId"], data["address"], data["returnClass"]) == (batch.pk, email.address, "gone")


@pytest.mark.usefixtures("webhook")
def test_nobody_is_named_when_a_bounce_comes_after_the_purge(batch: Batch, settings: LazySettings) -> None:
    settings.BOUNCE_ADDRESS = "bounce@news.example.org"
    email = batch.emails.get()
    path = ReturnPathMaker(settings.BOUNCE_ADDRESS, key=derive_key(read_key())).make(email.pk, email.address)
    batch.emails.update(address="", address_digest=None)
    event = ReturnEvent(
        kind=ReturnKind.BOUNCED,
        return_class=ReturnClass.GONE,
        door="lmtp",
        key="late",
        return_path=path,
        recipient=email.address,
        text=f"550 5.1.1 {email.address}: user unknown",
    )
    record_events([event])

    [data] = told(WebhookEvent.EMAIL_RETURNED)
    assert (data["address"], data["text"], data["row"]) == (None, "", email.row)


@pytest.mark.usefixtures("webhook", "batch")
def test_objection_is_told_once_when_it_comes_twice() -> None:
    digest = find_digest(ADDRESS)
    token = UnsubscribeToken(topic_id=Topic.objects.get(key=NEWS_TOPIC).pk, digest=bytes(digest))
    unsubscribe(token, source="page")
    unsubscribe(token, source="page")

    [data] = told(WebhookEvent.UNSUBSCRIBED)
    assert set(data) == documented(WebhookEvent.UNSUBSCRIBED)
    assert data["topic"] == NEWS_TOPIC


@pytest.mark.usefixtures("webhook")
def test_end_is_told_as_the_page_says(make_batch: MakeBatch, make_job: MakeJob) -> None:
    batch = make_batch(BatchStatus.PROCESSING, failed=1)
    job = make_job(batch, JobStatus.PROCESSING)
    lane = Lane.objects.create(job=job, number=0)
    batch.emails.update(lane=lane, completed_at=timezone.now(), code=550, reply="550 no")

    emit_end(job, status=BatchStatus.FAILED, counts=sql.BatchCounts(*range(9)), lane_ids=[lane.pk])

    [ended], [failed] = told(WebhookEvent.BATCH_ENDED), told(WebhookEvent.EMAIL_FAILED)
    assert set(ended) == documented(WebhookEvent.BATCH_ENDED)
    assert set(failed) == documented(WebhookEvent.EMAIL_FAILED)


def test_test_is_told_as_the_page_says(webhook: Webhook) -> None:
    emit_test(webhook)
    [data] = told(WebhookEvent.TEST)
    assert set(data) == documented(WebhookEvent.TEST)
