"""The expressions of the indexes by which searches find parts of texts."""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.db import models

KEY_FUNCTION = "batches_search_keys"
"""The SQL function that cuts words into search keys. The migration makes it."""


class SearchKeys(models.Func):
    """The search keys of some words: each three characters in a row, and their owner."""

    function = KEY_FUNCTION
    arity = 2
    output_field = ArrayField(models.TextField())


class Lowered(models.Func):
    """Some texts in lower case, with a space between them. ``batch_search`` has the same in SQL."""

    template = """lower((%(expressions)s) COLLATE "pg_c_utf8")"""
    arg_joiner = " || ' ' || "
    output_field = models.TextField()
