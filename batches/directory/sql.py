"""The statements of ``statements.sql``, each with the rows that it answers, and the functions that run them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from django.db import connection

from batches.models.sql import Statement, load

Row = TypeVar("Row", bound=tuple[Any, ...])


class ChangedPerson(NamedTuple):
    person_id: int


class NamedEmail(NamedTuple):
    """An email to a person, with what its words are made of."""

    person_id: int
    words: str
    address: str
    fields: str
    """JSON text, because Django's connection decodes no JSON."""
    merge_fields: str


class MatchedPerson(NamedTuple):
    person_id: int
    digest: bytes


class PersonTotal(NamedTuple):
    """How many emails are to a person, and which is the newest."""

    person_id: int
    email_count: int
    batch_id: int
    row: int


class Place(NamedTuple):
    """Where an email is."""

    batch_id: int
    row: int


class FoundRow(NamedTuple):
    row: int


class FirstRow(NamedTuple):
    row: int | None
    """None: there is no row."""


_statements = load(Path(__file__).with_name("statements.sql"))

LOCK_LISTING = _statements["LOCK_LISTING"]
ADD_NAMES = _statements["ADD_NAMES"]
ADD_PEOPLE = _statements["ADD_PEOPLE"]
ADD_EMAILS = _statements["ADD_EMAILS"]
SET_DIGESTS = _statements["SET_DIGESTS"]
REMOVE_ROWS = Statement(_statements["REMOVE_ROWS"], ChangedPerson)
REMOVE_BATCH = Statement(_statements["REMOVE_BATCH"], ChangedPerson)
REMOVE_PEOPLE_WITHOUT_EMAIL = _statements["REMOVE_PEOPLE_WITHOUT_EMAIL"]
REMOVE_PERSON = _statements["REMOVE_PERSON"]
NEWEST_EMAILS = Statement(_statements["NEWEST_EMAILS"], NamedEmail)
SET_WORDS = _statements["SET_WORDS"]
PREPARE_SEARCH = _statements["PREPARE_SEARCH"]
END_SEARCH = _statements["END_SEARCH"]
NEWEST_PERSON = Statement(_statements["NEWEST_PERSON"], ChangedPerson)
TOTALS = Statement(_statements["TOTALS"], PersonTotal)
ROW_OF_ADDRESS = Statement(_statements["ROW_OF_ADDRESS"], FirstRow)
PLACES = Statement(_statements["PLACES"], Place)


def fetch(statement: Statement[Row], arguments: Mapping[str, Any] | None = None) -> list[Row]:
    """Run a statement over Django's connection, and return its rows."""
    with connection.cursor() as cursor:
        cursor.execute(statement, arguments)
        return statement.rows(cursor.fetchall())


def execute(statement: str, arguments: Mapping[str, Any] | None = None) -> int:
    """Run a statement over Django's connection, and return how many rows it changed."""
    with connection.cursor() as cursor:
        cursor.execute(statement, arguments)
        return int(cursor.rowcount)


def match_newest(condition: str, values: Mapping[str, Any], digests: list[bytes]) -> dict[bytes, int]:
    """Return the highest id of a person ``p`` that fulfils a condition, for each of some digests."""
    statement = f"""SELECT max(p.id), p.digest FROM batches_person p
        WHERE p.digest = ANY(%(digests)s::bytea[]) AND {condition} GROUP BY p.digest"""  # noqa: S608  constants
    rows = fetch(Statement(statement, MatchedPerson), {**values, "digests": digests})
    return {bytes(row.digest): row.person_id for row in rows}
