import django.contrib.postgres.fields
from django.db import migrations, models

EVENTS = [
    ("batch.ended", "a batch ended"),
    ("email.failed", "an email failed"),
    ("email.returned", "an email came back"),
    ("recipient.unsubscribed", "a recipient unsubscribed"),
    ("webhook.test", "a test"),
]

class Migration(migrations.Migration):
    """Let a webhook whose receiver is away wait as a whole, find what is due of each webhook, and send tests."""

    dependencies = [
        ("batches", "0026_returns_of_people"),
    ]

    operations = [
        migrations.AddField(
            model_name="webhook",
            name="failure_count",
            field=models.PositiveIntegerField(
                db_default=0,
                default=0,
                editable=False,
                help_text="How often in a row the receiver did not answer, or could not take messages.",
            ),
        ),
        migrations.AddField(
            model_name="webhook",
            name="waits_until",
            field=models.DateTimeField(
                blank=True,
                editable=False,
                help_text="After an outage of the receiver: when one message is attempted again. The others wait for it.",
                null=True,
            ),
        ),
        migrations.AlterField(
            model_name="webhook",
            name="url",
            field=models.CharField(max_length=1000, verbose_name="address"),
        ),
        migrations.AlterField(
            model_name="webhook",
            name="secret",
            field=models.CharField(
                help_text="Begins with whsec_. Messages are signed with it. If there are two, the newer one is first, and "
                "messages are signed with both.",
                max_length=200,
            ),
        ),
        migrations.AlterField(
            model_name="webhook",
            name="events",
            field=django.contrib.postgres.fields.ArrayField(
                base_field=models.CharField(choices=EVENTS, max_length=40), default=list, size=None
            ),
        ),
        migrations.AlterField(
            model_name="webhookdelivery",
            name="event",
            field=models.CharField(choices=EVENTS, max_length=40),
        ),
        migrations.RemoveIndex(model_name="webhookdelivery", name="webhook_due"),
        migrations.AddIndex(
            model_name="webhookdelivery",
            index=models.Index(
                condition=models.Q(("next_attempt_at__isnull", False)),
                fields=["webhook", "next_attempt_at", "id"],
                name="webhook_due",
            ),
        ),
        migrations.AddIndex(
            model_name="webhookdelivery",
            index=models.Index(
                condition=models.Q(("next_attempt_at__isnull", False)),
                fields=["created_at"],
                name="webhook_waiting",
            ),
        ),
        migrations.AddIndex(
            model_name="webhookdelivery",
            index=models.Index(
                condition=models.Q(("next_attempt_at__isnull", True)),
                fields=["created_at"],
                name="webhook_ended",
            ),
        ),
    ]
