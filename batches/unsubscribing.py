"""Let a recipient object to news, and take the objection back.

An unsubscribe token enters: it names a Topic, and an address by its digest. Rows of the suppression list leave, with
the reason ``UNSUBSCRIBED``. Nothing else is needed, no batch, no Email and no address. So a link works years later, and
after a purge. Rows with another reason are never touched: a recipient does not undo what a person here decided.

Every function may be called twice, and by many at once. Each that changes something is one transaction, with an entry
of the audit that has the digest in place of the address.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from batches import audit
from batches.models import (
    AuditAction,
    Batch,
    Email,
    SuppressionList,
    SuppressionReason,
    Topic,
    TopicKind,
    WebhookEvent,
)
from batches.suppressions import lift_digest, list_of, suppress_digests
from batches.unsubscribe_tokens import UnsubscribeToken
from batches.webhooks import events

ALL_NEWS = "all"
"""What the audit names in place of the key of a topic."""

OBJECTIONS = frozenset({SuppressionReason.UNSUBSCRIBED})
"""The only reason that a recipient can take back."""


SEARCHED_ROWS = 500_000
SEARCHED_BATCHES = 500
"""How many of the newest emails are searched for an address that a webhook wants to know. There is no index for it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Choice:
    """One topic of news, and whether the recipient gets it."""

    topic: Topic
    is_wanted: bool
    """The recipient has not objected to it, nor to all news."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Preferences:
    """What one recipient gets."""

    topic: Topic | None
    """The topic of the token. None: it was deleted, or it is not news any more, so the token is about all news."""
    choices: list[Choice]
    """Every topic of news, in the order of their names."""
    is_stopped: bool
    """Something other than an objection keeps the mail from the address, such as mail that came back."""

    @property
    def is_wanted(self) -> bool:
        """Whether the recipient gets the topic of the token or, without one, any news."""
        return any(choice.is_wanted for choice in self.choices if self.topic is None or choice.topic == self.topic)

    @property
    def wanted_ids(self) -> list[int]:
        return [choice.topic.pk for choice in self.choices if choice.is_wanted]


def read_preferences(token: UnsubscribeToken) -> Preferences:
    """Read what the address of a token gets. Changes nothing."""
    in_force = list_of(token.digest).filter(Q(ends_at=None) | Q(ends_at__gt=timezone.now()))
    rows = list(in_force.values_list("reason", "topic_id"))
    refused = {topic_id for reason, topic_id in rows if reason in OBJECTIONS}
    topics = list(_find_news())
    return Preferences(
        topic=next((topic for topic in topics if topic.pk == token.topic_id), None),
        choices=[Choice(topic=topic, is_wanted=refused.isdisjoint({None, topic.pk})) for topic in topics],
        is_stopped=any(reason not in OBJECTIONS and topic_id in (None, token.topic_id) for reason, topic_id in rows),
    )


def unsubscribe(token: UnsubscribeToken, *, source: str, everything: bool = False) -> bool:
    """Keep the topic of a token from its address. Returns whether the address had not objected to it before.

    If the topic was deleted, or is not news any more, the objection is to all news: the recipient wants less mail, and
    not none of something that does not exist.

    Args:
        source: the door, such as ``page`` or ``mail``. The suppression list and the audit keep it.
        everything: all news, that of topics which do not exist yet included.
    """
    topic = None if everything else _find_news().filter(pk=token.topic_id).first()
    # A repeated request must not wait for the lock of the list, nor write anything.
    if _has_objected(token, topic):
        return False
    address = _find_wanted_address(token)
    with transaction.atomic():
        return _object(token, topic, source=source, address=address)


def set_topics(token: UnsubscribeToken, wanted: Collection[int], *, source: str) -> bool:
    """Let the address of a token get exactly these topics of news. Returns whether that changed anything.

    Without any, the objection is to all news, that of topics which do not exist yet included.

    Args:
        wanted: ids of topics. Others than those of news are ignored.
    """
    address = _find_wanted_address(token)
    with transaction.atomic():
        _lock()
        topics = list(_find_news())
        chosen = [topic for topic in topics if topic.pk in wanted]
        if not chosen:
            return _object(token, None, source=source, address=address)
        is_taken_back = _take_back(token, [None, *chosen], source=source)
        refused = [topic for topic in topics if topic not in chosen]
        objected = [_object(token, topic, source=source, address=address) for topic in refused]
        return is_taken_back or any(objected)


def undo(token: UnsubscribeToken, *, source: str) -> bool:
    """Take back the objection to all news and to the topic of a token. Returns whether there was one."""
    with transaction.atomic():
        _lock()
        return _take_back(token, [None, *_find_news().filter(pk=token.topic_id)], source=source)


def _lock() -> None:
    """Let two windows of one recipient take turns, so that the result is what one of them shows.

    ``suppress_digests`` takes the same lock, and nothing is locked before it.
    """
    list(SuppressionList.objects.select_for_update())


def _find_news() -> QuerySet[Topic]:
    return Topic.objects.filter(kind=TopicKind.NEWS).order_by("name", "pk")


def _has_objected(token: UnsubscribeToken, topic: Topic | None) -> bool:
    rows = list_of(token.digest).filter(reason__in=OBJECTIONS, topic=topic, ends_at=None)
    return rows.exists()


def _object(token: UnsubscribeToken, topic: Topic | None, *, source: str, address: str | None) -> bool:
    """Write an objection, and tell the webhooks that want to know. False: it is there already."""
    added = suppress_digests([token.digest], reason=SuppressionReason.UNSUBSCRIBED, topic=topic, source=source)
    if not added:
        return False
    _record(AuditAction.UNSUBSCRIBE, token, topic, source=source)
    told = {
        "topic": topic.key if topic else None,
        "address": address,
        "source": source,
        "unsubscribedAt": timezone.now(),
    }
    events.emit(WebhookEvent.UNSUBSCRIBED, told)
    return True


def _take_back(token: UnsubscribeToken, topics: Collection[Topic | None], *, source: str) -> bool:
    """Remove the objections to some topics. False: there was none."""
    lifted = [topic for topic in topics if lift_digest(token.digest, topic=topic, reasons=OBJECTIONS)]
    for topic in lifted:
        _record(AuditAction.UNSUBSCRIBE_UNDO, token, topic, source=source)
    return bool(lifted)


def _find_wanted_address(token: UnsubscribeToken) -> str | None:
    """Find the address of a token, if a webhook wants to know of it. None: nobody does, or it was not found.

    A token has no address, and an old or purged batch has none either. So the newest batches are searched, before any
    lock is taken.
    """
    if not events.is_wanted(WebhookEvent.UNSUBSCRIBED):
        return None
    batch_ids: list[int] = []
    row_count = 0
    for batch_id, total_count in Batch.objects.order_by("-pk").values_list("pk", "total_count")[:SEARCHED_BATCHES]:
        row_count += total_count
        if batch_ids and row_count > SEARCHED_ROWS:
            break
        batch_ids.append(batch_id)
    emails = Email.objects.filter(batch_id__in=batch_ids, address_digest=token.digest).exclude(address="")
    # Without an order: for the sake of one, PostgreSQL would walk through the key of the whole table.
    return next(iter(emails.order_by().values_list("address", flat=True)[:1]), None)


def _record(action: AuditAction, token: UnsubscribeToken, topic: Topic | None, *, source: str) -> None:
    """Write an entry of the audit. The actor is the recipient, and not a user who is signed in in the same browser."""
    with audit.acting_as(audit.Actor(via=f"recipient by {source}")):
        audit.record(action, topic, person=token.digest.hex(), topic=topic.key if topic else ALL_NEWS)
