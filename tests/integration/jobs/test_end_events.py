"""What webhooks are told when a job has ended, and how the sweep has it sent."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest
from django.conf import LazySettings
from django.utils import timezone

from batches.jobs import creation, lifecycle, queues
from batches.jobs.run_lane import database_parameters
from batches.jobs.send_webhooks import send_in_turns, sweep_webhooks
from batches.jobs.sweep import sweep
from batches.models import Batch, EmailTemplate, JobKind, Webhook, WebhookDelivery, WebhookEvent
from batches.webhooks.sending import ADVISORY_LOCK
from batches.webhooks.signing import make_secret
from tests.integration.jobs.conftest import MakeBatch, SendAll
from tests.integration.jobs.whole_jobs import replay, run_to_end
from tests.integration.webhooks.receiver import receiving

FAILING = ["fail-550-ann@example.org", "fail-554-bob@example.org"]


def make_webhook(*events: WebhookEvent, url: str = "https://hooks.example.org/") -> Webhook:
    return Webhook.objects.create(name=url, url=url, secret=make_secret(), events=list(events or WebhookEvent))


def told(event: WebhookEvent, batch: Batch) -> list[dict[str, Any]]:
    """Return what was written down about a batch, the oldest first."""
    found = WebhookDelivery.objects.filter(event=event, payload__data__batchId=batch.pk).order_by("pk")
    return [delivery.payload["data"] for delivery in found]


def test_end_and_each_failed_email_are_told_when_a_job_has_ended(send_all: SendAll) -> None:
    make_webhook()
    batch = send_all(addresses=[*FAILING, "carl@example.org"])

    [ended] = told(WebhookEvent.BATCH_ENDED, batch)
    job = batch.jobs.get()
    assert ended == {
        "batchId": batch.pk,
        "jobId": job.pk,
        "kind": "first",
        "status": "completed",
        "totalEmails": 3,
        "sentCount": 1,
        "failedCount": 2,
        "unknownCount": 0,
        "suppressedCount": 0,
        "cancelledCount": 0,
    }
    failed = told(WebhookEvent.EMAIL_FAILED, batch)
    assert [each["address"] for each in failed] == FAILING
    assert [each["code"] for each in failed] == [550, 554]
    for each, email in zip(failed, batch.emails.order_by("row"), strict=False):
        assert (each["row"], each["line"], each["jobId"]) == (email.row, email.row, job.pk)
        assert (each["attempts"], each["reply"]) == (email.attempts, email.reply)
        assert email.completed_at is not None
        assert each["failedAt"].startswith(email.completed_at.strftime("%Y-%m-%dT%H:%M:%S."))
        assert each["failedAt"].endswith("Z")


def test_only_what_a_replay_failed_is_told_when_it_has_ended(send_all: SendAll) -> None:
    batch = send_all(addresses=[*FAILING, "carl@example.org"])
    assert not WebhookDelivery.objects.exists(), "there was no webhook"
    make_webhook()

    run_to_end(replay(batch, JobKind.FAILED))
    run_to_end(replay(batch, JobKind.ALL))

    assert [each["kind"] for each in told(WebhookEvent.BATCH_ENDED, batch)] == ["failed", "all"]
    assert [each["address"] for each in told(WebhookEvent.EMAIL_FAILED, batch)] == FAILING + FAILING


def test_end_is_told_once_when_it_is_looked_for_twice(send_all: SendAll) -> None:
    make_webhook()
    batch = send_all(2)

    assert not lifecycle.finish_job(batch.jobs.get().pk)
    assert len(told(WebhookEvent.BATCH_ENDED, batch)) == 1


def test_end_is_told_when_a_batch_is_cancelled(make_batch: MakeBatch, template: EmailTemplate) -> None:
    make_webhook(WebhookEvent.BATCH_ENDED)
    batch = make_batch(3)
    creation.create_job(batch, template=template, user=None)

    lifecycle.cancel_batch(batch)

    [ended] = told(WebhookEvent.BATCH_ENDED, batch)
    assert (ended["status"], ended["cancelledCount"]) == ("cancelled", 3)


@pytest.fixture
def _exempt(settings: LazySettings) -> None:
    settings.WEBHOOK_PRIVATE_HOSTS = ["127.0.0.1"]


@pytest.mark.usefixtures("_exempt")
def test_message_arrives_when_the_sweep_and_a_worker_have_run(send_all: SendAll) -> None:
    with receiving() as receiver:
        make_webhook(WebhookEvent.BATCH_ENDED, url=receiver.url)
        send_all(2)
        queues.client().flushall()
        sweep()
        waiting = queues.waiting_item_ids()
        assert sorted(item_id.partition("-")[0] for item_id in waiting) == ["people", "webhooks"]
        sweep()
        assert queues.waiting_item_ids() == waiting, "one is enough"

        assert send_in_turns(turn=1) == "1 delivered, 0 failed"

    assert len(receiver.got) == 1
    queues.client().flushall()
    assert not sweep_webhooks(), "nothing is due"
    assert not queues.waiting_item_ids()


def test_no_sender_is_enqueued_when_one_is_at_work(transactional_db: None) -> None:
    webhook = make_webhook()
    webhook.deliveries.create(event=WebhookEvent.TEST, message_id="msg_1", payload={}, next_attempt_at=timezone.now())
    with psycopg.connect(**database_parameters(), autocommit=True) as other:
        other.execute("SELECT pg_advisory_lock(%s)", [ADVISORY_LOCK])
        assert not sweep_webhooks()
        assert send_in_turns(turn=1) == "another process sends"
    assert not queues.waiting_item_ids()
    assert sweep_webhooks()
