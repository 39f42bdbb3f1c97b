"""The indexes that the filters of the list of batches read. The table has a row for each batch, so they are built fast."""

from __future__ import annotations

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("batches", "0048_people")]

    operations = [
        migrations.AddIndex(
            model_name="batch", index=models.Index(fields=["status", "-id"], name="batch_by_status")
        ),
        migrations.AddIndex(
            model_name="batch",
            index=models.Index(condition=models.Q(("is_test", True)), fields=["-id"], name="batch_tests"),
        ),
    ]
