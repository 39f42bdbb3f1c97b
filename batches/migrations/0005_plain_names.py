"""Give columns the names of the glossary. Only names change: PostgreSQL rewrites no row and locks for an instant."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("batches", "0004_stretches")]

    operations = [
        migrations.RenameField("email", "settled_at", "completed_at"),
        migrations.RenameField("emailjob", "fresh_after_row", "handed_out_to_row"),
        migrations.RenameField("lane", "stretch_after_row", "range_after_row"),
        migrations.RenameField("lane", "stretch_end_row", "range_end_row"),
    ]
