from django.db import migrations


class Migration(migrations.Migration):
    """Name the deliveries of webhooks in the plural."""

    dependencies = [
        ("batches", "0034_relays_that_want_the_login"),
    ]

    operations = [
        migrations.AlterModelOptions(
            name="webhookdelivery",
            options={"ordering": ["-id"], "verbose_name_plural": "webhook deliveries"},
        ),
    ]
