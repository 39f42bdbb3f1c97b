"""The topic of a send over the API."""

from __future__ import annotations

from typing import Any

import pytest
from django.conf import LazySettings
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from batches.models import Batch, EmailJob, EmailTemplate, Topic, TopicKind
from tests.integration.test_api_sending import GOOD, send_bulk


@pytest.fixture
def api(client: Client, sender: User, welcome: EmailTemplate) -> Client:
    client.force_login(sender)
    return client


def test_topic_is_that_of_the_request_or_of_the_template(api: Client, settings: LazySettings) -> None:
    settings.PUBLIC_URL, settings.UNSUBSCRIBE_KEYS = "https://mail.example.org", ["a key"]
    topic = Topic.objects.create(key="events", name="Events", kind=TopicKind.NEWS, footer="The school.")
    EmailTemplate.objects.create(key="party", name="Party", subject="S", text="T", topic=topic)
    EmailTemplate.objects.create(key="link", name="Link", subject="S", text="{{ unsubscribe_url }}")

    def send(**body: object) -> tuple[int, dict[str, Any]]:
        return send_bulk(api, recipients=["ann@example.org"], **body)

    assert send(templateId="party")[0] == 202
    assert EmailJob.objects.latest("pk").topic == topic
    status, answer = send(templateId="party", topic="service")
    assert (status, EmailJob.objects.latest("pk").topic_footer) == (202, "")
    assert api.get(f"/api/jobs/{answer['jobId']}").json()["topic"] == "service"
    status, answer = send(templateId="link", topic="events")
    assert (status, EmailJob.objects.latest("pk").topic_footer) == (202, "The school.")
    assert api.get(f"/api/batches/{answer['batchId']}").json()["topic"] == "events"
    count = Batch.objects.count()
    for body, sentence in (
        ({"templateId": "link"}, "Nobody can unsubscribe from service mail"),
        ({"templateId": "party", "topic": "nothing"}, "There is no topic 'nothing'. The topics are: events"),
    ):
        status, answer = send(**body)
        assert status == 422 and answer["detail"].startswith(sentence)
    assert Batch.objects.count() == count


def test_news_is_refused_when_the_site_has_no_keys(api: Client, settings: LazySettings) -> None:
    settings.UNSUBSCRIBE_KEYS = []
    Topic.objects.create(key="events", name="Events", kind=TopicKind.NEWS)
    form = {"file": SimpleUploadedFile("list.csv", GOOD), "topic": "events"}
    answer = api.post("/api/upload", form)
    assert answer.status_code == 422 and "Set UNSUBSCRIBE_KEYS to" in answer.json()["detail"]
    assert not Batch.objects.exists()
