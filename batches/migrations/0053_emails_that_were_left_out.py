"""What is kept of the suppressed and cancelled emails of a large batch. It is read when somebody first looks."""

from __future__ import annotations

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("batches", "0052_batches_by_words")]

    operations = [
        migrations.AddField(
            model_name="batch",
            name="left_out",
            field=models.JSONField(
                editable=False,
                help_text=(
                    "What jobs.left_out keeps of the emails that were suppressed or cancelled. Null: not read yet."
                ),
                null=True,
            ),
        ),
    ]
