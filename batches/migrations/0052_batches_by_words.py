"""The indexes by which lists of batches are searched. They are built without a lock, for a table of many batches."""

from __future__ import annotations

from django.contrib.postgres.indexes import GinIndex
from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models
from django.db.models.functions import Collate

from batches.models.search_keys import Lowered, SearchKeys


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("batches", "0051_names_of_states")]

    operations = [
        AddIndexConcurrently(
            model_name="batch",
            index=GinIndex(
                Collate(SearchKeys(Lowered("name", "filename"), models.Value(0)), "C"), name="batch_search_keys"
            ),
        ),
        AddIndexConcurrently(
            model_name="emailjob",
            index=GinIndex(Collate(SearchKeys(Lowered("subject"), models.Value(0)), "C"), name="job_search_keys"),
        ),
        AddIndexConcurrently(
            model_name="emailjob", index=models.Index(fields=["template_key", "batch"], name="job_by_template")
        ),
    ]
