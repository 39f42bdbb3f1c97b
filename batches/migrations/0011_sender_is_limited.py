"""Note which senders are limited to users and groups, so that a deleted user leaves none open to everybody."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ("batches", "0010_first_sender_and_relay"),
    ]

    operations = [
        migrations.AddField(
            model_name="sender",
            name="is_limited",
            field=models.BooleanField(db_default=False, default=False, editable=False, help_text="It stays limited when the last of its users and groups is deleted: then nobody may use it."),
        ),
    ]
