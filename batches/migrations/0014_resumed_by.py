"""Let a job keep who resumed it: that user answers for it if the account of the one who made it is not active."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ("batches", "0015_cache_table"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AddField(
            model_name="emailjob",
            name="resumed_by",
            field=models.ForeignKey(
                blank=True,
                help_text="Who resumed it last. That user answers for it if the account of the one who made it is not active.",
                null=True,
                on_delete=django.db.models.deletion.SET_NULL,
                related_name="+",
                to=settings.AUTH_USER_MODEL,
            ),
        ),
    ]
