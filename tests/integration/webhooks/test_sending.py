"""``batches.webhooks.sending``: what is due is sent, signed, and attempted again until it has arrived."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from datetime import timedelta

import psycopg
import pytest
from django.conf import LazySettings, settings
from django.db import connection
from django.utils import timezone
from standardwebhooks import Webhook as Verifier
from standardwebhooks import WebhookVerificationError

from batches.jobs.run_lane import database_parameters
from batches.models import AuditEntry, Webhook, WebhookDelivery, WebhookEvent
from batches.webhooks import deliveries, posting, sending
from batches.webhooks.deliveries import RETRY_SECONDS
from batches.webhooks.events import emit, emit_many
from batches.webhooks.sending import ADVISORY_LOCK, send_due
from batches.webhooks.signing import add_secret
from tests.integration.webhooks.conftest import MakeWebhook, make_due, only_delivery
from tests.integration.webhooks.receiver import Got, Receiver, answer, receiving

ENDED = WebhookEvent.BATCH_ENDED


def verify(got: Got, secret: str) -> object:
    return Verifier(secret).verify(got.body, got.headers)


def test_message_is_signed_as_receivers_expect_when_it_is_sent(receiver: Receiver, make_webhook: MakeWebhook) -> None:
    webhook = make_webhook(receiver.url)
    emit(ENDED, {"batchId": 7, "name": "Zoë \u2028 </script> 日本"})

    report = send_due()

    assert (report.delivered, report.failed) == (1, 0)
    [got] = receiver.got
    assert verify(got, webhook.secret) == json.loads(got.body) == only_delivery().payload
    assert got.headers["webhook-id"] == only_delivery().message_id
    assert got.headers["content-type"] == "application/json"
    assert got.headers["user-agent"].startswith("emailbatch/")
    with pytest.raises(WebhookVerificationError):
        Verifier(webhook.secret).verify(got.body.replace(b"7", b"8"), got.headers)
    delivery = only_delivery()
    assert (delivery.status, delivery.error, delivery.attempts) == (200, "", 1)
    assert delivery.delivered_at and delivery.next_attempt_at is None


def test_old_secret_verifies_too_when_a_new_one_was_made(receiver: Receiver, make_webhook: MakeWebhook) -> None:
    webhook = make_webhook(receiver.url)
    before = webhook.secret
    Webhook.objects.update(secret=add_secret(before))
    emit(ENDED, {})

    send_due()

    webhook.refresh_from_db()
    [got] = receiver.got
    for secret in [before, *webhook.secret.split()]:
        verify(got, secret)


def test_same_message_is_sent_again_when_the_receiver_refused(receiver: Receiver, make_webhook: MakeWebhook) -> None:
    webhook = make_webhook(receiver.url)
    receiver.script = answer(400, body=b"not today")
    emit(ENDED, {"batchId": 7})

    for attempt, seconds in enumerate(RETRY_SECONDS, start=1):
        began_at = timezone.now()
        assert send_due().failed == 1
        assert send_due().failed == 0, "nothing is due before its time"
        delivery = only_delivery()
        assert (delivery.attempts, delivery.status, delivery.error) == (
            attempt,
            400,
            "The receiver answered 400: not today",
        )
        assert delivery.next_attempt_at is not None
        wait = (delivery.next_attempt_at - began_at).total_seconds()
        assert seconds <= wait <= 1.1 * seconds + 5
        make_due(webhook)
    assert send_due().failed == 1

    delivery = only_delivery()
    assert (delivery.attempts, delivery.next_attempt_at, delivery.delivered_at) == (9, None, None)
    assert len({got.headers["webhook-id"] for got in receiver.got}) == 1
    assert len({got.body for got in receiver.got}) == 1
    assert len({got.headers["webhook-timestamp"] for got in receiver.got}) >= 1


def test_receiver_is_obeyed_when_it_asks_for_a_longer_wait(receiver: Receiver, make_webhook: MakeWebhook) -> None:
    make_webhook(receiver.url)
    receiver.script = answer(429, "Retry-After: 3600")
    emit(ENDED, {})

    send_due()

    next_attempt_at = only_delivery().next_attempt_at
    assert next_attempt_at and next_attempt_at > timezone.now() + timedelta(minutes=59)
    emit(ENDED, {})
    send_due()
    assert len(receiver.got) == 1  # the other messages wait too


def test_one_message_finds_out_for_all_when_a_receiver_is_away(receiver: Receiver, make_webhook: MakeWebhook) -> None:
    webhook = make_webhook(receiver.url)
    receiver.script = answer(503)
    emit_many(ENDED, [{"batchId": number} for number in range(50)])

    send_due()
    assert len(receiver.got) == 10, "one round"
    make_due(webhook)
    send_due()
    assert len(receiver.got) == 11, "one message, and then the webhook waits again"
    webhook.refresh_from_db()
    assert webhook.failure_count == 2
    assert webhook.waits_until and webhook.waits_until > timezone.now() + timedelta(seconds=15)

    receiver.script = answer(200)
    make_due(webhook)
    assert send_due().delivered == 50
    recovered = Webhook.objects.get()
    assert recovered.failure_count == 0 and recovered.waits_until is None


def test_other_webhooks_are_served_when_one_receiver_does_not_answer(
    receiver: Receiver, make_webhook: MakeWebhook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(posting, "ATTEMPT_SECONDS", 2.0)

    def wait(connection: socket.socket, got: Got) -> None:
        receiver.stopping.wait(timeout=20)

    receiver.script = wait
    make_webhook(receiver.url, ENDED, name="slow")
    with receiving() as quick:
        make_webhook(quick.url, ENDED, name="quick")
        emit_many(ENDED, [{"batchId": number} for number in range(100)])
        began_at = time.monotonic()
        report = send_due()

    assert time.monotonic() - began_at < 6
    assert report.delivered == 100
    assert len(quick.got) == 100


def test_slow_receiver_rests_when_mail_waits_for_the_worker(
    receiver: Receiver, make_webhook: MakeWebhook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sending, "SLOW_SECONDS", 0.0)
    webhook = make_webhook(receiver.url)
    emit_many(ENDED, [{"batchId": number} for number in range(25)])

    assert send_due(is_over=lambda: bool(receiver.got)).delivered == 10
    webhook.refresh_from_db()
    assert webhook.waits_until and webhook.failure_count == 0
    assert not deliveries.has_due()

    make_due(webhook)
    assert send_due().delivered == 15, "nobody waits, so it does not rest"


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::ffff:7f00:1]", "2130706433", "0x7f.1", "127.1"])
def test_nothing_is_connected_to_when_the_address_is_private(
    receiver: Receiver, make_webhook: MakeWebhook, settings: LazySettings, host: str
) -> None:
    settings.WEBHOOK_PRIVATE_HOSTS = []
    make_webhook(f"https://{host}:{receiver.port}/")
    emit(ENDED, {})

    assert send_due().failed == 1
    assert "no public address" in only_delivery().error
    assert receiver.got == []


def test_webhook_is_disabled_when_its_receiver_says_gone(receiver: Receiver, make_webhook: MakeWebhook) -> None:
    webhook = make_webhook(receiver.url)
    receiver.script = answer(410)
    emit(ENDED, {})

    send_due()

    webhook.refresh_from_db()
    assert not webhook.is_enabled
    assert AuditEntry.objects.filter(target_id=str(webhook.pk), details__act="disable").exists()
    make_due(webhook)
    send_due()
    assert len(receiver.got) == 1, "nothing is sent to a disabled webhook"


@pytest.mark.parametrize("url", ["http://127.0.0.1/", "https://10.0.0.1/", "https://[::1]/", "ftp://x/", "nonsense"])
def test_reason_is_told_when_the_address_is_refused(
    settings: LazySettings, make_webhook: MakeWebhook, url: str
) -> None:
    settings.WEBHOOK_PRIVATE_HOSTS = []
    make_webhook(url)
    emit(ENDED, {})

    assert send_due().failed == 1
    assert only_delivery().error


def test_reason_is_told_when_the_secret_cannot_be_used(receiver: Receiver, make_webhook: MakeWebhook) -> None:
    webhook = make_webhook(receiver.url)
    Webhook.objects.filter(pk=webhook.pk).update(secret="whsec_x")
    emit(ENDED, {})

    send_due()

    assert "Make a new one" in only_delivery().error
    assert receiver.got == []


def test_nothing_is_sent_when_another_process_sends(receiver: Receiver, make_webhook: MakeWebhook) -> None:
    make_webhook(receiver.url)
    emit(ENDED, {})
    with psycopg.connect(**database_parameters(), autocommit=True) as other:
        other.execute("SELECT pg_advisory_lock(%s)", [ADVISORY_LOCK])
        assert send_due().was_busy
    assert receiver.got == []


def test_turn_ends_when_it_is_over(receiver: Receiver, make_webhook: MakeWebhook) -> None:
    make_webhook(receiver.url)
    emit_many(ENDED, [{"batchId": number} for number in range(30)])

    assert send_due(is_over=lambda: len(receiver.got) >= 10).delivered in (10, 20)
    assert deliveries.has_due()


def test_message_is_given_up_when_it_is_three_days_old(receiver: Receiver, make_webhook: MakeWebhook) -> None:
    make_webhook(receiver.url)
    emit_many(ENDED, [{"batchId": 1}, {"batchId": 2}])
    WebhookDelivery.objects.filter(payload__data__batchId=1).update(
        created_at=timezone.now() - timedelta(days=3, hours=1)
    )

    assert deliveries.give_up_old() == 1
    send_due()

    assert [json.loads(got.body)["data"]["batchId"] for got in receiver.got] == [2]
    assert "three days" in WebhookDelivery.objects.get(payload__data__batchId=1).error


def test_only_ended_messages_are_deleted_when_they_are_old(receiver: Receiver, make_webhook: MakeWebhook) -> None:
    make_webhook(receiver.url)
    emit_many(ENDED, [{"batchId": 1}, {"batchId": 2}])
    send_due()
    emit(ENDED, {"batchId": 3})
    assert deliveries.forget_old() == 0
    WebhookDelivery.objects.exclude(payload__data__batchId=2).update(created_at=timezone.now() - timedelta(days=15))

    assert deliveries.forget_old() == 1

    left = WebhookDelivery.objects.order_by("pk").values_list("payload__data__batchId", flat=True)
    assert list(left) == [2, 3]


SENDER = """
import django
django.setup()
from batches.webhooks.sending import send_due
send_due()
"""


@pytest.mark.django_db(transaction=True)
def test_message_is_sent_again_under_its_id_when_the_sender_was_killed_after_the_post(
    receiver: Receiver, make_webhook: MakeWebhook
) -> None:
    """kill -9 between the post and the record: the receiver has the message, and nobody knows it."""
    webhook = make_webhook(receiver.url)
    emit(ENDED, {"batchId": 7})
    name = connection.settings_dict["NAME"]
    sender: subprocess.Popen[bytes]

    def kill(connection: socket.socket, got: Got) -> None:
        sender.kill()
        sender.wait()

    receiver.script = kill
    environment = {
        "DJANGO_SETTINGS_MODULE": "emailbatch.settings",
        "SECRET_KEY": "only-for-the-test-run",
        "DATA_DIR": str(settings.DATA_DIR),
        "DATABASE_URL": settings.DATABASE_URL.replace("/emailbatch?", f"/{name}?"),
        "WEBHOOK_PRIVATE_HOSTS": "127.0.0.1",
    }
    sender = subprocess.Popen([sys.executable, "-c", SENDER], env=environment, cwd=settings.BASE_DIR)
    assert sender.wait(timeout=30) == -9
    [first] = receiver.got

    delivery = only_delivery()
    assert (delivery.attempts, delivery.delivered_at) == (1, None)
    assert delivery.next_attempt_at and delivery.next_attempt_at > timezone.now(), "the claim of the dead sender holds"
    assert send_due().delivered == 0

    receiver.script = answer(200)
    make_due(webhook)
    assert send_due().delivered == 1
    [_, second] = receiver.got
    assert second.headers["webhook-id"] == first.headers["webhook-id"]
    assert second.body == first.body
    assert only_delivery().delivered_at
