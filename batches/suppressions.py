"""The suppression list: addresses that get no mail from here, or none of a topic, known by their digests alone.

An address enters, in the form in which an import stores it, or its digest. Which of some digests get no mail of a topic
leaves, with the reasons.

The emails of a job are compared with the list when the job is opened, by one statement. What is added later is compared
by the lanes: each knows the digests that were added since, and asks PostgreSQL whether one of them is in force for the
job's topic. An empty list costs nothing.

The digest is an HMAC-SHA-256 (RFC 2104) under a random key in the database, and not under SECRET_KEY: a new SECRET_KEY
must not forget who wants no mail (decision 33).
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import json
import secrets
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db import connection, transaction
from django.db.models import Count, Q, QuerySet
from django.db.models.functions import Now
from email_validator import EmailNotValidError, validate_email

from batches.models import (
    SERVICE_TOPIC,
    Email,
    EmailStatus,
    Suppression,
    SuppressionList,
    SuppressionReason,
    Topic,
    TopicKind,
    sql,
)

KEY_BYTES = 32
DIGEST_BYTES = 16
SHA256_BLOCK_BYTES = 64

KNOWN_MAX = 50_000
"""How many digests a lane keeps. If more were added since its job was opened, it asks PostgreSQL about each window."""

SUPPRESSED_REPLY = "The recipient wants no mail from this site, so it was not sent."
"""The reply of an email that ends as suppressed, if nobody knows the reason any more."""

REPLIES: dict[str, str] = {
    SuppressionReason.UNSUBSCRIBED: "The recipient unsubscribed, so it was not sent.",
    SuppressionReason.BOUNCED: "Earlier mail to this address came back, so it was not sent.",
    SuppressionReason.COMPLAINED: "The recipient complained about earlier mail, so it was not sent.",
    SuppressionReason.MANUAL: "The address is on the do-not-send list, so it was not sent.",
    SuppressionReason.IMPORTED: "The address is on an imported do-not-send list, so it was not sent.",
    SuppressionReason.ERASED: "The recipient was erased on request and gets no mail, so it was not sent.",
}
"""The reply of an email that ends as suppressed, by the reason."""


_REASONS = {reply: reason for reason, reply in REPLIES.items()}


@dataclass(frozen=True, kw_only=True, slots=True)
class SuppressionFilter:
    """The digests that were added to the list since some version: those that a lane compares addresses with."""

    key: bytes = b""
    version: int = 0
    """The version of the list up to which the digests are known."""
    digests: frozenset[bytes] = frozenset()
    is_overfull: bool = False
    """Whether more digests than KNOWN_MAX were added. Then any address may be suppressed."""

    def add(self, rows: Sequence[sql.SuppressionsNow]) -> SuppressionFilter:
        """Return this filter with what SUPPRESSIONS_AFTER answered for its version."""
        if not rows:
            return self
        now = rows[0]
        digests = self.digests.union(map(bytes, now.digests))
        is_overfull = self.is_overfull or len(digests) > KNOWN_MAX
        kept = frozenset[bytes]() if is_overfull else digests
        return SuppressionFilter(key=bytes(now.key), version=now.version, digests=kept, is_overfull=is_overfull)

    def __bool__(self) -> bool:
        """Whether any address may be suppressed. Without one, nothing has to be compared."""
        return self.is_overfull or bool(self.digests)

    def find_possible(self, addresses: Sequence[str]) -> dict[int, bytes]:
        """Return the places of the addresses that may be suppressed, each with its digest. Most calls find none.

        An empty address is among them: it was erased, and gets no mail.
        """
        return {
            place: digest
            for place, digest in enumerate(make_digests(self.key, addresses))
            if not addresses[place] or self.is_overfull or digest in self.digests
        }


def read_key() -> bytes:
    """Return the key of the digests. It is made when it is first needed."""
    return bytes(_open_list().key)


def read_version() -> int:
    """Return the version of the list as it is now. 0: nobody was ever suppressed."""
    return SuppressionList.objects.values_list("version", flat=True).filter(pk=1).first() or 0


def digest_address(address: str) -> str:
    """Return the whole digest of an address in hexadecimal: what the audit stores in its place.

    The domain may be in Unicode or in punycode, and all letters in any case. Makes the key at its first call.
    """
    return _digest(read_key(), _normalise(address)).hex()


def find_digest(address: str) -> bytes:
    """Return the digest of an address that the suppression list stores: the first half of ``digest_address``."""
    return make_digest(read_key(), _normalise(address))


def make_digest(key: bytes, address: str) -> bytes:
    """Return the digest of an address in its stored form, in any case of its letters: 16 octets.

    A truncated HMAC (RFC 2104, section 5). 128 bits: among a thousand million addresses, no two are expected to agree.
    """
    return _digest(key, address)[:DIGEST_BYTES]


def make_digests(key: bytes, addresses: Sequence[str]) -> list[bytes]:
    """Return the digest of each address in its stored form, in order. An address has no line break."""
    if not addresses:
        return []
    folded = "\n".join(addresses).casefold().encode().split(b"\n")
    return list(map(DigestMaker(key).make_folded, folded))


class DigestMaker:
    """Makes the digests of many addresses as ``make_digest`` does.

    The key is hashed once and not for each address, which takes half of the time (RFC 2104, section 4).
    """

    def __init__(self, key: bytes) -> None:
        padded = pad_key(key)
        self._inner, self._outer = hashlib.sha256(padded["inner_key"]), hashlib.sha256(padded["outer_key"])

    def make(self, address: str) -> bytes:
        """Return the digest of an address in its stored form."""
        return self.make_folded(address.casefold().encode())

    def make_folded(self, folded: bytes) -> bytes:
        """Return the digest of an address whose letters were folded."""
        inner, outer = self._inner.copy(), self._outer.copy()
        inner.update(folded)
        outer.update(inner.digest())
        return outer.digest()[:DIGEST_BYTES]


def pad_key(key: bytes) -> dict[str, bytes]:
    """Return what SQL hashes before an address and before the hash of it: the two padded keys of RFC 2104."""
    padded = key.ljust(SHA256_BLOCK_BYTES, b"\0")
    return {"inner_key": bytes(octet ^ 0x36 for octet in padded), "outer_key": bytes(octet ^ 0x5C for octet in padded)}


def list_of(digest: bytes) -> QuerySet[Suppression]:
    """Return what the list says of an address now, oldest first. Rows that have ended are left out."""
    in_force = Q(ends_at=None) | Q(ends_at__gt=Now())
    return Suppression.objects.filter(in_force, digest=digest).order_by("pk")


def in_force(topic_id: int | None) -> QuerySet[Suppression]:
    """Return what keeps mail of a topic away now. The SQL has the same predicate, ``in_force``.

    Args:
        topic_id: None for service mail.
    """
    topic = Topic.objects.filter(**({"pk": topic_id} if topic_id is not None else {"key": SERVICE_TOPIC})).first()
    found = Suppression.objects.filter(Q(ends_at=None) | Q(ends_at__gt=Now()), Q(topic=None) | Q(topic=topic))
    if topic is None or topic.kind != TopicKind.NEWS:
        found = found.exclude(reason=SuppressionReason.UNSUBSCRIBED)
    return found


def is_suppressed(address: str) -> bool:
    """Whether an address is on the list, for any topic."""
    return list_of(find_digest(address)).exists()


def suppress(
    address: str,
    *,
    reason: SuppressionReason,
    topic: Topic | None = None,
    source: str = "",
    ends_at: datetime | None = None,
) -> bool:
    """Put an address on the list, and say whether that changed the list. Safe to call twice and concurrently.

    See ``suppress_digests``.
    """
    digest = find_digest(address)
    return bool(suppress_digests([digest], reason=reason, topic=topic, source=source, ends_at=ends_at))


def suppress_digests(
    digests: Iterable[bytes],
    *,
    reason: SuppressionReason,
    topic: Topic | None = None,
    source: str = "",
    ends_at: datetime | None = None,
) -> int:
    """Put the digests of addresses on the list, and return how many were not there. Safe to call twice.

    An email to one of them that no lane has claimed when this commits is not sent: its lane learns of the new version
    in the cycle that claims the email. Emails of drafts and of jobs that have not begun end when their turn comes.

    A digest may be there for several reasons and topics, each in a row of its own. A row that would end earlier than
    this one is prolonged, and counted.

    The row of the list is locked until the caller's transaction ends. So call it late in a transaction, and with no
    more than some thousand digests.

    Args:
        topic: None for every topic. If the reason is UNSUBSCRIBED, for every topic of news.
        source: where it came from, in a few words, without the address.
        ends_at: None: it does not end.
    """
    _open_list()
    with transaction.atomic(), connection.cursor() as cursor:
        # The lock keeps the versions in the order of the commits: a reader of version 7 has seen 1 to 6.
        suppression_list = SuppressionList.objects.select_for_update().get(pk=1)
        values = {
            # Sorted, so that the rows are written in one order.
            "digests": sorted(set(digests)),
            "reason": str(reason),
            "topic": topic.pk if topic is not None else None,
            "source": source,
            "ends_at": ends_at,
            "version": suppression_list.version + 1,
        }
        cursor.execute(sql.ADD_SUPPRESSIONS, values)
        count = int(cursor.rowcount)
        if count:
            suppression_list.version += 1
            suppression_list.save(update_fields=["version"])
    return count


def lift_digest(digest: bytes, *, topic: Topic | None, reasons: Collection[SuppressionReason]) -> int:
    """Take an address off the list for one topic, and return how many rows were deleted. Safe to run twice.

    Emails that have ended as suppressed stay so. The version does not rise: a lane that knows the digest asks again
    before it withholds an email.

    Args:
        topic: None lifts what was said about every topic, and leaves what was said about a single one.
    """
    deleted, _ = Suppression.objects.filter(digest=digest, topic=topic, reason__in=list(reasons)).delete()
    return deleted


def lift_all(digest: bytes) -> int:
    """Take an address off the list for every topic and reason, and return how many rows were deleted."""
    deleted, _ = Suppression.objects.filter(digest=digest).delete()
    return deleted


def count_suppressed(batch_id: int, *, topic_id: int | None, statuses: Iterable[str]) -> dict[str, int]:
    """Count the emails of a batch that would get no mail of a topic, by reason. The most frequent reason comes first.

    Reads the whole batch once, unless the list is empty.

    Args:
        topic_id: None for service mail.
        statuses: those of the emails that would be sent.
    """
    if not Suppression.objects.exists():
        return {}
    values = {"batch": batch_id, "topic": topic_id, "statuses": [str(status) for status in statuses]}
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(sql.FORBID_NESTED_LOOPS)
        cursor.execute(sql.COUNT_SUPPRESSED, values)
        rows = sql.COUNT_SUPPRESSED.rows(cursor.fetchall())
        cursor.execute(sql.ALLOW_NESTED_LOOPS)
    return {row.reason: row.email_count for row in rows}


def count_ended(batch_id: int) -> dict[str, int]:
    """Count the emails of a batch that ended as suppressed, by reason. The most frequent reason comes first.

    An empty reason: nobody knows it any more, because the batch was purged, or an earlier version ended them. Reads the
    whole batch once.
    """
    emails = Email.objects.filter(batch=batch_id, status=EmailStatus.SUPPRESSED)
    counts: dict[str, int] = {}
    for reply, count in emails.values_list("reply").annotate(number=Count("pk")).order_by("-number"):
        reason = find_reason(reply)
        counts[reason] = counts.get(reason, 0) + count
    return counts


def find_reason(reply: str) -> str:
    """Return the reason of an email that ended as suppressed by its reply. Empty: nobody knows it any more."""
    return _REASONS.get(reply, "")


def list_ended(batch_id: int, *, limit: int) -> list[tuple[str, str]]:
    """Return address and reason of the first emails of a batch that ended as suppressed, in the order of the list."""
    emails = Email.objects.filter(batch=batch_id, status=EmailStatus.SUPPRESSED).order_by("row")
    return [(address, find_reason(reply)) for address, reply in emails.values_list("address", "reply")[:limit]]


def end_suppressed(batch_id: int, *, topic_id: int | None) -> int:
    """End the untried emails of a batch as suppressed that get no mail of a topic, and return how many.

    Needs the batch's row locked, and no lane that has the batch.
    """
    if not Suppression.objects.exists():
        return 0
    values = {"batch": batch_id, "topic": topic_id, "replies": json.dumps(REPLIES)}
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(sql.FORBID_NESTED_LOOPS)
        cursor.execute(sql.SUPPRESS_EMAILS, values)
        count = int(cursor.rowcount)
        cursor.execute(sql.ALLOW_NESTED_LOOPS)
    return count


def has_all_digests(batch_id: int) -> bool:
    """Whether each address of a batch has its digest. An earlier version of the program has stored none."""
    with connection.cursor() as cursor:
        cursor.execute(sql.HAS_UNKNOWN_DIGEST, {"batch": batch_id})
        [(has_unknown,)] = cursor.fetchall()
    return not has_unknown


def _open_list() -> SuppressionList:
    """Return the row of the list. It is made when it is first needed."""
    found = SuppressionList.objects.filter(pk=1).first()
    if found is None:
        made = SuppressionList(pk=1, key=secrets.token_bytes(KEY_BYTES))
        SuppressionList.objects.bulk_create([made], ignore_conflicts=True)
        found = SuppressionList.objects.get(pk=1)
    return found


def _normalise(address: str) -> str:
    """Return an address with its domain as an import stores it: in lower case and in punycode (RFC 5891)."""
    local, _, domain = address.strip().rpartition("@")
    if not domain.isascii():
        # No import has stored a domain that is refused, so its digest only has to be the same each time.
        with contextlib.suppress(EmailNotValidError):
            domain = validate_email(f"x@{domain}", check_deliverability=False).ascii_domain or domain
    return f"{local}@{domain.lower()}"


def _digest(key: bytes, address: str) -> bytes:
    return hmac.digest(key, address.casefold().encode(), "sha256")
