"""What email providers post to ``/hooks/``, as their documentation shows it."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from typing import Any

import pytest
from anymail.signals import AnymailTrackingEvent
from django.test import Client
from pytest_django.fixtures import Settings

from batches.models import ReturnClass, ReturnKind, WaitingReturn
from batches.returns.doors import webhooks
from batches.returns.events import ReturnEvent

pytestmark = pytest.mark.filterwarnings("ignore:django-anymail has dropped official support for SendGrid")

SECRET = "provider:a-long-and-random-password"
OTHER_SECRET = "old-one:another-long-and-random-password"
SIGNED_IN = {"Authorization": "Basic " + base64.b64encode(SECRET.encode()).decode()}
MAILGUN_KEY = "key-of-mailgun"

POSTMARK = {
    "RecordType": "Bounce",
    "ID": 42,
    "Type": "HardBounce",
    "TypeCode": 1,
    "MessageID": "aaaa-bbbb",
    "Email": "x@example.org",
    "BouncedAt": "2026-01-01T00:00:00Z",
    "Details": "smtp;550 5.1.1 no such user",
}
BREVO = {
    "event": "hard_bounce",
    "email": "x@example.org",
    "ts_epoch": 1700000000000,
    "message-id": "<def@site.example>",
    "reason": "unable to deliver",
}
SENDGRID = {
    "event": "bounce",
    "email": "x@example.org",
    "timestamp": 1700000000,
    "smtp-id": "<abc@site.example>",
    "sg_event_id": "e1",
    "reason": "552 5.2.2 The mailbox is full",
    "status": "5.2.2",
    "type": "bounce",
}
MAILJET = {
    "event": "bounce",
    "email": "x@example.org",
    "time": 1700000000,
    "MessageID": 7,
    "hard_bounce": True,
    "error": "mailbox inactive",
    "error_related_to": "recipient",
}
SPARKPOST = {
    "msys": {
        "message_event": {
            "type": "bounce",
            "event_id": "92356927693813856",
            "bounce_class": "22",
            "raw_rcpt_to": "x@example.org",
            "timestamp": "1454442600",
            "transmission_id": "65832150921904138",
        }
    }
}


@pytest.fixture(autouse=True)
def hooks(settings: Settings) -> None:
    settings.WEBHOOK_SECRETS = [OTHER_SECRET, SECRET]
    settings.ANYMAIL = {"WEBHOOK_SECRET": settings.WEBHOOK_SECRETS, "MAILGUN_WEBHOOK_SIGNING_KEY": MAILGUN_KEY}


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch) -> list[ReturnEvent]:
    """What the door hands on, in place of recording it."""
    events: list[ReturnEvent] = []
    monkeypatch.setattr(webhooks, "record_events", events.extend)
    return events


def post(provider: str, body: Any, headers: dict[str, str] | None = None) -> int:
    address = f"/hooks/{provider}/tracking/"
    given = SIGNED_IN if headers is None else headers
    response = Client().post(address, json.dumps(body), content_type="application/json", headers=given)
    return response.status_code


def mailgun(event: dict[str, Any], *, key: str = MAILGUN_KEY) -> dict[str, Any]:
    signature = hmac.new(key.encode(), b"1700000000token", hashlib.sha256).hexdigest()
    return {
        "signature": {"timestamp": "1700000000", "token": "token", "signature": signature},
        "event-data": {
            "recipient": "x@example.org",
            "timestamp": 1700000000,
            "message": {"headers": {"message-id": "abc@site.example"}},
            **event,
        },
    }


@pytest.mark.parametrize(
    ("provider", "body", "kind", "return_class", "message_id"),
    [
        ("postmark", POSTMARK, ReturnKind.BOUNCED, ReturnClass.GONE, ""),
        (
            "postmark",
            {**POSTMARK, "Type": "SoftBounce", "Details": ""},
            ReturnKind.BOUNCED,
            ReturnClass.PASSING,
            "",
        ),
        (
            "postmark",
            {**POSTMARK, "RecordType": "SpamComplaint", "Type": "SpamComplaint"},
            ReturnKind.COMPLAINED,
            ReturnClass.OTHER,
            "",
        ),
        ("postmark", {**POSTMARK, "Type": "AutoResponder"}, ReturnKind.AUTO_REPLY, ReturnClass.OTHER, ""),
        ("brevo", BREVO, ReturnKind.BOUNCED, ReturnClass.GONE, "<def@site.example>"),
        ("brevo", {**BREVO, "event": "soft_bounce"}, ReturnKind.BOUNCED, ReturnClass.PASSING, "<def@site.example>"),
        ("brevo", {**BREVO, "event": "spam"}, ReturnKind.COMPLAINED, ReturnClass.OTHER, "<def@site.example>"),
        ("sendgrid", [SENDGRID], ReturnKind.BOUNCED, ReturnClass.FULL, "<abc@site.example>"),
        ("mailjet", MAILJET, ReturnKind.BOUNCED, ReturnClass.GONE, ""),
        ("mailjet", {**MAILJET, "hard_bounce": False, "error": "quota"}, ReturnKind.BOUNCED, ReturnClass.PASSING, ""),
        ("sparkpost", [SPARKPOST], ReturnKind.BOUNCED, ReturnClass.FULL, ""),
        (
            "mailgun",
            mailgun({"event": "failed", "severity": "permanent", "reason": "bounce"}),
            ReturnKind.BOUNCED,
            ReturnClass.GONE,
            "<abc@site.example>",
        ),
        ("mailgun", mailgun({"event": "complained"}), ReturnKind.COMPLAINED, ReturnClass.OTHER, "<abc@site.example>"),
        *(
            (
                "mailgun",
                mailgun({"event": "failed", "severity": "permanent", "reason": reason}),
                ReturnKind.BOUNCED,
                return_class,
                "<abc@site.example>",
            )
            for reason, return_class in (
                ("suppress-unsubscribe", ReturnClass.BLOCKED),
                ("espblock", ReturnClass.BLOCKED),
                ("old", ReturnClass.PASSING),
            )
        ),
        (
            "sendgrid",
            [{**SENDGRID, "event": "dropped", "status": "", "type": "Unsubscribed Address"}],
            ReturnKind.BOUNCED,
            ReturnClass.BLOCKED,
            "<abc@site.example>",
        ),
    ],
)
def test_event_is_read_as_the_provider_means_it(
    recorded: list[ReturnEvent],
    provider: str,
    body: Any,
    kind: ReturnKind,
    return_class: ReturnClass,
    message_id: str,
) -> None:
    assert post(provider, body) == 200
    [event] = recorded
    assert (event.kind, event.return_class, event.message_id) == (kind, return_class, message_id)
    assert (event.recipient, event.door) == ("x@example.org", f"webhook {provider}")


@pytest.mark.parametrize(
    ("provider", "body"),
    [
        ("postmark", {"RecordType": "Delivery", "Recipient": "x@example.org", "MessageID": "aaaa"}),
        ("postmark", {"RecordType": "Open", "Recipient": "x@example.org", "MessageID": "aaaa"}),
        ("brevo", {**BREVO, "event": "click"}),
        ("brevo", {**BREVO, "event": "deferred"}),
        ("mailgun", mailgun({"event": "failed", "severity": "temporary"})),
        ("sendgrid", []),
    ],
)
def test_what_says_nothing_about_a_return_is_not_recorded(
    recorded: list[ReturnEvent], provider: str, body: Any
) -> None:
    assert post(provider, body) == 200
    assert recorded == []


def test_events_of_one_request_are_recorded_together(recorded: list[ReturnEvent]) -> None:
    assert post("sendgrid", [{**SENDGRID, "sg_event_id": f"e{number}"} for number in range(500)]) == 200
    assert len({event.key for event in recorded}) == 500


def test_keys_differ_where_one_event_is_about_two_recipients() -> None:
    """As with Amazon SES, which posts one notification about all recipients of a message."""
    bounce = {"bounce": {"bounceType": "Permanent", "bounceSubType": "General"}}
    made = [
        webhooks.make_event(
            AnymailTrackingEvent(event_type="bounced", event_id="m1", recipient=recipient, esp_event=bounce),
            "amazon_ses",
        )
        for recipient in ("x@example.org", "y@example.org")
    ]
    assert [event.return_class for event in made if event] == [ReturnClass.GONE] * 2
    assert len({event.key for event in made if event}) == 2


def test_sentence_names_the_package_that_a_provider_needs() -> None:
    headers = {**SIGNED_IN, "X-Amz-Sns-Message-Type": "Notification", "X-Amz-Sns-Message-Id": "m1"}
    response = Client().post("/hooks/amazon_ses/tracking/", "{}", content_type="application/json", headers=headers)
    assert (response.status_code, b"boto3" in response.content) == (400, True)


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Basic bm90Om91cnM="}, {"Authorization": "Bearer x"}])
@pytest.mark.parametrize("provider", sorted(webhooks.TRACKING))
def test_request_is_refused_without_the_secret(
    recorded: list[ReturnEvent], provider: str, headers: dict[str, str]
) -> None:
    assert post(provider, POSTMARK, headers) == 401
    assert recorded == []


def test_older_secret_stays_valid(recorded: list[ReturnEvent]) -> None:
    old = {"Authorization": "Basic " + base64.b64encode(OTHER_SECRET.encode()).decode()}
    assert post("postmark", POSTMARK, old) == 200
    assert len(recorded) == 1


def test_request_is_refused_with_a_wrong_signature(recorded: list[ReturnEvent]) -> None:
    assert post("mailgun", mailgun({"event": "complained"}, key="another")) == 400
    assert recorded == []


@pytest.mark.parametrize("provider", sorted(webhooks.TRACKING))
@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"[1]", b"{}", b'"x"', b"null", b"\xff", b'{"event": 1}'])
def test_nonsense_is_refused_or_says_nothing(recorded: list[ReturnEvent], provider: str, body: bytes) -> None:
    response = Client().post(f"/hooks/{provider}/tracking/", body, content_type="application/json", headers=SIGNED_IN)
    assert response.status_code in (200, 400)
    assert recorded == []


def test_address_exists_only_with_a_secret_and_a_known_provider(settings: Settings) -> None:
    assert post("elsewhere", POSTMARK) == 404
    assert Client().get("/hooks/postmark/tracking/").status_code == 405
    assert Client().head("/hooks/postmark/tracking/", headers=SIGNED_IN).status_code == 200
    assert Client().post("/hooks/postmark/inbound/").status_code == 404
    settings.WEBHOOK_SECRETS = []
    assert post("postmark", POSTMARK) == 404


@pytest.mark.django_db
def test_same_event_counts_once() -> None:
    for _ in range(2):
        assert post("postmark", POSTMARK) == 200
    assert post("brevo", BREVO) == 200
    assert post("brevo", BREVO) == 200
    assert WaitingReturn.objects.count() == 2
