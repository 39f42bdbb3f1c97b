

import django.db.models.functions.datetime
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('batches', '0025_round_trips'),
    ]

    operations = [
        migrations.RemoveConstraint(
            model_name='return',
            name='return_kind_known',
        ),
        # The jobs that exist have made Message-IDs of the other form. New ones name their emails.
        migrations.AddField(
            model_name='emailjob',
            name='names_emails',
            field=models.BooleanField(db_default=False, default=False, editable=False, help_text='Whether its Message-IDs name their emails. Those of jobs from before 0.3 do not.'),
        ),
        migrations.AlterField(
            model_name='emailjob',
            name='names_emails',
            field=models.BooleanField(db_default=True, default=True, editable=False, help_text='Whether its Message-IDs name their emails. Those of jobs from before 0.3 do not.'),
        ),
        migrations.AddField(
            model_name='return',
            name='address_digest',
            field=models.BinaryField(blank=True, help_text='Of the recipient, as in Email. Emptied with the address.', max_length=16, null=True),
        ),
        migrations.AddField(
            model_name='waitingreturn',
            name='next_try_at',
            field=models.DateTimeField(blank=True, db_default=django.db.models.functions.datetime.Now(), help_text='When it is compared again. Empty: not any more.', null=True),
        ),
        migrations.AlterField(
            model_name='return',
            name='kind',
            field=models.CharField(choices=[('bounced', 'came back'), ('complained', 'complaint'), ('auto_reply', 'automatic reply'), ('refused', 'refused by the relay')], max_length=16),
        ),
        migrations.AddIndex(
            model_name='return',
            index=models.Index(condition=models.Q(('address_digest__isnull', False), ('return_class', 'full')), fields=['address_digest', 'received_at'], name='return_full'),
        ),
        migrations.AddIndex(
            model_name='waitingreturn',
            index=models.Index(condition=models.Q(('next_try_at__isnull', False)), fields=['next_try_at'], name='waiting_return_due'),
        ),
        migrations.AddConstraint(
            model_name='return',
            constraint=models.CheckConstraint(condition=models.Q(('kind__in', ['bounced', 'complained', 'auto_reply', 'refused'])), name='return_kind_known'),
        ),
    ]
