"""Find what the database holds about one person, without changing anything.

A Spelling enters. Findings leave: the ids of the emails, and for every other table the columns that hold the address.
"""

from __future__ import annotations

import base64
import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.db import connection
from django.db.models import Q

from batches.models import Batch, Sender
from batches.people import sql
from batches.people.spelling import Spelling
from batches.people.uploads import holds_address

CACHE_TABLE = "batches_cache"
"""The table of Django's database cache."""

SKIPPED_TABLES = frozenset(
    {
        "batches_auditentry",  # only grows, and has digests in place of addresses
        "django_migrations",
    }
)

OWN_TABLES = frozenset({"auth_user", "batches_sender", "django_session", CACHE_TABLE})
"""Tables that are searched by their own functions."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Table:
    """The columns of a table that hold text, with their types."""

    name: str
    columns: dict[str, str]
    unique: frozenset[str] = frozenset()
    """Those of them that a unique index has."""

    @property
    def quoted(self) -> str:
        return connection.ops.quote_name(self.name)

    def match(self) -> str:
        """Return the SQL condition that a row holds the address. Its parameters are ``match_values``."""
        return " OR ".join(self.match_column(column) for column in self.columns)

    @staticmethod
    def match_column(column: str) -> str:
        name = connection.ops.quote_name(column)
        return f"(lower({name}::text) LIKE ANY(%(likes)s) AND {name}::text ~* %(pattern)s)"


@dataclass(frozen=True, kw_only=True, slots=True)
class Mention:
    """Rows of one table that hold the address somewhere in their text."""

    table: str
    count: int


@dataclass(frozen=True, kw_only=True, slots=True)
class RejectedFound:
    """A rejected row that holds the address. ``is_own`` says that it does so as the recipient."""

    id: int
    batch_id: int
    cells: list[str]
    is_own: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Findings:
    """Where the database holds an address."""

    emails: dict[int, list[int]] = field(default_factory=dict)
    """The ids of the person's own emails, by batch."""
    rejected: list[RejectedFound] = field(default_factory=list)
    uploads: list[int] = field(default_factory=list)
    """The drafts whose stored file holds it."""
    users: list[User] = field(default_factory=list)
    senders: list[Sender] = field(default_factory=list)
    mentions: list[Mention] = field(default_factory=list)

    @property
    def email_count(self) -> int:
        return sum(map(len, self.emails.values()))

    @property
    def batch_ids(self) -> list[int]:
        """The batches with an email, a rejected row or a stored file of the person."""
        found = {*self.emails, *self.uploads, *(row.batch_id for row in self.rejected)}
        return sorted(found)

    def __bool__(self) -> bool:
        return bool(self.emails or self.rejected or self.uploads or self.users or self.senders or self.mentions)


def match_values(spelling: Spelling) -> dict[str, Any]:
    """Return the parameters of the conditions on text."""
    return {"likes": spelling.likes, "pattern": spelling.pattern}


def find_person(spelling: Spelling) -> Findings:
    """Find everything about a person in the database. Reads every table once."""
    emails: dict[int, list[int]] = defaultdict(list)
    for email in sql.fetch(sql.FIND_EMAILS, {"lowered": spelling.lowered}):
        emails[email.batch_id].append(email.id)
    return Findings(
        emails=dict(emails),
        rejected=find_rejected(spelling),
        uploads=find_uploads(spelling, known=emails),
        users=find_users(spelling),
        senders=find_senders(spelling),
        mentions=list(_find_mentions(spelling)),
    )


def find_rejected(spelling: Spelling) -> list[RejectedFound]:
    """Find the rejected rows that hold the address."""
    rows = sql.fetch(sql.FIND_REJECTED, match_values(spelling))
    batches = Batch.objects.in_bulk({row.batch_id for row in rows})
    found = []
    for row in rows:
        cells = [str(cell) for cell in json.loads(row.raw)]
        is_own = _is_recipient(batches[row.batch_id], cells, spelling)
        found.append(RejectedFound(id=row.id, batch_id=row.batch_id, cells=cells, is_own=is_own))
    return found


def _is_recipient(batch: Batch, cells: Sequence[str], spelling: Spelling) -> bool:
    """Whether an address column of a rejected row holds the address, or nobody can know the columns of the row."""
    if len(cells) < len(batch.columns) or not batch.columns:
        return True
    return any(spelling.is_in(cells[index]) for index in batch.address_indexes if index < len(cells))


def find_uploads(spelling: Spelling, *, known: dict[int, list[int]]) -> list[int]:
    """Find the drafts whose stored file holds the address. Those with an email to it hold it certainly."""
    drafts = Batch.objects.filter(upload_chunks__number=0).order_by("pk")
    return [draft.pk for draft in drafts if draft.pk in known or holds_address(draft, spelling)]


def find_users(spelling: Spelling) -> list[User]:
    """Find the accounts that have the address, as their email or in their name."""
    local = spelling.stored.rpartition("@")[0]
    candidates = User.objects.filter(Q(email__icontains=local) | Q(username__icontains=local)).order_by("pk")
    return [user for user in candidates if spelling.is_in(user.email) or spelling.is_in(user.username)]


def find_senders(spelling: Spelling) -> list[Sender]:
    """Find the senders that mail comes from or goes back to under the address."""
    return [
        sender
        for sender in Sender.objects.order_by("pk")
        if spelling.is_in(sender.address) or spelling.is_in(sender.reply_to)
    ]


def read_tables() -> list[Table]:
    """Return every table that has text and is not searched by a function of its own.

    The tables are read from the database, so that no table of a later release or of a library is forgotten.
    """
    found: dict[str, list[sql.TextColumn]] = defaultdict(list)
    for each in sql.fetch(sql.TEXT_COLUMNS):
        if each.table not in SKIPPED_TABLES | OWN_TABLES:
            found[each.table].append(each)
    return [
        Table(
            name=name,
            columns={each.column: each.type for each in columns},
            unique=frozenset(each.column for each in columns if each.is_unique),
        )
        for name, columns in found.items()
    ]


def find_sessions(spelling: Spelling) -> Iterator[tuple[Session, str]]:
    """Yield the sessions whose data holds the address, such as that of somebody's last test, with the data as JSON."""
    for session in Session.objects.iterator():
        text = json.dumps(session.get_decoded(), ensure_ascii=False)
        if spelling.is_in(text):
            yield session, text


def find_cached(spelling: Spelling) -> list[str]:
    """Find the keys of cached values that hold the address. The database cache packs them in base64 and pickle."""
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT cache_key, value FROM {CACHE_TABLE}")  # noqa: S608  a constant
        return [key for key, value in cursor.fetchall() if spelling.is_in(key) or spelling.is_in(_decode(value))]


def _decode(value: str) -> str:
    """Return the text in a value of the cache. It is not unpickled, because nothing of it has to be run."""
    try:
        return base64.b64decode(value).decode(errors="replace")
    except ValueError:
        return value


def _find_mentions(spelling: Spelling) -> Iterator[Mention]:
    for table in read_tables():
        with connection.cursor() as cursor:
            cursor.execute(
                f"SELECT count(*) FROM {table.quoted} WHERE {table.match()}",  # noqa: S608  quoted names of our tables
                match_values(spelling),
            )
            [(count,)] = cursor.fetchall()
        if count:
            yield Mention(table=table.name, count=count)
