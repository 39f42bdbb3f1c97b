"""A Webhook whose receiver runs on this machine, and its deliveries."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest
from django.conf import LazySettings
from django.utils import timezone

from batches.models import Webhook, WebhookDelivery, WebhookEvent
from batches.webhooks.signing import make_secret
from tests.integration.webhooks.receiver import Receiver, receiving

MakeWebhook = Callable[..., Webhook]


@pytest.fixture
def receiver(settings: LazySettings) -> Iterator[Receiver]:
    """A receiver that takes everything, on a host that is exempt."""
    settings.WEBHOOK_PRIVATE_HOSTS = ["127.0.0.1"]
    with receiving() as running:
        yield running


@pytest.fixture
def make_webhook(db: None) -> MakeWebhook:
    """``make_webhook(url)``: it wants every event, unless the test names some."""

    def make(url: str, *events: WebhookEvent, name: str = "") -> Webhook:
        return Webhook.objects.create(
            name=name or f"webhook {Webhook.objects.count()}",
            url=url,
            secret=make_secret(),
            events=list(events or WebhookEvent),
        )

    return make


def make_due(webhook: Webhook) -> None:
    """Let the waits of a Webhook and of its deliveries end now."""
    earlier = timezone.now() - timedelta(seconds=1)
    webhook.deliveries.exclude(next_attempt_at=None).update(next_attempt_at=earlier)
    Webhook.objects.filter(pk=webhook.pk, waits_until__isnull=False).update(waits_until=earlier)


def only_delivery() -> WebhookDelivery:
    return WebhookDelivery.objects.get()
