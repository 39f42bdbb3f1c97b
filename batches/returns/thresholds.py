"""After which returns an address gets no more mail.

A mailbox that is gone: after one. A full one: if it was full on three days of thirty, for ninety days. A complaint:
after one, and from everything. What is blocked, or refused for its content, says something about us and nothing about
the person, so it never suppresses anybody.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import NamedTuple

from batches import suppressions
from batches.models import ReturnClass, ReturnKind, SuppressionReason
from batches.returns import sql

FULL_DAYS = 3
FULL_WITHIN_DAYS = 30
FULL_FOR_DAYS = 90

GONE_SOURCES = {
    ReturnKind.BOUNCED: "mail came back: the address is gone",
    ReturnKind.REFUSED: "the mail server refused it: the address is gone",
}
FULL_SOURCE = f"mail came back: the mailbox was full on {FULL_DAYS} days"


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
    add = suppressions.suppress_digests
    count = 0
    if complained := {each.digest for each in returns if each.kind == ReturnKind.COMPLAINED}:
        count += add(complained, reason=SuppressionReason.COMPLAINED, source="a complaint that came back")
    for kind, source in GONE_SOURCES.items():
        if gone := {each.digest for each in returns if (each.kind, each.return_class) == (kind, ReturnClass.GONE)}:
            count += add(gone, reason=SuppressionReason.BOUNCED, source=source)
    if full := _find_full({each.digest for each in returns if each.return_class == ReturnClass.FULL}):
        ends_at = now + timedelta(days=FULL_FOR_DAYS)
        count += add(full, reason=SuppressionReason.BOUNCED, source=FULL_SOURCE, ends_at=ends_at)
    return count


def _find_full(digests: set[bytes]) -> set[bytes]:
    if not digests:
        return set()
    values = {"digests": list(digests), "full": ReturnClass.FULL, "days": FULL_WITHIN_DAYS}
    rows = sql.fetch(sql.COUNT_FULL_DAYS, values)
    return {bytes(row.digest) for row in rows if row.day_count >= FULL_DAYS}
