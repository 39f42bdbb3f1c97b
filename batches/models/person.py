"""A Person is one address in the batches of one owner, as the search finds it. A PersonEmail is one email to a Person.

Both are copies for the search alone: ``directory.listing`` makes them of the emails after a batch was sent, and
``directory.listing`` removes them with the emails' addresses. Nothing of the send path reads or writes them.
"""

from __future__ import annotations

from django.contrib.postgres.indexes import BrinIndex, GinIndex
from django.db import models
from django.db.models.functions import Collate

from batches.models.batch import Batch
from batches.models.search_keys import SearchKeys

NO_OWNER = 0
"""The owner of the people in batches that no user made. No user has this id."""


class Person(models.Model):
    """One address in the batches of one owner.

    Each owner has a Person of their own for an address, because the names come from the owner's lists.
    """

    owner_id = models.IntegerField(help_text="The user who made the batches, or NO_OWNER.")
    digest = models.BinaryField(max_length=16, help_text="Of the address: suppressions.find_digest.")
    words = models.TextField(help_text="The names and the address as a search compares them: directory.words.")

    class Meta:
        verbose_name_plural = "people"
        indexes = [
            # directory.finding: the people whose words have each key of the search. Few pending entries, because each
            # search reads all of them.
            GinIndex(
                Collate(SearchKeys("words", "owner_id"), "C"), name="person_search_keys", gin_pending_list_limit=1024
            ),
        ]
        constraints = [
            # directory.listing finds a Person by both. The digest is first: erasing asks for every owner's.
            models.UniqueConstraint(fields=["digest", "owner_id"], name="person_once"),
        ]

    def __str__(self) -> str:
        return f"person {self.pk}"


class PersonEmail(models.Model):
    """One email to a Person, by its batch and row."""

    pk = models.CompositePrimaryKey("person_id", "batch_id", "row")
    # Without constraints, like the keys of Attempt: millions are written at once, by directory.listing alone.
    person = models.ForeignKey(
        Person, on_delete=models.DO_NOTHING, related_name="emails", db_index=False, db_constraint=False
    )
    batch = models.ForeignKey(Batch, on_delete=models.DO_NOTHING, related_name="+", db_index=False, db_constraint=False)
    row = models.PositiveIntegerField()

    class Meta:
        indexes = [
            # admin.deleting: the rows of one batch, which were written one after the other.
            BrinIndex(fields=["batch"], name="person_email_batch"),
        ]

    def __str__(self) -> str:
        return f"row {self.row} of batch {self.batch_id}"
