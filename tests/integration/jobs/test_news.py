"""News from start to end: what its recipients get, and what is refused before anything is sent."""

from __future__ import annotations

import email
import email.policy
from collections.abc import Iterator
from email.message import EmailMessage

import pytest
from django.conf import LazySettings

from batches.jobs import creation, opening
from batches.jobs.reviewed import ReviewChanged
from batches.jobs.run_lane import run_lane
from batches.jobs.topics import TopicRefused
from batches.models import EmailTemplate, JobStatus, Topic, TopicKind
from batches.rendering.field_names import ONLY_NEWS
from batches.suppressions import find_digest
from batches.unsubscribe_tokens import UnsubscribeToken, read_token
from tests.integration.jobs.conftest import MakeBatch
from tests.integration.jobs.test_backends import Faulty
from tests.integration.jobs.whole_jobs import replay, run_to_end
from tests.smtpserver import Behaviour, RunningServer

SITE = "https://mail.example.org"
PLAIN, NOT_PLAIN = "Hi {{ name }}, leave: {{ unsubscribe_url }}", "Hi {{ name|upper }}, leave: {{ unsubscribe_url }}"


@pytest.fixture
def topic(transactional_db: None) -> Topic:
    return Topic.objects.create(key="events", name="Events", kind=TopicKind.NEWS, footer="The school. Leave:")


@pytest.fixture
def service(transactional_db: None) -> Topic:
    made, _ = Topic.objects.get_or_create(key="service", defaults={"name": "Service", "kind": TopicKind.SERVICE})
    return made


@pytest.fixture
def news(topic: Topic, template: EmailTemplate) -> EmailTemplate:
    template.topic = topic
    template.save()
    return template


@pytest.fixture
def post(settings: LazySettings) -> Iterator[RunningServer]:
    """A relay that keeps the messages."""
    with RunningServer(Behaviour(), keep_raw=True) as running:
        settings.EMAIL_URL = running.url
        yield running


@pytest.fixture(autouse=True)
def site(settings: LazySettings) -> None:
    settings.PUBLIC_URL, settings.UNSUBSCRIBE_KEYS, settings.BOUNCE_ADDRESS = SITE, ["new", "old"], ""


def messages(relay: RunningServer) -> dict[str, EmailMessage]:
    """Return the message that each recipient got last."""
    found = {}
    for entry in relay.accepted():
        parsed = email.message_from_bytes(entry.raw or b"", policy=email.policy.default)
        assert isinstance(parsed, EmailMessage)
        found[entry.recipient] = parsed
    return found


def link_in(message: EmailMessage) -> str:
    [header, *_] = str(message["List-Unsubscribe"]).split(",")
    return header.strip("<>")


def bodies(message: EmailMessage) -> list[str]:
    return [part.get_content() for part in message.walk() if part.get_content_maintype() == "text"]


@pytest.mark.parametrize("text", [PLAIN, NOT_PLAIN], ids=["plain", "rendered by a child"])
@pytest.mark.parametrize("bounce_address", ["", "bounce@news.example.org"])
def test_each_recipient_gets_a_link_of_their_own(
    post: RunningServer,
    make_batch: MakeBatch,
    news: EmailTemplate,
    topic: Topic,
    settings: LazySettings,
    text: str,
    bounce_address: str,
) -> None:
    settings.BOUNCE_ADDRESS = bounce_address
    EmailTemplate.objects.filter(pk=news.pk).update(text=text)
    news.refresh_from_db()
    batch = make_batch(addresses=["ann@example.org", "BOB@example.org", "zoë@example.org"])
    job = run_to_end(creation.create_job(batch, template=news, user=None))
    assert (job.sent_count, job.topic, job.topic_footer) == (3, topic, topic.footer)
    got = messages(post)
    assert set(got) == {"ann@example.org", "BOB@example.org", "zoë@example.org"}
    for address, message in got.items():
        link = link_in(message)
        token = link.removeprefix(f"{SITE}/u/")
        assert read_token(token) == UnsubscribeToken(topic_id=topic.pk, digest=find_digest(address))
        assert message["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
        assert message["List-Id"] == "<events.mail.example.org>"
        assert (f"<mailto:unsubscribe+{token}@news.example.org>" in message["List-Unsubscribe"]) == bool(bounce_address)
        assert all(body.count(link) >= 1 for body in bodies(message))
        assert "The school. Leave:" in bodies(message)[1]


def test_link_works_when_a_new_key_was_put_in_front(
    post: RunningServer, make_batch: MakeBatch, news: EmailTemplate, settings: LazySettings
) -> None:
    run_to_end(creation.create_job(make_batch(addresses=["ann@example.org"]), template=news, user=None))
    settings.UNSUBSCRIBE_KEYS = ["newer", *settings.UNSUBSCRIBE_KEYS]
    token = link_in(messages(post)["ann@example.org"]).rpartition("/")[2]
    assert read_token(token) is not None


def test_replay_is_news_too_and_keeps_the_footer(
    post: RunningServer, make_batch: MakeBatch, news: EmailTemplate, topic: Topic
) -> None:
    batch = make_batch(addresses=["ann@example.org"])
    run_to_end(creation.create_job(batch, template=news, user=None))
    Topic.objects.filter(pk=topic.pk).update(footer="Another one.")
    EmailTemplate.objects.filter(pk=news.pk).update(topic=None)
    job = run_to_end(replay(batch))
    assert (job.topic, job.topic_footer) == (topic, "The school. Leave:")
    assert len(post.accepted()) == 2
    message = messages(post)["ann@example.org"]
    assert link_in(message) and "The school. Leave:" in bodies(message)[0]


def test_send_names_another_topic_than_its_template(
    post: RunningServer, make_batch: MakeBatch, news: EmailTemplate, service: Topic
) -> None:
    batch = make_batch(addresses=["ann@example.org"])
    job = run_to_end(creation.create_job(batch, template=news, user=None, topic="service"))
    assert job.topic == service
    message = messages(post)["ann@example.org"]
    assert not [name for name in message if name.startswith("List-")]
    assert not any("/u/" in body or "The school" in body for body in bodies(message))


def test_service_mail_with_the_link_is_refused(make_batch: MakeBatch, template: EmailTemplate, topic: Topic) -> None:
    EmailTemplate.objects.filter(pk=template.pk).update(text=PLAIN)
    template.refresh_from_db()
    with pytest.raises(creation.TemplateRefused, match="Nobody can unsubscribe from service mail") as refused:
        creation.create_job(make_batch(1), template=template, user=None)
    assert str(refused.value) == ONLY_NEWS
    assert creation.create_job(make_batch(1), template=template, user=None, topic="events").topic == topic


@pytest.mark.parametrize(("name", "value"), [("PUBLIC_URL", ""), ("UNSUBSCRIBE_KEYS", [])])
def test_news_is_refused_when_a_setting_is_missing(
    make_batch: MakeBatch, news: EmailTemplate, service: Topic, settings: LazySettings, name: str, value: object
) -> None:
    setattr(settings, name, value)
    with pytest.raises(TopicRefused, match=f"Set {name} to"):
        creation.create_job(make_batch(1), template=news, user=None)
    assert creation.create_job(make_batch(1), template=news, user=None, topic="service").total_count == 1


def test_job_pauses_when_a_worker_lacks_the_keys(
    post: RunningServer, make_batch: MakeBatch, news: EmailTemplate, settings: LazySettings
) -> None:
    job = creation.create_job(make_batch(1), template=news, user=None)
    settings.UNSUBSCRIBE_KEYS = []
    run_lane(lane_id=job.lanes.get(number=0).pk)
    job.refresh_from_db()
    assert job.status == JobStatus.PAUSED and "Set UNSUBSCRIBE_KEYS to" in job.last_error
    assert post.accepted() == []


@pytest.mark.parametrize("name", ["nothing", "nul\0", "x" * 500])
def test_unknown_topic_is_refused(make_batch: MakeBatch, template: EmailTemplate, topic: Topic, name: str) -> None:
    with pytest.raises(TopicRefused, match=r"There is no topic .* The topics are: .*events"):
        creation.create_job(make_batch(1), template=template, user=None, topic=name)


def test_send_is_refused_when_the_topic_changed_since_the_review(
    make_batch: MakeBatch, news: EmailTemplate, topic: Topic
) -> None:
    batch = make_batch(1)
    sending = opening.prepare_first(
        template=news, user=None, subject=None, sender=None, priority="default", scheduled_at=None
    )
    reviewed = creation.Reviewed(digest=opening.digest_of(batch, sending))
    Topic.objects.filter(pk=topic.pk).update(footer="Another one.")
    news.refresh_from_db()
    with pytest.raises(ReviewChanged, match="the message"):
        creation.create_job(batch, template=news, user=None, reviewed=reviewed)


def test_header_stays_when_a_backend_sends_news(
    settings: LazySettings, make_batch: MakeBatch, news: EmailTemplate
) -> None:
    settings.SEND_BACKEND = "tests.integration.jobs.test_backends.Faulty"
    Faulty.sent.clear()
    run_to_end(creation.create_job(make_batch(addresses=["ann@example.org"]), template=news, user=None))
    [sent] = Faulty.sent
    parsed = email.message_from_bytes(sent.message().as_bytes(), policy=email.policy.default)
    assert parsed["List-Unsubscribe"].strip().startswith(f"<{SITE}/u/")
    assert parsed["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert parsed["List-Id"] == "<events.mail.example.org>"
