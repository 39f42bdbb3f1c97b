"""Find batches by parts of their names, their files' names and the subjects of their jobs. The newest come first.

A queryset of batches and what a user typed enter. Ids leave. As for people, two ways lead to them: if many batches
match, those among the newest fill a page at once, and if few match, the indexes of search keys find them (decision 61).
"""

from __future__ import annotations

import re
from typing import Final

from django.db import connection, transaction
from django.db.models import QuerySet

from batches.models import Batch

WALK_BATCHES: Final = 1_000
"""How many of the newest batches are read one after the other, before the indexes are asked."""

KEY_CHARS: Final = 3
WORDS_MAX: Final = 6
NUMBER_MAX_DIGITS: Final = 9

# As in the indexes batch_search_keys and job_search_keys: PostgreSQL compares the expressions.
_NAMES = """lower(({alias}.name || ' ' || {alias}.filename) COLLATE "pg_c_utf8")"""
_SUBJECT = """lower((j.subject) COLLATE "pg_c_utf8")"""

_HAS_WORD = f"""({_NAMES.format(alias="batches_batch")} LIKE %s
  OR EXISTS (SELECT FROM batches_emailjob j WHERE j.batch_id = batches_batch.id AND {_SUBJECT} LIKE %s))"""

# Arrays, so that the planner finds these batches first, whatever it believes of their number.
_IS_NEAR = f"""({_NAMES.format(alias="batches_batch")} LIKE %s OR batches_batch.id = ANY(ARRAY(
  SELECT j.batch_id FROM batches_emailjob j WHERE j.batch_id = ANY(%s::bigint[]) AND {_SUBJECT} LIKE %s)))"""  # noqa: S608  constants

_IS_FOUND = f"""batches_batch.id = ANY(ARRAY(
  SELECT b.id FROM batches_batch b
  WHERE batches_search_keys({_NAMES.format(alias="b")}, 0) COLLATE "C" @> %s::text[]
    AND {_NAMES.format(alias="b")} LIKE %s
  UNION ALL
  SELECT j.batch_id FROM batches_emailjob j
  WHERE batches_search_keys({_SUBJECT}, 0) COLLATE "C" @> %s::text[] AND {_SUBJECT} LIKE %s))"""  # noqa: S608  constants


# A word of all batches would be compared in several processes that make the keys again of each.
_READ_BY_INDEX = (
    "SELECT set_config('enable_seqscan', 'off', true), set_config('max_parallel_workers_per_gather', '0', true)"
)
_READ_FREELY = "SET LOCAL enable_seqscan TO DEFAULT; SET LOCAL max_parallel_workers_per_gather TO DEFAULT"


def find_batches(batches: QuerySet[Batch], text: str, *, before: int | None = None, size: int) -> list[int]:
    """Return the highest ids of the batches that have every word of a text, at most ``size``.

    A word may be a part of the batch's name, of the file's name or of a subject. A number may also be the batch's id.

    Args:
        batches: Among these. It has no order.
        before: Only ids below this one.
    """
    words = list(dict.fromkeys(text.lower().replace("\0", "").split()))[:WORDS_MAX]
    if before is not None:
        batches = batches.filter(pk__lt=before)
    batches = batches.order_by("-pk")
    newest = list(batches.values_list("pk", flat=True)[:WALK_BATCHES])
    if not newest:
        return []
    found = list(_filter(batches.filter(pk__gte=newest[-1]), words, near=newest).values_list("pk", flat=True)[:size])
    if len(found) == size or len(newest) < WALK_BATCHES:
        return found
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(_READ_BY_INDEX)
        found = list(_filter(batches, words, near=None).values_list("pk", flat=True)[:size])
        cursor.execute(_READ_FREELY)  # a transaction of the caller goes on as it was
    return found


def _filter(batches: QuerySet[Batch], words: list[str], *, near: list[int] | None) -> QuerySet[Batch]:
    """Keep the batches that have every word. ``near`` are their ids, if they are few. None: ask the indexes."""
    for word in words:
        pattern = f"%{_escape(word)}%"
        keys = [word[place : place + KEY_CHARS] for place in range(len(word) - KEY_CHARS + 1)]
        condition: str
        values: list[object]
        if near is not None:
            condition, values = _IS_NEAR, [pattern, near, pattern]
        elif keys:
            condition, values = _IS_FOUND, [keys, pattern, keys, pattern]
        else:  # too short for a key, so it is compared with each batch that the other words leave
            condition, values = _HAS_WORD, [pattern, pattern]
        if word.isascii() and word.isdigit() and len(word) <= NUMBER_MAX_DIGITS:
            condition, values = f"({condition} OR batches_batch.id = %s)", [*values, int(word)]
        batches = batches.extra(where=[condition], params=values)  # noqa: S610  constants
    return batches


def _escape(text: str) -> str:
    """Return a text as a part of a pattern for LIKE."""
    return re.sub(r"([\\%_])", r"\\\1", text)
