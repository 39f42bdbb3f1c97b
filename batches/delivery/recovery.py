"""What a lane does after an outage of PostgreSQL, before its next cycle: take its lease again, find its lost claims.

An open connection enters. The new token, what is left of the row range, and the lost claims leave.
"""

from __future__ import annotations

from collections.abc import Collection

from batches.delivery.ledger_connection import LedgerConnection, fetch
from batches.delivery.spec import LaneSpec
from batches.delivery.terms import ClaimedEmail
from batches.models import sql


class Fenced(Exception):
    """The lane has another token now: its holder drops everything, records nothing and stops."""


class Recovery:
    """What a lane learns after an outage: its new token, its row range, and the claims it never heard of.

    It is kept until a cycle has succeeded, because the connection may be lost again before that.
    """

    def __init__(self, spec: LaneSpec, *, token: int) -> None:
        self._spec = spec
        self.token = token
        self.found: dict[int, ClaimedEmail] = {}

    async def renew_lease(self, connection: LedgerConnection) -> sql.RenewedLane:
        """Renew the lease under the next token, which fences what the lost connection still delivers.

        Raises:
            Fenced: The lane was reaped meanwhile.
        """
        arguments = {
            "lane": self._spec.lane_id,
            "token": self.token,
            "next_token": self.token + 1,
            "lease_seconds": self._spec.lease_seconds,
        }
        lanes = await fetch(connection, sql.RENEW_LANE, arguments)
        if not lanes:
            raise Fenced
        self.token += 1
        return lanes[0]

    async def find_claims(self, connection: LedgerConnection, *, known: Collection[int]) -> None:
        """Find the emails claimed by a statement whose reply was lost. ``known`` are the ids of the others."""
        lane = {"batch": self._spec.batch_id, "lane": self._spec.lane_id}
        rows = await fetch(connection, sql.IN_FLIGHT_OF_LANE, lane)
        routes = {route.relay_id: number for number, route in enumerate(self._spec.routes)}
        for row in rows:
            if row.id not in known:
                self.found[row.id] = ClaimedEmail(*row[:5], route=routes.get(row.relay_id or 0, 0))
