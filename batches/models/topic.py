"""A Topic says what a message is about, so that somebody can object to one kind of mail and still get the other."""

from __future__ import annotations

from typing import NamedTuple

from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from batches.models.choices import TopicKind

SERVICE_TOPIC = "service"
"""The key of the topic of a message that names none."""

NEWS_TOPIC = "news"


class MessageTopic(NamedTuple):
    """What a message says of its topic."""

    key: str
    is_news: bool
    footer: str


class Topic(models.Model):
    """What a template or a send is about.

    News can be unsubscribed from, one topic alone or all of it, and says so in its headers (RFC 2369, RFC 8058).
    Service mail is what somebody has to get, such as a reminder. Only bounces, complaints and a person here stop it.
    """

    key = models.SlugField(max_length=50, unique=True)
    name = models.CharField(
        max_length=100, help_text=_("As the recipients read it on the page where they unsubscribe.")
    )
    description = models.CharField(
        max_length=300, blank=True, help_text=_("One sentence for the recipients: what they get, and how often.")
    )
    kind = models.CharField(max_length=16, choices=TopicKind, default=TopicKind.NEWS)
    footer = models.TextField(
        blank=True,
        help_text=_(
            "Added at the end of a message of news that has no {{ unsubscribe_url }}. Empty: a sentence with the link."
        ),
    )
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        ordering = ["name"]
        constraints = [models.CheckConstraint(condition=models.Q(kind__in=TopicKind.values), name="topic_kind_known")]

    def __str__(self) -> str:
        return self.name

    @property
    def is_news(self) -> bool:
        """Whether recipients can unsubscribe from it."""
        return self.kind == TopicKind.NEWS

    @property
    def message_topic(self) -> MessageTopic:
        return MessageTopic(self.key, self.is_news, self.footer if self.is_news else "")
