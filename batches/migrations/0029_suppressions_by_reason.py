"""Keep each reason for which an address is suppressed, and compare digests alone."""

from __future__ import annotations

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("batches", "0028_stopping")]

    operations = [
        migrations.RemoveConstraint(model_name="suppression", name="suppression_once"),
        migrations.AddConstraint(
            model_name="suppression",
            constraint=models.UniqueConstraint(
                fields=("digest", "topic", "reason"), name="suppression_once", nulls_distinct=False
            ),
        ),
        migrations.AddIndex(
            model_name="suppression",
            index=models.Index(fields=["reason", "-id"], name="suppression_by_reason"),
        ),
        migrations.RemoveField(model_name="suppression", name="checksum"),
        # Nobody deletes the objections to a topic with it.
        migrations.AlterField(
            model_name="suppression",
            name="topic",
            field=models.ForeignKey(
                blank=True,
                help_text="Empty: every topic. If the reason is that somebody unsubscribed, every topic of news.",
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="batches.topic",
            ),
        ),
        # The emails of a job are compared when the job is opened: see EmailJob.suppression_version.
        migrations.RemoveField(model_name="batch", name="suppression_version"),
        migrations.AlterField(
            model_name="lane",
            name="suppressed_count",
            field=models.PositiveIntegerField(
                db_default=0, default=0, help_text="Emails whose address was suppressed after the job was opened."
            ),
        ),
    ]
