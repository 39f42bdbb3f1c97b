from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('batches', '0033_unknown_reports'),
    ]

    operations = [
        migrations.AlterField(
            model_name='relay',
            name='keeps_return_path',
            field=models.BooleanField(db_default=True, default=True, help_text='Whether it takes a return path of our own (BOUNCE_ADDRESS). Microsoft 365 and Gmail want the login.', verbose_name='takes our return paths'),
        ),
        # Relays whose preset was chosen before there were return paths.
        migrations.RunSQL(
            "UPDATE batches_relay SET keeps_return_path = false WHERE preset IN ('microsoft365', 'workspace', 'gmail')",
            migrations.RunSQL.noop,
        ),
    ]
