from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):

    atomic = False  # the index of a table with millions of rows is built without a lock

    dependencies = [
        ('batches', '0041_letters'),
    ]

    operations = [
        AddIndexConcurrently(
            model_name='attempt',
            index=models.Index(condition=models.Q(('outcome', 'sent'), _negated=True), fields=['lane', 'email'], name='attempt_not_sent'),
        ),
    ]
