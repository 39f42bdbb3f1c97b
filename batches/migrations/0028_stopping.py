from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('batches', '0027_webhook_outages'),
    ]

    operations = [
        migrations.AddField(
            model_name='emailjob',
            name='accepted_share',
            field=models.FloatField(db_default=0, default=0, help_text='The share of failures and returns, in percent, that a person accepted by resuming or replaying.'),
        ),
        migrations.AddField(
            model_name='emailjob',
            name='canary_to_row',
            field=models.PositiveIntegerField(blank=True, help_text='No row after this one is handed out before the canary is over.', null=True),
        ),
        migrations.AddField(
            model_name='emailjob',
            name='canary_until',
            field=models.DateTimeField(blank=True, help_text='When the wait after the canary ends. Empty before it begins.', null=True),
        ),
    ]
