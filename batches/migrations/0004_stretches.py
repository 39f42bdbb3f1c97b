"""A first try is claimed by its lane's row, in a stretch of the list that is the lane's own: docs/decisions/0015.

What a worker that died before this left `sending` is found when its job would end, and goes again.
"""

import django.contrib.postgres.fields
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("batches", "0003_hot_updates")]

    operations = [
        migrations.RemoveField(model_name="lane", name="held_after_row"),
        migrations.AddField(
            model_name="lane",
            name="stretch_after_row",
            field=models.PositiveIntegerField(
                default=0, help_text="It claims first tries behind this row; what lies before is claimed."
            ),
        ),
        migrations.AddField(
            model_name="lane",
            name="stretch_end_row",
            field=models.PositiveIntegerField(default=0, help_text="Up to this row."),
        ),
        migrations.AddField(
            model_name="lane",
            name="claimed_rows",
            field=django.contrib.postgres.fields.ArrayField(
                base_field=models.IntegerField(),
                blank=True,
                default=list,
                help_text="The rows of the emails that it is sending.",
                size=None,
            ),
        ),
        migrations.AlterField(
            model_name="emailjob",
            name="fresh_after_row",
            field=models.PositiveIntegerField(
                default=0, help_text="Every row up to this one was handed to a lane, as a part of its stretch."
            ),
        ),
        migrations.AlterField(
            model_name="email",
            name="attempts",
            field=models.PositiveSmallIntegerField(
                db_default=0,
                default=0,
                help_text="Tries so far; one at which its worker died counts, so a message that kills ends.",
            ),
        ),
    ]
