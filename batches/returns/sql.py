"""The statements of ``statements.sql``, each with the rows that it answers. This module runs nothing but ``fetch``."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from django.db import connection

from batches.models.sql import Statement, load

Row = TypeVar("Row", bound=tuple[Any, ...])


class NewestEmail(NamedTuple):
    """The newest email that was sent to an address, by the digest of the address."""

    digest: bytes
    email_id: int


class FullDays(NamedTuple):
    """On how many days the mailbox of an address was full."""

    digest: bytes
    day_count: int


class RefusedEmail(NamedTuple):
    """An email that a relay refused for good in the session."""

    email_id: int
    row: int
    address: str
    address_digest: bytes | None
    code: int
    reply: str
    completed_at: datetime | None


_statements = load(Path(__file__).with_name("statements.sql"))

FIND_NEWEST = Statement(_statements["FIND_NEWEST"], NewestEmail)
COUNT_FULL_DAYS = Statement(_statements["COUNT_FULL_DAYS"], FullDays)
REFUSED_EMAILS = Statement(_statements["REFUSED_EMAILS"], RefusedEmail)


def fetch(statement: Statement[Row], arguments: Mapping[str, Any]) -> list[Row]:
    """Run a statement over Django's connection, and return its rows."""
    with connection.cursor() as cursor:
        cursor.execute(statement, arguments)
        return statement.rows(cursor.fetchall())
