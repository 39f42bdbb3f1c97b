"""No index holds a column that a send changes, and pages keep room for the new versions: docs/decisions/0014."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("batches", "0002_store_uploads_uncompressed")]

    operations = [
        migrations.RemoveIndex(model_name="email", name="email_unsettled"),
        migrations.AddField(
            model_name="emailjob",
            name="fresh_after_row",
            field=models.PositiveIntegerField(
                default=0, help_text="Every email up to this row was claimed before: what is pending of them is a retry."
            ),
        ),
        migrations.AddField(
            model_name="lane",
            name="held_after_row",
            field=models.PositiveIntegerField(
                default=0, help_text="What it is sending for the first time has a row behind this one."
            ),
        ),
        migrations.AddField(
            model_name="lane",
            name="suspected_at",
            field=models.DateTimeField(
                blank=True, help_text="When a sweep found the lease run out; void once it is renewed.", null=True
            ),
        ),
        migrations.AlterField(
            model_name="email",
            name="next_attempt_at",
            field=models.DateTimeField(
                blank=True, help_text="When a retry is due; empty before the first try and in the end.", null=True
            ),
        ),
        migrations.RunSQL(
            "UPDATE batches_email SET next_attempt_at = NULL"
            " WHERE attempts = 0 OR status NOT IN ('pending', 'sending')",
            reverse_sql="UPDATE batches_email SET next_attempt_at = now() WHERE next_attempt_at IS NULL",
        ),
        migrations.AddIndex(
            model_name="email",
            index=models.Index(
                "batch",
                "next_attempt_at",
                "id",
                name="email_retry",
                condition=models.Q(next_attempt_at__isnull=False),
            ),
        ),
        migrations.RunSQL(
            "ALTER TABLE batches_email SET (fillfactor = 40)", reverse_sql="ALTER TABLE batches_email RESET (fillfactor)"
        ),
    ]
