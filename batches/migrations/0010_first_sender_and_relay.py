"""Make the first sender of DEFAULT_FROM_EMAIL, and the first relay of EMAIL_URL.

The sender follows the setting until somebody edits it (jobs/senders.py), so what is faulty in the setting today is
corrected there later, and must not stop a migration.
"""

from django.conf import settings
from django.db import migrations

from batches.mailboxes import split_mailbox


def make_first_rows(apps, schema_editor):
    name, address = split_mailbox(settings.DEFAULT_FROM_EMAIL)
    apps.get_model("batches", "Sender").objects.get_or_create(
        key="default",
        defaults={"display_name": name[:200], "address": address[:320], "is_from_settings": True},
    )
    apps.get_model("batches", "Relay").objects.get_or_create(name="default")


class Migration(migrations.Migration):

    dependencies = [
        ("batches", "0009_restore_sent"),
    ]

    operations = [
        migrations.RunPython(make_first_rows, migrations.RunPython.noop),
    ]
