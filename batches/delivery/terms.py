"""What the rooms of a lane run pass to each other: a claimed email, a decision, and why the run ended."""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

LEAD_SECONDS = 3.0
"""How much earlier than its relay a lane starts again: the sweep comes every two seconds, and a worker must start. The
lane waits for the rest of the time in its place, so that mail goes on at the very moment."""


class LaneEnd(Enum):
    """Why a lane run ended. The value is for RQ's log."""

    DRY = "nothing is due"
    YIELDED = "another job's turn"
    STOPPED = "asked to stop"
    HALTED = "the job is paused, cancelled or over"
    RELAY_DOWN = "no relay accepts mail now"
    NO_SPACE = "the quotas of the relays are used up"
    REROUTED = "a relay was changed in the admin"
    TRIPPED = "the relay refuses everybody alike, or the template costs too much, so the job is paused"
    FENCED = "the lane was reaped"


class ClaimedEmail:
    """An email that this lane has claimed. ``attempts`` counts the one for which it was claimed.

    ``digest`` is that of the address, where it was read. ``route`` is the place in ``LaneSpec.routes`` of the relay
    that carries it.
    """

    __slots__ = ("address", "attempts", "digest", "fields", "id", "route", "row")

    def __init__(
        self,
        id: int,
        row: int,
        address: str,
        fields: str,
        attempts: int,
        digest: bytes | None = None,
        route: int = 0,
    ) -> None:
        self.id, self.row, self.address, self.fields, self.attempts = id, row, address, fields, attempts
        self.digest, self.route = digest, route


class Decision(NamedTuple):
    """What the ledger records for one claimed email: the columns of LEDGER_CYCLE, in their order.

    ``outcome`` is the value of an ``Outcome``, or empty to requeue the email without counting the attempt.
    ``delay_seconds`` is the wait before the next attempt, if ``status`` is pending.
    """

    email_id: int
    status: str
    outcome: str
    code: int
    """0 means that the relay gave none."""
    reply: str
    delay_seconds: float = 0.0
