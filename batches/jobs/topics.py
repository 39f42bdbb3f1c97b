"""Choose the topic of a send, and refuse news that could not be sent from here.

The key that a user named enters, or nothing. A Topic leaves, or None for service mail. Every door chooses here, and
``opening`` chooses again, so no door can leave the check out.
"""

from __future__ import annotations

from batches.jobs.lifecycle import JobRefused
from batches.models import EmailTemplate, Topic
from batches.unsubscribe_tokens import is_ready

NAMED_COUNT_MAX = 20
"""How many topics an error names."""


class TopicRefused(JobRefused):
    """There is no such topic, or no news can be sent from here. The message says why and what to do."""

    http_status = 422


def choose_topic(named: str | None, *, template: EmailTemplate | None) -> Topic | None:
    """Return the topic that a user named, and without a name the template's. None: service mail.

    Raises:
        TopicRefused: there is no such topic, or no news can be sent from here.
    """
    if named and named.strip():
        topic: Topic | None = find_topic(named)
    else:
        topic = template.topic if template is not None else None
    if topic is not None and topic.is_news and (fault := is_ready()):
        raise TopicRefused(fault)
    return topic


def find_topic(key: str) -> Topic:
    """Return the topic of a key.

    Raises:
        TopicRefused: there is none.
    """
    key = key.strip()
    found = Topic.objects.filter(key=key).first() if "\0" not in key else None
    if found is None:
        keys = Topic.objects.order_by("key").values_list("key", flat=True)[:NAMED_COUNT_MAX]
        raise TopicRefused(f"There is no topic '{key[:100]}'. The topics are: {', '.join(keys)}.")
    return found
