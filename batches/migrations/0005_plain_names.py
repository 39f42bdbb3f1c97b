"""Give columns the names of the glossary, and help texts plain English.

Only names change. PostgreSQL rewrites no row and locks each table for an instant.
"""

import django.contrib.postgres.fields
import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("batches", "0004_stretches")]

    operations = [
        migrations.RenameField("email", "settled_at", "completed_at"),
        migrations.RenameField("emailjob", "fresh_after_row", "handed_out_to_row"),
        migrations.RenameField("lane", "stretch_after_row", "range_after_row"),
        migrations.RenameField("lane", "stretch_end_row", "range_end_row"),
        # What follows runs no SQL: help texts, choices and the names of relations live in Python.
        migrations.AlterField(
            model_name='attempt',
            name='email',
            field=models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='recorded_attempts', to='batches.email'),
        ),
        migrations.AlterField(
            model_name='attempt',
            name='lane',
            field=models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='recorded_attempts', to='batches.lane'),
        ),
        migrations.AlterField(
            model_name='attempt',
            name='outcome',
            field=models.CharField(choices=[('sent', 'Sent'), ('deferred', 'Deferred'), ('failed', 'Failed'), ('unknown', 'Unknown'), ('interrupted', 'worker died'), ('requeued', 'Requeued')], max_length=16),
        ),
        migrations.AlterField(
            model_name='batch',
            name='address_index',
            field=models.PositiveSmallIntegerField(default=0, help_text='The position of the address column, counted from 0.'),
        ),
        migrations.AlterField(
            model_name='batch',
            name='columns',
            field=models.JSONField(default=list, help_text='The column names of the file, in its order, with the address column.'),
        ),
        migrations.AlterField(
            model_name='batch',
            name='delimiter',
            field=models.CharField(blank=True, help_text='The character that separates the cells of the uploaded file.', max_length=1),
        ),
        migrations.AlterField(
            model_name='batch',
            name='encoding',
            field=models.CharField(blank=True, help_text='The encoding of the uploaded file.', max_length=32),
        ),
        migrations.AlterField(
            model_name='batch',
            name='merge_fields',
            field=models.JSONField(default=list, help_text='The merge fields that the other columns fill, in the order of the file.'),
        ),
        migrations.AlterField(
            model_name='batch',
            name='request_digest',
            field=models.CharField(blank=True, editable=False, help_text='SHA-256 of the request that had the idempotency key.', max_length=64),
        ),
        migrations.AlterField(
            model_name='email',
            name='attempts',
            field=models.PositiveSmallIntegerField(db_default=0, default=0, help_text='The attempts so far. An attempt counts even if its worker died.'),
        ),
        migrations.AlterField(
            model_name='email',
            name='completed_at',
            field=models.DateTimeField(blank=True, help_text='When the terminal status was recorded.', null=True),
        ),
        migrations.AlterField(
            model_name='email',
            name='fields',
            field=models.JSONField(db_default=models.Value([], models.JSONField()), default=list, help_text="The cells, all of them strings, in the order of the batch's merge fields."),
        ),
        migrations.AlterField(
            model_name='email',
            name='next_attempt_at',
            field=models.DateTimeField(blank=True, help_text='When the next attempt is due. Empty before the first attempt ends, and at the end.', null=True),
        ),
        migrations.AlterField(
            model_name='email',
            name='reply',
            field=models.TextField(blank=True, db_default='', default='', help_text="The relay's last reply, or the reason why there is none."),
        ),
        migrations.AlterField(
            model_name='email',
            name='row',
            field=models.PositiveIntegerField(help_text='The line of the file, or the place in the list, counted from 1.'),
        ),
        migrations.AlterField(
            model_name='emailjob',
            name='failed_count',
            field=models.PositiveIntegerField(default=0, help_text='Set when the job ends. Until then the lanes count.'),
        ),
        migrations.AlterField(
            model_name='emailjob',
            name='handed_out_to_row',
            field=models.PositiveIntegerField(default=0, help_text='Every row up to this one was handed to a lane, as part of a row range.'),
        ),
        migrations.AlterField(
            model_name='emailjob',
            name='last_error',
            field=models.TextField(blank=True, help_text='A sentence that says why the relay accepts no mail.'),
        ),
        migrations.AlterField(
            model_name='emailjob',
            name='relay_failure_count',
            field=models.PositiveIntegerField(default=0, help_text='Relay errors in a row. Each of them doubles the wait.'),
        ),
        migrations.AlterField(
            model_name='emailjob',
            name='sent_count',
            field=models.PositiveIntegerField(default=0, help_text='Set when the job ends. Until then the lanes count.'),
        ),
        migrations.AlterField(
            model_name='emailtemplate',
            name='is_default',
            field=models.BooleanField(default=False, help_text='An upload that names no template uses this one.'),
        ),
        migrations.AlterField(
            model_name='emailtemplate',
            name='subject',
            field=models.TextField(help_text='A merge field looks like {{ name }}.'),
        ),
        migrations.AlterField(
            model_name='lane',
            name='claimed_rows',
            field=django.contrib.postgres.fields.ArrayField(base_field=models.IntegerField(), blank=True, default=list, help_text='The rows of the emails in flight.', size=None),
        ),
        migrations.AlterField(
            model_name='lane',
            name='lease_until',
            field=models.DateTimeField(blank=True, help_text="When the lease runs out, by the database's clock. Empty while the lane is free.", null=True),
        ),
        migrations.AlterField(
            model_name='lane',
            name='range_after_row',
            field=models.PositiveIntegerField(default=0, help_text='The rows up to this one have already been claimed.'),
        ),
        migrations.AlterField(
            model_name='lane',
            name='range_end_row',
            field=models.PositiveIntegerField(default=0, help_text='The last row of the row range.'),
        ),
        migrations.AlterField(
            model_name='lane',
            name='rate_per_second',
            field=models.FloatField(default=0, help_text='The emails sent in the last second or so, while the lane is leased.'),
        ),
        migrations.AlterField(
            model_name='lane',
            name='suspected_at',
            field=models.DateTimeField(blank=True, help_text='When a sweep found that the lease had run out. Without meaning after a renewal.', null=True),
        ),
        migrations.AlterField(
            model_name='lane',
            name='worker',
            field=models.CharField(blank=True, help_text='The RQ worker that leased the lane last.', max_length=255),
        ),
        migrations.AlterField(
            model_name='rejectedrow',
            name='line',
            field=models.PositiveIntegerField(help_text='The line of the file on which the record begins, counted from 1.'),
        ),
        migrations.AlterField(
            model_name='rejectedrow',
            name='raw',
            field=models.JSONField(default=list, help_text='The cells of the line, as they were read.'),
        ),
    ]
