"""Add the two topics that every site starts with."""

from __future__ import annotations

from django.apps.registry import Apps
from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor


def add_topics(apps: Apps, _: BaseDatabaseSchemaEditor) -> None:
    """Add ``service`` and ``news``, unless a topic has that key."""
    topics = apps.get_model("batches", "Topic").objects
    topics.get_or_create(key="service", defaults={"name": "Service", "kind": "service"})
    topics.get_or_create(key="news", defaults={"name": "News", "kind": "news"})


class Migration(migrations.Migration):
    dependencies = [("batches", "0023_topics_and_returns")]

    operations = [migrations.RunPython(add_topics, migrations.RunPython.noop)]
