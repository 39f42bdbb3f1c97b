from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('batches', '0007_relays_and_senders'),
    ]

    operations = [
        migrations.AddField(
            model_name='email',
            name='sent_before_at',
            field=models.DateTimeField(blank=True, help_text='When an earlier job sent it. Set when a replay of all begins.', null=True),
        ),
        migrations.AddField(
            model_name='lane',
            name='resent_count',
            field=models.PositiveIntegerField(db_default=0, default=0, help_text='Emails done that were sent before a replay of all began. The other counters omit them.'),
        ),
    ]
