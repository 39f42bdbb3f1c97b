"""Find people by name, address or a part of either, among those in the batches that a user may see.

A user and a query enter. People leave, each with the newest email, and all emails to one of them. Nobody finds a person
by a name in the list of somebody else.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from django.contrib.auth.models import AnonymousUser, User

from batches import permissions
from batches.directory import sql
from batches.directory.matching import WALK_ROWS, Match, match_people, match_rows
from batches.directory.words import Term, drop_marks, has_terms, make_words, read_query
from batches.models import NO_OWNER, Batch, Email, Person
from batches.suppressions import find_digest

FIRST = 1 << 62
"""Higher than any id: what the first page begins before."""

_IN_ANGLES = re.compile(r"<([^<>\s]+@[^<>\s]+)>")
"""The address in ``Ann Berg <ann@example.org>``."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FoundPerson:
    """A person whom a search found."""

    person_id: int
    email_count: int
    """The emails to the person that the user may see."""
    newest: Email
    """The newest of them, with its state and its batch."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PersonPage:
    """Some people, and the id before which the next page begins."""

    people: list[FoundPerson]
    next_id: int | None


def find_people(user: User | AnonymousUser, text: str, *, before: int = FIRST, size: int) -> PersonPage:
    """Find the people whose name or address has every word of a text, the newest first.

    A whole address finds that one alone. A page may have less people than its size although there is a next one.
    """
    if not user.is_active or not (terms := read_query(text)):
        return PersonPage(people=[], next_id=None)
    owner = _owner_of(user)
    people = list(Person.objects.filter(**_whole_address(text, owner)).order_by("-pk")) if "@" in text else []
    if people:
        matched = [sql.MatchedPerson(person.pk, bytes(person.digest)) for person in people]
        return PersonPage(people=_tell(user, matched[:1]), next_id=None)
    match = Match(terms, owner)
    matched = match_people(match, before=before, size=size + 1)
    page = matched[:size]
    if owner is None:
        page = _drop_twins(match, page)
    return PersonPage(people=_tell(user, page), next_id=matched[size - 1].person_id if len(matched) > size else None)


def find_person(user: User | AnonymousUser, person_id: int) -> Person | None:
    """Find a person in batches that the user may see. None: there is none with this id."""
    if not user.is_active:
        return None
    owner = _owner_of(user)
    return Person.objects.filter(pk=person_id, **({} if owner is None else {"owner_id": owner})).first()


def find_person_of(user: User | AnonymousUser, email: Email) -> Person | None:
    """Find the person to whom an email of a batch is that the user may see. None: the directory does not know yet."""
    if email.address_digest is None:
        return None
    owner = _owner_of(user)
    people = Person.objects.filter(digest=email.address_digest, **({} if owner is None else {"owner_id": owner}))
    return people.order_by("-pk").first()


def read_mails(
    user: User | AnonymousUser, person: Person, *, before: tuple[int, int] = (FIRST, 0), size: int
) -> tuple[list[Email], tuple[int, int] | None]:
    """Read the emails to a person that the user may see, the newest batch first, and where the next page begins."""
    values = {"digest": bytes(person.digest), "owner": _owner_of(user), "size": size + 1}
    places = sql.fetch(sql.PLACES, values | {"before_batch": before[0], "before_row": before[1]})
    emails = _read_emails(user, places[:size], digest=bytes(person.digest))
    found = [emails[place] for place in places[:size] if place in emails]
    return found, tuple(places[size - 1]) if len(places) > size else None  # type: ignore[return-value]


def search_rows(batch: Batch, text: str, *, after_row: int = 0) -> Iterator[list[int]]:
    """Yield the rows of a batch whose recipient's name or address has every word of a text, in order, group by group.

    A small batch is read as it is. Of a larger one, the rows that the directory knows are found.
    """
    terms = read_query(text)
    if not terms:
        return
    if batch.total_count <= WALK_ROWS:
        yield [row for row in _scan(batch, terms) if row > after_row]
        return
    yield from match_rows(Match(terms, batch.created_by_id), batch.pk, after_row=after_row)


def sift(emails: Iterable[Email], batch: Batch, text: str) -> list[Email]:
    """Return those of some emails of a batch whose recipient's name or address has every word of a text."""
    terms = read_query(text)
    return [
        email
        for email in emails
        if terms and has_terms(make_words(batch.merge_fields, email.fields, address=email.address), terms)
    ]


def find_row(batch: Batch, text: str) -> int | None:
    """Find the first row of a batch that is to a whole address, or whose recipient has every word of a text.

    None: the directory knows none. It may still be reading the batch.
    """
    if "@" in text:
        values = {"digest": _digest_of(text), "batch": batch.pk, "owner": batch.created_by_id or NO_OWNER}
        rows = [found.row for found in sql.fetch(sql.ROW_OF_ADDRESS, values) if found.row is not None]
        if rows:
            return rows[0]
    return next((rows[0] for rows in search_rows(batch, text) if rows), None)


def _scan(batch: Batch, terms: Sequence[Term]) -> list[int]:
    rows = batch.emails.exclude(address="").order_by("row").values_list("row", "address", "fields")
    return [
        row
        for row, address, fields in rows
        if has_terms(make_words(batch.merge_fields, fields, address=address), terms)
    ]


def _owner_of(user: User | AnonymousUser) -> int | None:
    """Return whose batches a user sees: the own ones, or with the permission everybody's (None)."""
    return None if permissions.may(user, permissions.Permission.VIEW_ALL_BATCHES) else user.pk


def _whole_address(text: str, owner: int | None) -> dict[str, Any]:
    digest = _digest_of(text)
    return {"digest": digest} if owner is None else {"digest": digest, "owner_id": owner}


def _digest_of(text: str) -> bytes:
    """Return the digest of an address, or of the one in angle brackets."""
    address = drop_marks(text)
    found = _IN_ANGLES.search(address)
    return find_digest(found[1] if found else address.strip())


def _drop_twins(match: Match, page: Sequence[sql.MatchedPerson]) -> list[sql.MatchedPerson]:
    """Leave out who is in the batches of several owners, and is listed with the newest of them."""
    newest = sql.match_newest(match.has_words, match.values, [bytes(person.digest) for person in page])
    return [person for person in page if newest.get(bytes(person.digest)) == person.person_id]


def _tell(user: User | AnonymousUser, matched: Sequence[sql.MatchedPerson]) -> list[FoundPerson]:
    totals = sql.fetch(sql.TOTALS, {"people": [each.person_id for each in matched], "owner": _owner_of(user)})
    by_person = {total.person_id: total for total in totals}
    emails = _read_emails(user, [sql.Place(total.batch_id, total.row) for total in totals])
    found = []
    for person_id, digest in matched:
        total = by_person.get(person_id)
        newest = emails.get(sql.Place(total.batch_id, total.row)) if total else None
        # Otherwise the batch was purged or deleted at this moment. Nobody's email is shown as that of another person.
        if total and newest and newest.address_digest is not None and bytes(newest.address_digest) == bytes(digest):
            found.append(FoundPerson(person_id=person_id, email_count=total.email_count, newest=newest))
    return found


def _read_emails(
    user: User | AnonymousUser, places: Sequence[sql.Place], *, digest: bytes | None = None
) -> dict[sql.Place, Email]:
    """Read the emails at some places of batches that the user may see."""
    batches = Batch.objects.visible_to(user).in_bulk({place.batch_id for place in places})
    rows = [list(column) for column in zip(*places, strict=True)] or [[], []]
    at_places = "(batches_email.batch_id, batches_email.row) IN (SELECT * FROM unnest(%s::bigint[], %s::int[]))"
    emails = Email.objects.with_state().filter(batch__in=batches)
    if digest is not None:
        emails = emails.filter(address_digest=digest)
    found = {}
    for email in emails.extra(where=[at_places], params=rows):  # noqa: S610  a constant
        email.batch = batches[email.batch_id]
        found[sql.Place(email.batch_id, email.row)] = email
    return found
