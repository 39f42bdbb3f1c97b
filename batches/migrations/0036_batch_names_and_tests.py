
from django.db import migrations, models

class Migration(migrations.Migration):

    dependencies = [
        ('batches', '0035_webhook_deliveries'),
    ]

    operations = [
        migrations.AddField(
            model_name='batch',
            name='is_test',
            field=models.BooleanField(db_default=False, default=False, help_text='Whether it is a test message. The pages list those by themselves.'),
        ),
        migrations.AddField(
            model_name='batch',
            name='name',
            field=models.CharField(blank=True, db_default='', default='', help_text="What people call it. Empty: the file's name.", max_length=200),
        ),
    ]
