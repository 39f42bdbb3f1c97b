"""How many emails the quotas of a lane's relays allow it to claim now, and when they allow more.

The relays and what the lane has in flight of each enter. Their space leaves. The counts are in PostgreSQL, in the
transaction of the caller: this module opens none. What a quota is, and why its counts are exact, is in
``models/sql/quotas.sql``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from batches.delivery.ledger_connection import LedgerConnection, fetch
from batches.models import sql
from batches.waiting import say_limit

UNKNOWN_WAIT_SECONDS = 1.0
"""When to look again if all of a quota is reserved: nobody knows when the messages in flight are recorded."""

RESERVED_WAIT_SECONDS = 2.0
"""The longest wait while other lanes have reserved some of a quota: they may return it at any time."""

MARGIN_SECONDS = 0.005
"""How much later than PostgreSQL says a lane looks again, because the two clocks are read at different moments."""


class Space(NamedTuple):
    """How many emails a relay may get. ``more_in_seconds`` and ``sentence`` are about the quota that bounds it."""

    left: int
    more_in_seconds: float
    sentence: str


async def find_space(
    connection: LedgerConnection, *, lane_id: int, held: Mapping[int, int], names: Mapping[int, str]
) -> dict[int, Space]:
    """Lock the relays, so that no other lane reserves the same space, and return the space of each.

    ``held`` is how many emails of each relay the lane has in flight, and ``names`` how a person calls it. A relay
    without quotas any more is left out. Needs a transaction, whose commit must write the new reservations.
    """
    arguments = {"relays": list(held), "held": list(held.values()), "lane": lane_id}
    await connection.execute(sql.LOCK_RELAYS, {"relays": arguments["relays"]})
    return bound(await fetch(connection, sql.FIND_SPACE, arguments), names)


def bound(quotas: Iterable[sql.QuotaSpace], names: Mapping[int, str]) -> dict[int, Space]:
    """Return the space of each relay: that of its tightest quota. If several are used up, the longest wait counts."""
    spaces: dict[int, Space] = {}
    for quota in quotas:
        sentence = say_limit(names[quota.relay_id], quota.amount, quota.period_seconds)
        space = Space(max(0, quota.space), _find_wait(quota), sentence)
        known = spaces.get(quota.relay_id)
        if known is None or (space.left, -space.more_in_seconds) < (known.left, -known.more_in_seconds):
            spaces[quota.relay_id] = space
    return spaces


def _find_wait(quota: sql.QuotaSpace) -> float:
    if quota.seconds is None:
        return UNKNOWN_WAIT_SECONDS
    seconds = quota.seconds + MARGIN_SECONDS
    return min(seconds, RESERVED_WAIT_SECONDS) if quota.reserved else seconds
