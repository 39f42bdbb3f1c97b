"""After which returns an address gets no more mail.

A mailbox that is gone: after one. A full one: if it was full on three days of thirty, for ninety days. A complaint:
after one, and from everything. What is blocked, or refused for its content, says something about us and nothing about
the person, so it never suppresses anybody.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import NamedTuple

from batches.models import ReturnClass, ReturnKind, Suppression, SuppressionList, SuppressionReason
from batches.returns import sql

FULL_DAYS = 3
FULL_WITHIN_DAYS = 30
FULL_FOR_DAYS = 90


class Judged(NamedTuple):
    """A return that was just recorded, as far as it says something about an address."""

    kind: ReturnKind
    return_class: ReturnClass
    digest: bytes


def suppress_returned(returns: Iterable[Judged], *, now: datetime) -> int:
    """Suppress the addresses that these returns, with those before them, say should get no more mail.

    In the caller's transaction, in which the returns were recorded. Returns how many were not suppressed before.
    """
    returns = list(returns)
    complained = {each.digest for each in returns if each.kind == ReturnKind.COMPLAINED}
    returned = [each for each in returns if each.kind in (ReturnKind.BOUNCED, ReturnKind.REFUSED)]
    gone = {each.digest for each in returned if each.return_class == ReturnClass.GONE}
    full = _find_full({each.digest for each in returned if each.return_class == ReturnClass.FULL})
    count = 0
    if complained:
        count += _suppress_digests(complained, reason=SuppressionReason.COMPLAINED, source="a complaint that came back")
    if gone:
        count += _suppress_digests(gone, reason=SuppressionReason.BOUNCED, source="mail came back: the address is gone")
    if full:
        count += _suppress_digests(
            full,
            reason=SuppressionReason.BOUNCED,
            source=f"mail came back: the mailbox was full on {FULL_DAYS} days",
            ends_at=now + timedelta(days=FULL_FOR_DAYS),
        )
    return count


def _find_full(digests: set[bytes]) -> set[bytes]:
    if not digests:
        return set()
    values = {"digests": list(digests), "full": ReturnClass.FULL, "days": FULL_WITHIN_DAYS}
    rows = sql.fetch(sql.COUNT_FULL_DAYS, values)
    return {bytes(row.digest) for row in rows if row.day_count >= FULL_DAYS}


# The two functions below stand in until batches.suppressions has them.


def read_key() -> bytes:
    from batches.suppressions import _open_list

    return bytes(_open_list().key)


def _suppress_digests(
    digests: Iterable[bytes], *, reason: SuppressionReason, source: str = "", ends_at: datetime | None = None
) -> int:
    read_key()
    suppression_list = SuppressionList.objects.select_for_update().get(pk=1)
    known = {bytes(each) for each in Suppression.objects.filter(topic=None).values_list("digest", flat=True)}
    new = sorted(set(digests) - known)
    suppression_list.version += 1
    suppression_list.save(update_fields=["version"])
    Suppression.objects.bulk_create(
        Suppression(digest=digest, reason=reason, source=source, ends_at=ends_at, version=suppression_list.version)
        for digest in new
    )
    return len(new)
