"""Keep the pieces of uploaded files as they are: compressing them took PostgreSQL a tenth of an import's time."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("batches", "0001_first_tables")]

    operations = [
        migrations.RunSQL(
            "ALTER TABLE batches_uploadchunk ALTER COLUMN data SET STORAGE EXTERNAL",
            reverse_sql="ALTER TABLE batches_uploadchunk ALTER COLUMN data SET STORAGE EXTENDED",
        )
    ]
