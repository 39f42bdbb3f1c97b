from django.db import migrations


class Migration(migrations.Migration):
    """Name the deliveries of webhooks in the plural."""

    dependencies = [
        ("batches", "0036_unknown_reports"),
    ]

    operations = [
        migrations.AlterModelOptions(
            name="webhookdelivery",
            options={"ordering": ["-id"], "verbose_name_plural": "webhook deliveries"},
        ),
    ]
