import django.db.models.deletion
import django.db.models.functions.datetime
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('batches', '0037_preferences'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AddField(
            model_name='emailtemplate',
            name='kind',
            field=models.CharField(choices=[('markdown', 'Letter'), ('html', 'HTML')], db_default='html', default='html', help_text='How its body is written: as a letter in Markdown, or as HTML and text.', max_length=10, verbose_name='kind'),
        ),
        migrations.AddField(
            model_name='emailtemplate',
            name='source',
            field=models.TextField(blank=True, db_default='', default='', help_text='The letter in Markdown. HTML and text are made from it when it is saved.', verbose_name='letter'),
        ),
        migrations.AddField(
            model_name='templateversion',
            name='kind',
            field=models.CharField(choices=[('markdown', 'Letter'), ('html', 'HTML')], db_default='html', default='html', max_length=10, verbose_name='kind'),
        ),
        migrations.AddField(
            model_name='templateversion',
            name='source',
            field=models.TextField(blank=True, db_default='', default='', verbose_name='letter'),
        ),
        migrations.CreateModel(
            name='Picture',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('digest', models.CharField(editable=False, max_length=64, unique=True, verbose_name='digest')),
                ('content', models.BinaryField(verbose_name='content')),
                ('content_type', models.CharField(max_length=30, verbose_name='content type')),
                ('name', models.CharField(max_length=200, verbose_name='name')),
                ('width', models.PositiveIntegerField(verbose_name='width')),
                ('height', models.PositiveIntegerField(verbose_name='height')),
                ('size_bytes', models.PositiveIntegerField(verbose_name='size in bytes')),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), verbose_name='created at')),
                ('uploaded_by', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to=settings.AUTH_USER_MODEL, verbose_name='uploaded by')),
            ],
            options={
                'verbose_name': 'picture',
                'verbose_name_plural': 'pictures',
                'ordering': ['-pk'],
            },
        ),
        migrations.CreateModel(
            name='LetterFrame',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('accent', models.CharField(blank=True, max_length=7, verbose_name='colour')),
                ('logo_words', models.CharField(blank=True, max_length=200, verbose_name='words for the logo')),
                ('footer', models.TextField(blank=True, verbose_name='footer')),
                ('updated_at', models.DateTimeField(auto_now=True, verbose_name='updated at')),
                ('logo', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='batches.picture', verbose_name='logo')),
            ],
            options={
                'verbose_name': 'frame of letters',
                'verbose_name_plural': 'frames of letters',
                'constraints': [models.CheckConstraint(condition=models.Q(('pk', 1)), name='letter_frame_once')],
            },
        ),
    ]
