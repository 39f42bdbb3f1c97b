"""The table of Django's database cache. Django has no migration for it, only ``createcachetable``."""

from django.db import migrations

CREATE = """
CREATE TABLE batches_cache (
  cache_key varchar(255) PRIMARY KEY,
  value text NOT NULL,
  expires timestamp with time zone NOT NULL
);
CREATE INDEX batches_cache_expires ON batches_cache (expires);
"""


class Migration(migrations.Migration):
    dependencies = [("batches", "0013_groups_and_versions")]

    operations = [migrations.RunSQL(CREATE, "DROP TABLE batches_cache")]
