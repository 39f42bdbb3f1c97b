"""The door for providers' webhooks: what a provider posts about a message, as django-anymail reads it.

The events of one request enter, and are committed before the provider gets its 200. A provider that posts twice, or
posts before the ledger cycle has recorded the send, changes nothing: see ``recording``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from anymail.exceptions import AnymailError
from anymail.signals import AnymailTrackingEvent, EventType, RejectReason
from anymail.urls import urlpatterns
from anymail.utils import get_request_basic_auth
from django.core.exceptions import ImproperlyConfigured, SuspiciousOperation
from django.http import HttpRequest, HttpResponse
from django.utils.crypto import constant_time_compare

from batches.models import ReturnClass, ReturnKind
from batches.returns.classes import classify
from batches.returns.events import ReturnEvent, make_key
from batches.returns.recording import record_events

TEXT_MAX_CHARS = 1000

_KINDS = {
    EventType.BOUNCED: ReturnKind.BOUNCED,
    EventType.REJECTED: ReturnKind.BOUNCED,
    EventType.FAILED: ReturnKind.BOUNCED,
    EventType.COMPLAINED: ReturnKind.COMPLAINED,
    EventType.AUTORESPONDED: ReturnKind.AUTO_REPLY,
}
"""What counts. All other events, such as delivered, deferred, opened and clicked, say nothing that is kept."""

_REASONS = {
    RejectReason.INVALID: ReturnClass.GONE,
    RejectReason.TIMED_OUT: ReturnClass.PASSING,
    RejectReason.BLOCKED: ReturnClass.BLOCKED,
    # The provider's own lists. A complaint has an event of its own, and who left at the provider may get service mail.
    RejectReason.SPAM: ReturnClass.BLOCKED,
    RejectReason.UNSUBSCRIBED: ReturnClass.BLOCKED,
}
"""Anymail's reasons that say a class by themselves. ``bounced`` is soft and hard alike."""

_MAILGUN_REASONS = {
    "suppress-unsubscribe": ReturnClass.BLOCKED,
    "suppress-complaint": ReturnClass.BLOCKED,
    "espblock": ReturnClass.BLOCKED,
    "old": ReturnClass.PASSING,
}
"""Of its failures that it calls permanent, those that do not say that an address is gone."""

_HARD = re.compile(r"\bhard.?bounce|\bpermanent", re.IGNORECASE)
_SOFT = re.compile(r"\bsoft.?bounce|\btransient|\btemporary", re.IGNORECASE)
_HARDNESS_FIELDS = ("Type", "event", "severity", "bounceType")
"""Where Postmark, Brevo, Mailgun and Amazon SES say in words whether an address is gone for good."""

_SPARKPOST_CLASSES = {"20": ReturnClass.PASSING, "21": ReturnClass.PASSING, "22": ReturnClass.FULL}
_SPARKPOST_CLASSES |= {"70": ReturnClass.PASSING, "30": ReturnClass.GONE, "52": ReturnClass.CONTENT}
"""The numbers of SparkPost that its reasons do not tell apart."""

_STATUS = re.compile(r"\b[245]\.\d{1,3}\.\d{1,3}\b")

_FORMER_NAME = "sendinblue"  # of Brevo

TRACKING = {
    str(pattern.pattern).split("/")[0]: pattern.callback.view_class
    for pattern in urlpatterns
    if str(pattern.pattern).endswith("/tracking/") and not str(pattern.pattern).startswith(_FORMER_NAME)
}
"""Anymail's views for events, by the provider's part of the address. Its views for incoming mail are not offered."""


class _Collector:
    """Takes the place of Anymail's signal during one request, so that its events are recorded in one transaction."""

    def __init__(self) -> None:
        self.events: list[AnymailTrackingEvent] = []

    def send(self, *, sender: type, event: AnymailTrackingEvent, esp_name: str) -> None:
        self.events.append(event)


class HookRefused(Exception):
    """A request can't be read. The message says what to correct at the provider, or here."""


def is_signed_in(request: HttpRequest, secrets: Sequence[str]) -> bool:
    """Whether a request has one of the secrets, each ``user:password``, by HTTP basic authentication (RFC 7617)."""
    given = get_request_basic_auth(request) or ""
    return any(constant_time_compare(given, secret) for secret in secrets)


def take_in(request: HttpRequest, provider: str) -> HttpResponse:
    """Answer one request of a provider, after its events are committed.

    Raises:
        HookRefused: the signature is wrong, or the provider has sent something else than events.
    """
    collector = _Collector()
    try:
        response: HttpResponse = TRACKING[provider].as_view(signal=collector)(request)
        events = [made for event in collector.events if (made := make_event(event, provider)) is not None]
    except SuspiciousOperation as exc:
        raise HookRefused(f"The signature of the request is missing or wrong ({type(exc).__name__}).") from exc
    except (AnymailError, ImproperlyConfigured, ImportError) as exc:
        # Its first line says which setting or package is missing. The rest may quote the request.
        raise HookRefused(str(exc).strip().partition("\n")[0][:300]) from exc
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as exc:
        raise HookRefused("The request has not the form of this provider's events.") from exc
    if response.status_code == HTTPStatus.OK and events:
        record_events(events)
    return response


def make_event(event: AnymailTrackingEvent, provider: str) -> ReturnEvent | None:
    """Make a ReturnEvent of what Anymail has read. None: it says nothing that is kept."""
    kind = _KINDS.get(event.event_type)
    if kind is None or not (event.recipient or event.message_id):
        return None
    text = _one_line(event.mta_response or event.description or "")
    found = _STATUS.search(str(event.mta_response or "")) or _STATUS.search(str(_field(event, "status") or ""))
    status = found[0] if found else ""
    when = event.timestamp.isoformat() if event.timestamp else ""
    # Some providers give one id to an event about several recipients, and some give none.
    identity = str(event.event_id) if event.event_id else f"{when} {event.message_id}"
    return ReturnEvent(
        kind=kind,
        return_class=_classify(event, status, text) if kind is ReturnKind.BOUNCED else ReturnClass.OTHER,
        door=f"webhook {provider}",
        key=make_key("webhook", provider, event.event_type, identity, str(event.recipient or "")),
        message_id=_as_message_id(event.message_id),
        recipient=_one_line(event.recipient or ""),
        status_code=status,
        text=text,
        happened_at=event.timestamp,
    )


def _classify(event: AnymailTrackingEvent, status: str, text: str) -> ReturnClass:
    """Read the class from the receiver's own words. Where they say nothing, the provider's judgement is taken."""
    found = classify(status, text)
    if found is not ReturnClass.OTHER:
        return found
    if (reason := _REASONS.get(event.reject_reason)) is not None:
        return reason
    return _MAILGUN_REASONS.get(str(_field(event, "reason"))) or _read_hardness(event)


def _read_hardness(event: AnymailTrackingEvent) -> ReturnClass:
    """Read whether the provider calls the address gone for good, or the failure passing."""
    words = " ".join(str(_field(event, name) or "") for name in _HARDNESS_FIELDS)
    is_hard = _field(event, "hard_bounce")  # of Mailjet
    if _SOFT.search(words) or is_hard is False:
        return ReturnClass.PASSING
    if _HARD.search(words) or is_hard is True:
        return ReturnClass.GONE
    return _SPARKPOST_CLASSES.get(str(_field(event, "bounce_class")), ReturnClass.OTHER)


def _field(event: AnymailTrackingEvent, name: str) -> Any:
    """Return a field of what the provider posted. Mailgun, Amazon SES and SparkPost have theirs deeper."""
    raw = event.esp_event
    if not isinstance(raw, Mapping):
        return None
    inner = raw.get("msys")
    for part in (
        raw,
        raw.get("event-data"),
        raw.get("bounce"),
        *(inner.values() if isinstance(inner, Mapping) else ()),
    ):
        if isinstance(part, Mapping) and part.get(name) is not None:
            return part[name]
    return None


def _as_message_id(text: str | None) -> str:
    """Return a Message-ID with its brackets, or nothing: some providers name an id of their own there."""
    text = _one_line(text or "")
    if "@" not in text:
        return ""
    return text if text.startswith("<") else f"<{text}>"


def _one_line(text: str) -> str:
    return " ".join(str(text).replace("\0", " ").split())[:TEXT_MAX_CHARS]
