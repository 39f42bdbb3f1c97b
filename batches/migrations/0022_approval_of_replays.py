"""Let an Approval be about a replay too, and give its digest room for the parts that it is made of."""

from django.db import migrations, models

KINDS = [
    ("first", "first send"),
    ("failed", "replay of the failed"),
    ("unknown", "replay of the unknown"),
    ("all", "replay of all"),
    ("unsent", "to those who have not got it"),
]


class Migration(migrations.Migration):
    dependencies = [("batches", "0021_suppression_list")]

    operations = [
        migrations.AddField(
            model_name="approval",
            name="kind",
            field=models.CharField(
                choices=KINDS, db_default="first", default="first", help_text="Of the job.", max_length=16
            ),
        ),
        migrations.AddField(
            model_name="approval",
            name="include_unknown",
            field=models.BooleanField(
                db_default=False, default=False, help_text="The replay of the unsent is also for the unknown."
            ),
        ),
        migrations.AddField(
            model_name="approval",
            name="recipient_count",
            field=models.PositiveIntegerField(db_default=0, default=0, help_text="To how many it would be sent."),
        ),
        migrations.AlterField(
            model_name="approval",
            name="digest",
            field=models.CharField(
                help_text="Of list, message parts, sender and time: jobs/reviewed.py.", max_length=96
            ),
        ),
        migrations.AddConstraint(
            model_name="approval",
            constraint=models.CheckConstraint(
                condition=models.Q(("kind__in", [kind for kind, _ in KINDS])), name="approval_kind_known"
            ),
        ),
    ]
