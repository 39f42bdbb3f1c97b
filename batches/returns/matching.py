"""Find the email that an event is about: by its return path, else by the Message-ID, else by the recipient.

The first two are proven by a keyed hash, so they hold for anyone who sends the report. A forged return path matches
nothing, whatever else the event says. The recipient alone proves nothing. It is used only where no message gets a
return path of its own, or where a provider has told it over a door that knows the provider: see
``may_match_by_recipient``.
"""

from __future__ import annotations

import enum
import hmac
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta

from django.conf import settings
from django.db.models import Q
from django.utils import timezone

from batches.mailboxes import parse_mailbox
from batches.models import Batch, Email
from batches.relays.registry import is_a_return_path_refused
from batches.rendering.message import derive_message_key, make_message_id, read_message_id
from batches.return_paths import derive_key, is_genuine, is_return_path_like, read_return_path
from batches.returns import sql
from batches.returns.events import ReturnEvent
from batches.suppressions import find_digest, read_key

NEWEST_DAYS = 30
"""By the recipient alone, only an email of a batch that is not older is found."""

ROWS_AT_ONCE = 200_000
SEARCH_SECONDS = 3.0
"""The sweep waits for the search."""


class Matched(enum.Enum):
    """By what an event was matched."""

    RETURN_PATH = "return path"
    MESSAGE_ID = "Message-ID"
    RECIPIENT = "recipient"
    SESSION = "session"
    """The relay said it to us."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Match:
    """The email of an event."""

    email_id: int
    batch_id: int
    digest: bytes | None
    """Of the address. None: the email was purged, and the report does not prove whose it was."""
    domain: str
    address: str
    """Empty after a purge."""
    row: int
    by: Matched


class Forged:
    """The event came to a return path that we have not made. It counts never."""


FORGED = Forged()


def match_event(event: ReturnEvent) -> Match | Forged | None:
    """Find the email of an event by what proves it. None: nothing does, or the email is not there."""
    if event.return_path and is_return_path_like(event.return_path, bounce_address=settings.BOUNCE_ADDRESS):
        return _match_return_path(event) or FORGED
    return _match_message_id(event)


def _match_return_path(event: ReturnEvent) -> Match | None:
    path = read_return_path(event.return_path, bounce_address=settings.BOUNCE_ADDRESS)
    email = _find_email(path.email_id) if path is not None else None
    if path is None or email is None:
        return None
    # A purged email has no address any more. If the report names it, the tag proves it.
    address = email.address or event.recipient
    if not is_genuine(path, address=address, key=derive_key(read_key())):
        return None
    return _make_match(email, by=Matched.RETURN_PATH, proven_address=address)


def _match_message_id(event: ReturnEvent) -> Match | None:
    email_id = read_message_id(event.message_id.strip())
    email = _find_email(email_id) if email_id is not None else None
    if email is None or not _has_message_id(email, event.message_id.strip().lower()):
        return None
    return _make_match(email, by=Matched.MESSAGE_ID)


def _has_message_id(email: Email, message_id: str) -> bool:
    """Whether one of the jobs of its batch has given an email this Message-ID. The domain may have changed since."""
    jobs = email.batch.jobs.filter(names_emails=True).only("batch", "from_email")
    left, _, _ = message_id.partition("@")
    for job in jobs:
        for secret in (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS):
            key, domain = derive_message_key(str(secret)), parse_mailbox(job.from_email).domain
            own = make_message_id(key=key, email_id=email.pk, job_id=job.pk, domain=domain)
            if hmac.compare_digest(own.partition("@")[0].encode(), left.encode("utf-8", "replace")):
                return True
    return False


def _find_email(email_id: int) -> Email | None:
    return Email.objects.filter(pk=email_id).select_related("batch").defer("fields", "reply").first()


def _make_match(email: Email, *, by: Matched, proven_address: str = "") -> Match:
    address = email.address or proven_address
    digest = bytes(email.address_digest) if email.address_digest else None
    return Match(
        email_id=email.pk,
        batch_id=email.batch_id,
        digest=digest or (find_digest(address) if address else None),
        domain=address.rpartition("@")[2].lower(),
        address=email.address,
        row=email.row,
        by=by,
    )


def may_match_by_recipient(event: ReturnEvent) -> bool:
    """Whether the recipient alone may say which email an event is about.

    Anybody can write to the return mailbox and name anybody. Where each message has a return path of its own, a true
    report comes to it, so one that comes without is not believed.
    """
    if not event.recipient:
        return False
    if event.door.startswith("webhook") or not settings.BOUNCE_ADDRESS:
        return True
    return is_a_return_path_refused()


def match_recipients(events: Sequence[ReturnEvent]) -> dict[str, Match]:
    """Find the newest email that was sent to the recipient of each event, by the key of the event.

    Reads the emails of the last NEWEST_DAYS, the newest batches first, for at most SEARCH_SECONDS. So it is for many
    events at once, and not for each.
    """
    asked = {event.key: find_digest(event.recipient) for event in events if may_match_by_recipient(event)}
    if not asked:
        return {}
    newest = _search(set(asked.values()))
    emails = _find_emails(newest.values())
    return {
        key: _make_match(emails[newest[digest]], by=Matched.RECIPIENT)
        for key, digest in asked.items()
        if digest in newest and newest[digest] in emails
    }


def _search(digests: set[bytes]) -> dict[bytes, int]:
    """Return the id of the newest email to each of some addresses, as far as they were found in time."""
    newest: dict[bytes, int] = {}
    until = time.monotonic() + SEARCH_SECONDS
    for batch_ids in _list_batches():
        missing = list(digests - newest.keys())
        if not missing or time.monotonic() > until:
            break
        rows = sql.fetch(sql.FIND_NEWEST, {"digests": missing, "batches": batch_ids})
        newest |= {bytes(row.digest): row.email_id for row in rows}
    return newest


def _list_batches() -> Iterator[list[int]]:
    """Yield the batches of the last days, the newest first, in groups that are read in a fraction of a second."""
    group, row_count = [], 0
    recent = Batch.objects.filter(created_at__gt=timezone.now() - timedelta(days=NEWEST_DAYS)).order_by("-pk")
    for batch_id, total_count in recent.values_list("pk", "total_count").iterator():
        group.append(batch_id)
        row_count += total_count
        if row_count > ROWS_AT_ONCE:
            yield group
            group, row_count = [], 0
    if group:
        yield group


def _find_emails(email_ids: Iterable[int]) -> dict[int, Email]:
    found = Email.objects.filter(Q(pk__in=set(email_ids))).select_related("batch").defer("fields", "reply")
    return {email.pk: email for email in found}
