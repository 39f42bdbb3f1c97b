"""Topics in the admin: made and changed there, and kept once they were used."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from django.test import Client

from batches.models import EmailTemplate, Topic, TopicKind

ADD = "/admin/batches/topic/add/"
FORM = {"name": "Events", "key": "events", "kind": "news", "description": "Twice a year.", "footer": "The school."}


@pytest.fixture
def admin(client: Client, staff: User) -> Client:
    client.force_login(staff)
    return client


@pytest.fixture
def topic(db: None) -> Topic:
    return Topic.objects.create(key="events", name="Events", kind=TopicKind.NEWS)


def address(topic: Topic, act: str = "change") -> str:
    return f"/admin/batches/topic/{topic.pk}/{act}/"


def test_topic_is_made_and_keeps_its_kind(admin: Client) -> None:
    assert admin.post(ADD, FORM).status_code == 302
    topic = Topic.objects.get(key="events")
    assert (topic.is_news, topic.footer) == (True, "The school.")
    assert admin.post(address(topic), {**FORM, "kind": "service", "footer": "Other."}).status_code == 302
    topic.refresh_from_db()
    assert (topic.is_news, topic.footer) == (True, "Other.")


@pytest.mark.parametrize("footer", ["Dear {{ name }}", "{% if x %}", "{{ Unsubscribe URL }}", "{{unsubscribe_url}} {{"])
def test_footer_is_refused_when_recipients_would_read_its_tags(admin: Client, footer: str) -> None:
    page = admin.post(ADD, {**FORM, "footer": footer}).content.decode()
    assert "Recipients would read" in page
    assert not Topic.objects.filter(key="events").exists()
    assert admin.post(ADD, {**FORM, "footer": "Off: {{unsubscribe_url}} }"}).status_code == 302


def test_topic_is_deleted_when_nothing_ever_used_it(admin: Client, topic: Topic) -> None:
    assert admin.post(address(topic, "delete"), {"post": "yes"}).status_code == 302
    assert not Topic.objects.filter(pk=topic.pk).exists()


def test_topic_is_kept_when_a_template_names_it(admin: Client, topic: Topic) -> None:
    EmailTemplate.objects.create(key="party", name="Party", subject="S", text="T", topic=topic)
    assert admin.post(address(topic, "delete"), {"post": "yes"}).status_code == 403
    chosen = {"action": "delete_selected", "_selected_action": [topic.pk], "post": "yes"}
    admin.post("/admin/batches/topic/", chosen)
    assert Topic.objects.filter(pk=topic.pk).exists()


def test_first_topics_keep_their_keys(admin: Client) -> None:
    topic, _ = Topic.objects.update_or_create(key="news", defaults={"name": "News", "kind": TopicKind.NEWS})
    assert admin.post(address(topic), {**FORM, "key": "other"}).status_code == 302
    topic.refresh_from_db()
    assert (topic.key, topic.name) == ("news", "Events")
    assert admin.post(address(topic, "delete"), {"post": "yes"}).status_code == 403
