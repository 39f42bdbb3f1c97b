"""A recipient objects to news, chooses topics, and takes an objection back."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.db import connections
from django.utils import timezone

from batches import audit, unsubscribing
from batches.models import (
    AuditAction,
    AuditEntry,
    Email,
    Suppression,
    SuppressionReason,
    Topic,
    TopicKind,
    Webhook,
    WebhookDelivery,
    WebhookEvent,
)
from batches.suppressions import find_digest, suppress
from batches.unsubscribe_tokens import UnsubscribeToken
from tests.conftest import MakeBatch

ADDRESS = "ann@example.org"

pytestmark = pytest.mark.django_db


@pytest.fixture
def news(db: None) -> Topic:
    return make_topic("news", "News")


@pytest.fixture
def club(news: Topic) -> Topic:
    return make_topic("club", "Club")


def make_topic(key: str, name: str, kind: TopicKind = TopicKind.NEWS) -> Topic:
    topic, _ = Topic.objects.get_or_create(key=key, defaults={"name": name, "kind": kind})
    return topic


def token_of(topic: Topic, address: str = ADDRESS) -> UnsubscribeToken:
    return UnsubscribeToken(topic_id=topic.pk, digest=find_digest(address))


def rows() -> set[tuple[str, str | None]]:
    """Reason and topic of every row of the list."""
    return set(Suppression.objects.values_list("reason", "topic__key"))


def wanted(token: UnsubscribeToken) -> set[str]:
    return {choice.topic.key for choice in unsubscribing.read_preferences(token).choices if choice.is_wanted}


def test_objection_is_to_the_topic_of_the_token_alone(news: Topic, club: Topic) -> None:
    assert unsubscribing.unsubscribe(token_of(club), source="page")
    assert rows() == {("unsubscribed", "club")}
    assert wanted(token_of(club)) == {"news"}
    assert wanted(token_of(club, "bob@example.org")) == {"news", "club"}
    assert bytes(Suppression.objects.get().digest) == find_digest("ANN@EXAMPLE.ORG")


def test_objection_is_written_once_when_it_is_repeated(news: Topic) -> None:
    token = token_of(news)
    answers = [unsubscribing.unsubscribe(token, source="mail") for _ in range(3)]
    assert answers == [True, False, False]
    assert Suppression.objects.get().source == "mail"
    assert AuditEntry.objects.filter(action=AuditAction.UNSUBSCRIBE).count() == 1


@pytest.mark.django_db(transaction=True)
def test_objection_is_written_once_when_it_is_repeated_at_once() -> None:
    token = token_of(make_topic("news", "News"))

    def object_once(_: int) -> bool:
        try:
            return unsubscribing.unsubscribe(token, source="one-click")
        finally:
            connections.close_all()

    with ThreadPoolExecutor(max_workers=8) as threads:
        answers = list(threads.map(object_once, range(16)))
    assert sorted(answers) == [False] * 15 + [True]
    assert AuditEntry.objects.filter(action=AuditAction.UNSUBSCRIBE).count() == 1


def test_everything_includes_topics_that_are_made_later(news: Topic) -> None:
    assert unsubscribing.unsubscribe(token_of(news), source="page", everything=True)
    assert rows() == {("unsubscribed", None)}
    make_topic("later", "Later")
    assert wanted(token_of(news)) == set()


@pytest.mark.parametrize("kind", [None, TopicKind.SERVICE])
def test_objection_is_to_all_news_when_the_topic_is_gone_or_no_news(news: Topic, kind: TopicKind | None) -> None:
    old = make_topic("old", "Old")
    token = token_of(old)
    if kind is None:
        old.delete()
    else:
        Topic.objects.filter(pk=old.pk).update(kind=kind)
    assert unsubscribing.read_preferences(token).topic is None
    assert unsubscribing.unsubscribe(token, source="one-click")
    assert rows() == {("unsubscribed", None)}


def test_undo_takes_back_the_objection_and_nothing_else(news: Topic, club: Topic) -> None:
    suppress(ADDRESS, reason=SuppressionReason.COMPLAINED)
    unsubscribing.unsubscribe(token_of(club), source="page")
    unsubscribing.unsubscribe(token_of(news), source="page")
    unsubscribing.unsubscribe(token_of(news), source="page", everything=True)
    assert unsubscribing.undo(token_of(news), source="page")
    assert rows() == {("complained", None), ("unsubscribed", "club")}
    assert not unsubscribing.undo(token_of(news), source="page")
    assert AuditEntry.objects.filter(action=AuditAction.UNSUBSCRIBE_UNDO).count() == 2


def test_chosen_topics_are_exactly_those_that_are_got(news: Topic, club: Topic) -> None:
    token = token_of(news)
    assert unsubscribing.set_topics(token, {club.pk}, source="page")
    assert wanted(token) == {"club"}
    assert not unsubscribing.set_topics(token, {club.pk}, source="page")
    assert unsubscribing.set_topics(token, set(), source="page")
    assert rows() == {("unsubscribed", None), ("unsubscribed", "news")}
    assert unsubscribing.set_topics(token, {news.pk, 10**9}, source="page")
    assert wanted(token) == {"news"}
    assert rows() == {("unsubscribed", "club")}


def test_service_is_no_topic_that_can_be_chosen(news: Topic) -> None:
    service = make_topic("service", "Service", TopicKind.SERVICE)
    assert unsubscribing.set_topics(token_of(news), {service.pk}, source="page")
    assert rows() == {("unsubscribed", None)}
    assert {choice.topic.key for choice in unsubscribing.read_preferences(token_of(news)).choices} == {"news"}


def test_objection_lasts_when_mail_is_stopped_for_some_time(news: Topic) -> None:
    """A full mailbox stops mail for 90 days. The objection must not end with that."""
    suppress(ADDRESS, reason=SuppressionReason.BOUNCED, ends_at=timezone.now() + timedelta(days=90))
    token = token_of(news)
    assert unsubscribing.read_preferences(token).is_stopped
    assert unsubscribing.unsubscribe(token, source="page", everything=True)
    Suppression.objects.filter(reason=SuppressionReason.BOUNCED).update(ends_at=timezone.now() - timedelta(days=1))
    assert wanted(token) == set()
    assert not unsubscribing.read_preferences(token).is_stopped


def test_audit_names_the_recipient_by_digest_and_no_user(news: Topic, sender: User) -> None:
    with audit.acting_as(audit.Actor.of_user(sender, via="page", client="192.0.2.1")):
        unsubscribing.unsubscribe(token_of(news), source="page")
    entry = AuditEntry.objects.get(action=AuditAction.UNSUBSCRIBE)
    assert (entry.actor_id, entry.actor_name, entry.client, entry.via) == (None, "", None, "recipient by page")
    assert entry.details == {"person": find_digest(ADDRESS).hex(), "topic": "news"}


@pytest.fixture
def webhook(db: None) -> Webhook:
    return Webhook.objects.create(
        name="shop", url="https://shop.example/", secret="whsec_x", events=[WebhookEvent.UNSUBSCRIBED]
    )


def told() -> list[dict[str, object]]:
    """What the webhook will be told, without the times."""
    data = [dict(each.payload["data"]) for each in WebhookDelivery.objects.order_by("pk")]
    assert all(each.pop("unsubscribedAt") for each in data)
    return data


def test_webhook_is_told_once_who_unsubscribed_from_what(news: Topic, webhook: Webhook, make_batch: MakeBatch) -> None:
    batch = make_batch(sent=2)
    Email.objects.filter(batch=batch, row=3).update(address=ADDRESS, address_digest=find_digest(ADDRESS))
    make_batch(sent=1)
    for _ in range(2):
        unsubscribing.unsubscribe(token_of(news), source="one-click")
    unsubscribing.set_topics(token_of(news), [], source="page")
    assert told() == [
        {"topic": "news", "address": ADDRESS, "source": "one-click"},
        {"topic": None, "address": ADDRESS, "source": "page"},
    ]


def test_webhook_is_told_no_address_when_a_purge_has_removed_it(
    news: Topic, webhook: Webhook, make_batch: MakeBatch
) -> None:
    make_batch(sent=1).emails.update(address="", address_digest=find_digest(ADDRESS))
    unsubscribing.unsubscribe(token_of(news), source="mail")
    assert told() == [{"topic": "news", "address": None, "source": "mail"}]
