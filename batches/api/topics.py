"""List the topics that a template or a send may name, and the shape of the field that names one."""

from __future__ import annotations

from django.http import HttpRequest
from ninja import Field, Router, Schema

from batches.models import SERVICE_TOPIC, EmailJob, Topic, TopicKind

TOPIC_MAX_CHARS = 50

TOPIC_MEANING = (
    "The key of the topic that the message is about. Left out: the template's. `GET /api/topics` lists them."
)


def describe_topic_of(job: EmailJob) -> str:
    """Return the key of a job's topic. Needs ``select_related("topic")``."""
    return job.topic.key if job.topic else SERVICE_TOPIC


router = Router(tags=["topics"])


class TopicOut(Schema):
    """What messages can be about."""

    key: str
    name: str
    description: str = Field(description="What recipients read where they unsubscribe.")
    kind: TopicKind = Field(
        description="news: recipients can unsubscribe from it. service: what somebody has to get, so nobody can."
    )


class TopicList(Schema):
    items: list[TopicOut]
    next: str | None = Field(description="Always null: the list has one page.")


@router.get("/topics", response=TopicList)
def list_topics(request: HttpRequest) -> TopicList:
    """All topics by name."""
    items = [
        TopicOut(key=topic.key, name=topic.name, description=topic.description, kind=TopicKind(topic.kind))
        for topic in Topic.objects.order_by("name")
    ]
    return TopicList(items=items, next=None)
