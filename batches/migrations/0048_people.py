"""The tables that the search for people reads. Workers fill them after the migration, the newest batches first."""

from __future__ import annotations

import django.contrib.postgres.indexes
import django.db.models.deletion
import django.db.models.functions.comparison
from django.db import migrations, models

import batches.models.search_keys

# In PL/pgSQL, because PostgreSQL starts such a function faster for each row than one in SQL. Its cost tells the planner
# that no search should call it for row after row.
CREATE_FUNCTION = """
CREATE FUNCTION batches_search_keys(words text, owner_id integer) RETURNS text[]
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE COST 10000 AS $$
DECLARE
  keys text[] := ARRAY['#' || owner_id];
BEGIN
  FOR place IN 1 .. length(words) - 2 LOOP
    keys := keys || substr(words, place, 3);
  END LOOP;
  RETURN keys;
END
$$
"""


class Migration(migrations.Migration):
    dependencies = [("batches", "0047_counts_of_the_review")]

    operations = [
        migrations.RunSQL(
            CREATE_FUNCTION, reverse_sql="DROP FUNCTION batches_search_keys(words text, owner_id integer)"
        ),
        migrations.CreateModel(
            name="Person",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("owner_id", models.IntegerField(help_text="The user who made the batches, or NO_OWNER.")),
                ("digest", models.BinaryField(help_text="Of the address: suppressions.find_digest.", max_length=16)),
                (
                    "words",
                    models.TextField(help_text="The names and the address as a search compares them: directory.words."),
                ),
            ],
            options={
                "verbose_name_plural": "people",
                "indexes": [
                    django.contrib.postgres.indexes.GinIndex(
                        django.db.models.functions.comparison.Collate(
                            batches.models.search_keys.SearchKeys("words", "owner_id"), "C"
                        ),
                        gin_pending_list_limit=1024,
                        name="person_search_keys",
                    )
                ],
                "constraints": [models.UniqueConstraint(fields=("digest", "owner_id"), name="person_once")],
            },
        ),
        migrations.CreateModel(
            name="PersonEmail",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "person_id",
                        "batch_id",
                        "row",
                        blank=True,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                (
                    "person",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="emails",
                        to="batches.person",
                    ),
                ),
                (
                    "batch",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="batches.batch",
                    ),
                ),
                ("row", models.PositiveIntegerField()),
            ],
            options={
                "indexes": [
                    django.contrib.postgres.indexes.BrinIndex(fields=["batch"], name="person_email_batch")
                ],
            },
        ),
        migrations.AddField(
            model_name="batch",
            name="listed_to_row",
            field=models.PositiveIntegerField(
                db_default=0,
                default=0,
                editable=False,
                help_text="The search for people knows every row up to this one.",
            ),
        ),
        migrations.AddField(
            model_name="batch",
            name="is_listed",
            field=models.BooleanField(
                db_default=False,
                default=False,
                editable=False,
                help_text="Whether the search knows every row of it.",
            ),
        ),
        migrations.AddIndex(
            model_name="batch",
            index=models.Index(
                condition=models.Q(
                    ("is_listed", False), ("purged_at", None), models.Q(("status__in", ("draft", "scheduled")), _negated=True)
                ),
                fields=["-id"],
                name="batch_unlisted",
            ),
        ),
    ]
