"""Ask PostgreSQL for the people, or the rows of a batch, whose words have every Term of a query.

Two ways lead to them. If many people match, those among the newest people, or in the next rows of a batch, fill a page
at once. If few match, the index of the search keys finds them all. So no search reads more than some ten thousand rows,
however many emails there are (decision 56).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from django.db import transaction

from batches.directory import sql
from batches.directory.words import Term, combine_keys
from batches.models.sql import Statement

WALK_PEOPLE = 20_000
"""How many of the newest people are read one after the other, before the index is asked."""

WALK_ROWS = 5_000
"""How many rows of a batch are read at once if it has no more, and the most that one question answers."""

STEP_ROWS = 2_000
"""How many rows of a larger batch are read one after the other, before the index is asked."""

MANY_ROWS = 20
"""So many matches in STEP_ROWS rows are many."""

_KEYS = 'batches_search_keys(p.words, p.owner_id) COLLATE "C"'
_OWNED = "(%(owner)s::int IS NULL OR p.owner_id + 0 = %(owner)s)"
"""A sum, so that the planner reads no index of all people for the owner, who is among the search keys."""


class Match:
    """The conditions on a person ``p`` that a query makes, and their values."""

    def __init__(self, terms: Sequence[Term], owner: int | None) -> None:
        owner_keys = [] if owner is None else [f"#{owner}"]
        choices = combine_keys(terms)
        self.values: dict[str, Any] = {"owner": owner}
        self.values |= {f"likes{place}": term.likes for place, term in enumerate(terms)}
        self.values |= {f"keys{place}": owner_keys + keys for place, keys in enumerate(choices)}
        likes = [f"p.words LIKE ANY(%(likes{place})s::text[])" for place in range(len(terms))]
        keys = " OR ".join(f"{_KEYS} @> %(keys{place})s::text[]" for place in range(len(choices)))
        self.has_words = " AND ".join([_OWNED, *likes])
        self.has_keys = f"({keys}) AND {self.has_words}"


def match_people(match: Match, *, before: int, size: int) -> list[sql.MatchedPerson]:
    """Find the next people, the newest first: those with a lower id than ``before``."""
    [newest] = sql.fetch(sql.NEWEST_PERSON)
    before = min(before, newest.person_id + 1)
    values = match.values | {"before": before, "from": before - WALK_PEOPLE, "size": size}
    found = (
        "SELECT p.id, p.digest FROM batches_person p WHERE p.id < %(before)s AND {} ORDER BY p.id DESC LIMIT %(size)s"
    )
    people = sql.fetch(_answers(found.format(f"p.id >= %(from)s AND {match.has_words}"), sql.MatchedPerson), values)
    if len(people) == size or before <= WALK_PEOPLE:
        return people
    with _by_index():
        return sql.fetch(_answers(found.format(match.has_keys), sql.MatchedPerson), values)


def match_rows(match: Match, batch_id: int, *, after_row: int) -> Iterator[list[int]]:
    """Yield the rows of a batch after one, in their order: those of the next STEP_ROWS rows, and then the others.

    While the next rows have many matches, they are read one part after the other: the index would find a million, of
    which the caller wants the first.
    """
    values = match.values | {"batch": batch_id, "size": WALK_ROWS}
    # LATERAL with LIMIT: the planner reads the person of each row, and never all people.
    walk = f"""SELECT e.row FROM batches_email e CROSS JOIN LATERAL (
            SELECT FROM batches_person p WHERE p.digest = e.address_digest AND {match.has_words} LIMIT 1) AS found
        WHERE e.batch_id = %(batch)s AND e.row > %(after)s AND e.row <= %(end)s ORDER BY e.row"""  # noqa: S608  constants
    end = after_row
    while True:
        values |= {"after": end, "end": end + STEP_ROWS}
        near = [found.row for found in sql.fetch(_answers(walk, sql.FoundRow), values)]
        yield near
        end += STEP_ROWS
        if len(near) < MANY_ROWS:
            break
    # Materialized: first the people, by the index of the keys, and then their rows in the batch by the primary key.
    index = f"""WITH found AS MATERIALIZED (SELECT p.id FROM batches_person p WHERE {match.has_keys})
        SELECT l.row FROM found CROSS JOIN LATERAL (
            SELECT l.row FROM batches_personemail l
            WHERE l.person_id = found.id AND l.batch_id = %(batch)s AND l.row > %(after)s OFFSET 0) AS l
        ORDER BY l.row LIMIT %(size)s"""  # noqa: S608  constants
    values["after"] = end
    while True:
        with _by_index():
            rows = [found.row for found in sql.fetch(_answers(index, sql.FoundRow), values)]
        yield rows
        if len(rows) < WALK_ROWS:
            return
        values["after"] = rows[-1]


def _answers(text: str, row: type[sql.Row]) -> Statement[sql.Row]:
    return Statement(text, row)


@contextmanager
def _by_index() -> Iterator[None]:
    """Let the planner use the index of the search keys alone, within a transaction."""
    with transaction.atomic():
        sql.execute(sql.PREPARE_SEARCH)
        yield
        # A transaction of the caller goes on as it was.
        sql.execute(sql.END_SEARCH)
