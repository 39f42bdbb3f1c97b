"""The suppression list: addresses that get no mail from here, known by their digests alone.

An address enters, in the form in which an import stores it. Its digest leaves, or whether it is suppressed.

A list of a million addresses is compared with the list of suppressions in three steps. The checksum of each address
(CRC-32) is looked up in a set, which costs about a tenth of a microsecond. Only an address whose checksum is in the set
gets a digest. Only PostgreSQL says whether a digest is on the list. An empty list costs nothing.

The digest is an HMAC-SHA-256 (RFC 2104) under a random key in the database, and not under SECRET_KEY: a new SECRET_KEY
must not forget who wants no mail (decision 33).
"""

from __future__ import annotations

import contextlib
import hmac
import secrets
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from zlib import crc32

from django.db import connection, transaction
from email_validator import EmailNotValidError, validate_email

from batches.models import Suppression, SuppressionList, SuppressionReason, Topic, sql

KEY_BYTES = 32
DIGEST_BYTES = 16

SUPPRESSED_REPLY = "The recipient wants no mail from this site, so it was not sent."
"""The reply of an email that ends as suppressed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SuppressionFilter:
    """The checksums of some suppressions: those that an import or a lane compares addresses with."""

    key: bytes = b""
    version: int = 0
    """The version of the list up to which the checksums are known."""
    checksums: frozenset[int] = frozenset()

    @classmethod
    def of(cls, rows: Sequence[sql.SuppressionsNow], *, known: Collection[int] = ()) -> SuppressionFilter:
        """Make a filter of what SUPPRESSIONS_AFTER answered, and of the checksums that were known before."""
        if not rows:
            return cls()
        now = rows[0]
        return cls(key=bytes(now.key), version=now.version, checksums=frozenset(now.checksums).union(known))

    def __bool__(self) -> bool:
        """Whether it has any checksum. Without one, nothing has to be compared."""
        return bool(self.checksums)

    def find_possible(self, addresses: Sequence[str]) -> list[int]:
        """Return the places of the addresses that may be suppressed. Most calls find none.

        An empty address is among them: it was erased, and gets no mail.
        """
        if not addresses:
            return []
        checksums = make_checksums(addresses)
        if "" not in addresses and self.checksums.isdisjoint(checksums):
            return []
        return [
            place
            for place, (checksum, address) in enumerate(zip(checksums, addresses, strict=True))
            if not address or checksum in self.checksums
        ]

    def digest(self, address: str) -> bytes:
        """Return the digest of an address in its stored form, in any case of its letters: 16 octets."""
        return make_digest(self.key, address)


def make_checksums(addresses: Sequence[str]) -> list[int]:
    """Return the checksum of each address, in order. An address has no line break, so one call folds them all."""
    return list(map(crc32, "\n".join(addresses).casefold().encode().split(b"\n")))


def read_filter() -> SuppressionFilter:
    """Read the whole list as it is now."""
    with connection.cursor() as cursor:
        cursor.execute(sql.SUPPRESSIONS_AFTER, {"after": -1})
        return SuppressionFilter.of(sql.SUPPRESSIONS_AFTER.rows(cursor.fetchall()))


def find_suppressed(digests: Iterable[bytes]) -> set[bytes]:
    """Return those of some digests that are on the list."""
    with connection.cursor() as cursor:
        cursor.execute(sql.FIND_SUPPRESSED, {"digests": list(digests)})
        return {bytes(row.digest) for row in sql.FIND_SUPPRESSED.rows(cursor.fetchall())}


def digest_address(address: str) -> str:
    """Return the whole digest of an address in hexadecimal: what the audit stores in its place.

    The domain may be in Unicode or in punycode, and all letters in any case. Makes the key at its first call.
    """
    return _digest(bytes(_open_list().key), _normalise(address)).hex()


def find_digest(address: str) -> bytes:
    """Return the digest of an address that the suppression list stores: the first half of ``digest_address``."""
    return make_digest(bytes(_open_list().key), _normalise(address))


def make_digest(key: bytes, address: str) -> bytes:
    """Return the digest of an address in its stored form, in any case of its letters: 16 octets.

    A truncated HMAC (RFC 2104, section 5). 128 bits: among a thousand million addresses, no two are expected to agree.
    """
    return _digest(key, address)[:DIGEST_BYTES]


def is_suppressed(address: str) -> bool:
    """Whether an address is on the list."""
    return Suppression.objects.filter(digest=find_digest(address)).exists()


def suppress(
    address: str,
    *,
    reason: SuppressionReason,
    topic: Topic | None = None,
    source: str = "",
    ends_at: datetime | None = None,
) -> bool:
    """Put an address on the list, and say whether it was not there. Safe to call twice and concurrently.

    An email to it that no lane has claimed when this commits is not sent: its lane learns of the new version in the
    cycle that claims the email. Emails of drafts and of jobs that have not begun end when their turn comes.

    Args:
        topic: None for every topic.
        source: where it came from, in a few words, without the address.
        ends_at: None: it does not end.
    """
    address = _normalise(address)
    _open_list()
    with transaction.atomic():
        # The lock keeps the versions in the order of the commits: a reader of version 7 has seen 1 to 6.
        suppression_list = SuppressionList.objects.select_for_update().get(pk=1)
        key = bytes(suppression_list.key)
        digest = make_digest(key, address)
        if Suppression.objects.filter(digest=digest, topic=topic).exists():
            return False
        suppression_list.version += 1
        suppression_list.save(update_fields=["version"])
        Suppression.objects.create(
            digest=digest,
            checksum=make_checksums([address])[0],
            version=suppression_list.version,
            reason=reason,
            topic=topic,
            source=source,
            ends_at=ends_at,
        )
    return True


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
