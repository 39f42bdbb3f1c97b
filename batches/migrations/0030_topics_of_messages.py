"""Keep the topic of a template's versions, the footer of a job's topic, and the topic of an approval."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("batches", "0029_suppressions_by_reason")]

    operations = [
        migrations.AddField(
            model_name="templateversion",
            name="topic",
            field=models.ForeignKey(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="batches.topic",
            ),
        ),
        migrations.AddField(
            model_name="emailjob",
            name="topic_footer",
            field=models.TextField(
                blank=True, db_default="", help_text="The footer of its topic as it was when the job was made."
            ),
        ),
        migrations.AddField(
            model_name="approval",
            name="topic_key",
            field=models.CharField(
                blank=True,
                db_default="",
                help_text="The topic that was chosen. Empty: the template's.",
                max_length=50,
            ),
        ),
    ]
