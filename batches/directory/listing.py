"""Tell the search for people of a batch's recipients, after the batch was sent. Nothing of the send path waits for it.

The next rows of a batch enter. A Person for each address and a PersonEmail for each row leave, in one transaction with
how far the batch is listed. So it may be interrupted at any time, and goes on where it was. Drafts and purged batches
are not listed.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from django.db import transaction

from batches.directory import sql
from batches.directory.words import WORDS_MAX_CHARS, make_name_words, make_words
from batches.models import NO_OWNER, Batch, Email
from batches.suppressions import DigestMaker, read_key

CHUNK_ROWS = 2_000
"""How many rows one transaction lists: a tenth of a second."""

ADVISORY_LOCK = 0x70656F706C65  # "people"
"""Held while the tables of the search change. What was read for a change is still true when it commits."""

NAMED_EMAILS = 5
"""The newest emails of a person whose names make the words, when words are made again."""


def find_unlisted() -> Batch | None:
    """Find the newest batch that the search does not know entirely. None: it knows all."""
    return Batch.objects.unlisted().order_by("-pk").first()


def list_some(batch_id: int) -> int:
    """List the next rows of a batch, and return how many those were. 0: nothing was left. Safe to run twice."""
    with transaction.atomic():
        # The batch before the advisory lock, as the deletion of a batch takes them.
        batch = Batch.objects.unlisted().select_for_update(no_key=True).filter(pk=batch_id).first()
        if batch is None:
            return 0
        lock()
        rows = batch.emails.filter(row__gt=batch.listed_to_row).order_by("row")
        # With the batch: Django looks at its key in each email, and would read it by a query for each.
        emails = list(rows.only("batch", "row", "address", "address_digest", "fields")[:CHUNK_ROWS])
        _list_emails(batch, [email for email in emails if email.address])
        is_done = len(emails) < CHUNK_ROWS
        last = emails[-1].row if emails else batch.listed_to_row
        Batch.objects.filter(pk=batch.pk).update(listed_to_row=last, is_listed=is_done)
    return len(emails)


def lock() -> None:
    """Wait until no other transaction changes the tables of the search, and keep others waiting until ours ends.

    Take it before the rows are read that the change is made of: an erasure that empties a row and then removes the
    person finds what was listed of the row, or the row is read empty.
    """
    sql.execute(sql.LOCK_LISTING, {"lock": ADVISORY_LOCK})


def _list_emails(batch: Batch, emails: Sequence[Email]) -> None:
    if not emails:
        return
    maker = DigestMaker(read_key())
    has_unknown = any(email.address_digest is None for email in emails)
    digests = [bytes(email.address_digest or maker.make(email.address)) for email in emails]
    names: defaultdict[bytes, dict[str, None]] = defaultdict(dict)  # an address may have several rows, and names
    for digest, email in zip(digests, emails, strict=True):
        names[digest][make_name_words(batch.merge_fields, email.fields)] = None
    addresses = {
        digest: make_words((), (), address=email.address) for digest, email in zip(digests, emails, strict=True)
    }
    values: dict[str, Any] = {
        "batch": batch.pk,
        "owner": batch.created_by_id or NO_OWNER,
        "digests": digests,
        "rows": [email.row for email in emails],
        "people": list(names),
        "names": ["".join(texts)[:WORDS_MAX_CHARS] for texts in names.values()],
        "addresses": [addresses[digest] for digest in names],
        "chars_max": WORDS_MAX_CHARS,
    }
    if has_unknown:
        sql.execute(sql.SET_DIGESTS, values)
    for statement in (sql.ADD_NAMES, sql.ADD_PEOPLE, sql.ADD_EMAILS):
        sql.execute(statement, values)


def unlist_rows(batch_id: int, *, after_row: int, end_row: int) -> None:
    """Remove from the search what some rows of a batch have told it. Call it before their addresses are removed.

    People with no other email are removed. The others keep the names of their newest emails alone.
    """
    lock()
    values = {"batch": batch_id, "after_row": after_row, "end_row": end_row}
    _forget([row.person_id for row in sql.fetch(sql.REMOVE_ROWS, values)])


def unlist_batches(batch_ids: Iterable[int]) -> None:
    """Remove from the search what deleted batches have told it."""
    lock()
    _forget([row.person_id for row in sql.fetch(sql.REMOVE_BATCH, {"batches": list(batch_ids)})])


def unlist_person(digest: bytes) -> int:
    """Remove an address from the search, for every owner. Call it after its emails were emptied. Returns the emails."""
    with transaction.atomic():
        lock()
        return sql.execute(sql.REMOVE_PERSON, {"digest": digest})


def _forget(people: Sequence[int]) -> None:
    """Remove those of some people who have no email left, and make the words of the others again."""
    if not people:
        return
    sql.execute(sql.REMOVE_PEOPLE_WITHOUT_EMAIL, {"people": list(people)})
    changed: dict[int, str] = {}
    known: dict[int, str] = {}
    for email in sql.fetch(sql.NEWEST_EMAILS, {"people": list(people), "emails_max": NAMED_EMAILS}):
        known[email.person_id] = email.words
        words = changed.get(email.person_id) or make_words((), (), address=email.address)
        names = make_name_words(json.loads(email.merge_fields), json.loads(email.fields))
        if names and names not in words and len(words) + len(names) <= WORDS_MAX_CHARS:
            words = names + words
        changed[email.person_id] = words
    changed = {person: words for person, words in changed.items() if words != known[person]}
    if changed:
        sql.execute(sql.SET_WORDS, {"people": list(changed), "words": list(changed.values())})
