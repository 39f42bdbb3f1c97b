"""An export shows the messages of webhooks about a person, an erasure masks them, and a purge deletes them."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from django.utils import timezone

from batches.models import WebhookDelivery, WebhookEvent
from batches.people.erasing import erase_person
from batches.people.exporting import export_person
from batches.people.purging import purge
from batches.people.spelling import Spelling
from batches.webhooks.events import emit, emit_many
from batches.webhooks.sending import send_due
from tests.integration.webhooks.conftest import MakeWebhook
from tests.integration.webhooks.receiver import Receiver

ADDRESS = "zoë.o'neil+x@example.org"


def emit_two() -> None:
    events = [{"address": ADDRESS, "reply": f"550 no such user <{ADDRESS.upper()}>"}, {"address": "bo@example.org"}]
    emit_many(WebhookEvent.EMAIL_FAILED, events)


@pytest.mark.django_db(transaction=True)
def test_person_is_masked_when_erased_before_a_message_was_sent(receiver: Receiver, make_webhook: MakeWebhook) -> None:
    make_webhook(receiver.url)
    emit_two()
    spelling = Spelling.read(ADDRESS)
    mentions = export_person(spelling)["mentions"]
    assert "batches_webhookdelivery" in {mention["table"] for mention in mentions}
    assert "bo@example.org" not in str(mentions)

    erase_person(spelling)

    assert not any(mention["table"] == "batches_webhookdelivery" for mention in export_person(spelling)["mentions"])
    assert send_due().delivered == 2
    sent = [json.loads(got.body)["data"] for got in receiver.got]
    assert sorted(each["address"] for each in sent) == ["***", "bo@example.org"]
    assert "neil" not in str(sent).lower()


@pytest.mark.django_db(transaction=True)
def test_ended_messages_are_deleted_when_they_are_purged(receiver: Receiver, make_webhook: MakeWebhook) -> None:
    make_webhook(receiver.url)
    emit(WebhookEvent.EMAIL_FAILED, {"address": ADDRESS})
    send_due()
    emit(WebhookEvent.EMAIL_FAILED, {"address": "waits@example.org"})
    WebhookDelivery.objects.update(created_at=timezone.now() - timedelta(days=2))

    purged = purge(1)

    assert purged.counts["webhook messages"] == 1
    assert WebhookDelivery.objects.get().payload["data"]["address"] == "waits@example.org"
