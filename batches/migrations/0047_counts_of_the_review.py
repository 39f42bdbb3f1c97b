from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('batches', '0043_progress_marks'),
    ]

    operations = [
        migrations.AddField(
            model_name='batch',
            name='blank_counts',
            field=models.JSONField(editable=False, help_text='For each merge field, how many emails leave it blank. Null: not counted yet.', null=True),
        ),
        migrations.AddField(
            model_name='batch',
            name='smtputf8_count',
            field=models.PositiveIntegerField(editable=False, help_text='Emails whose address needs SMTPUTF8. Null: not counted yet.', null=True),
        ),
    ]
