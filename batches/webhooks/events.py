"""Write down an event for every Webhook that wants it. An event enters, rows of WebhookDelivery leave.

Nothing is sent here. The rows belong to the transaction of the caller: they are there if its act is, and only then.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from django.core.serializers.json import DjangoJSONEncoder
from django.db.models.functions import Now
from django.utils import timezone

from batches.models import Webhook, WebhookDelivery, WebhookEvent
from batches.webhooks import sql

TEXT_MAX_CHARS = 2000
"""The longest text of an event, such as a relay's reply. The rest is cut off."""


def is_wanted(event: WebhookEvent) -> bool:
    """Whether any enabled Webhook wants an event. For a caller whose data is not at hand: ``emit`` looks by itself."""
    return Webhook.objects.filter(is_enabled=True, events__contains=[event.value]).exists()


def emit(event: WebhookEvent, data: Mapping[str, Any]) -> int:
    """Write down one event in the caller's transaction. Returns how many Webhooks want it.

    Costs one statement, and writes nothing if no Webhook wants it.

    Args:
        data: what JSON can hold, and times. The keys are those of the API, in camelCase. Ids only: an address belongs
            to an event only if it is about that address (docs/privacy.md).
    """
    return emit_many(event, [data])


def emit_many(event: WebhookEvent, data: Sequence[Mapping[str, Any]]) -> int:
    """Write down several events of one kind in the caller's transaction, in one statement. Returns how many rows."""
    if not data:
        return 0
    values = {
        "event": event.value,
        "timestamp": DjangoJSONEncoder().default(timezone.now()),
        "data": [json.dumps(_make_storable(each), cls=DjangoJSONEncoder) for each in data],
    }
    return sql.execute(sql.EMIT, values)


def emit_test(webhook: Webhook) -> None:
    """Write down a test for one Webhook, whatever events it wants."""
    WebhookDelivery.objects.create(
        webhook=webhook,
        event=WebhookEvent.TEST,
        message_id=f"msg_{uuid.uuid4().hex}",
        payload={
            "type": WebhookEvent.TEST.value,
            "timestamp": DjangoJSONEncoder().default(timezone.now()),
            "data": {"webhook": webhook.name},
        },
        next_attempt_at=Now(),
    )


def emit_failed_emails(*, batch_id: int, job_id: int, lane_ids: Sequence[int]) -> int:
    """Write down the emails that one ended job has failed, in one statement. Returns how many rows were written.

    It reads the batch's emails only if a Webhook wants to know.
    """
    if not is_wanted(WebhookEvent.EMAIL_FAILED):
        return 0
    values = {
        "event": WebhookEvent.EMAIL_FAILED.value,
        "timestamp": DjangoJSONEncoder().default(timezone.now()),
        "batch": batch_id,
        "job": job_id,
        "lanes": list(lane_ids),
        "text_max": TEXT_MAX_CHARS,
    }
    return sql.execute(sql.EMIT_FAILED, values)


def _make_storable(value: Any) -> Any:
    """Return a value that PostgreSQL can keep as JSON: without NUL, and without half a surrogate pair.

    The act itself must not fail because a receiver's mail server wrote nonsense into its report.
    """
    if isinstance(value, str):
        return value[:TEXT_MAX_CHARS].replace("\0", "").encode("utf-8", "replace").decode()
    if isinstance(value, Mapping):
        return {str(name): _make_storable(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_make_storable(each) for each in value]
    return value
