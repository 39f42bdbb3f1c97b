"""What a lane is given before it starts: all of it plain values, so that it needs no Django model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any, NamedTuple

from batches.smtp.backend import Backend
from batches.smtp.connection import Timeouts
from batches.smtp.relay import Relay

if TYPE_CHECKING:
    from batches.delivery.policy import RetryPolicy


@dataclass(frozen=True, kw_only=True, slots=True)
class LaneSpec:
    """One lane of one job; the token is that under which it was taken."""

    lane_id: int
    token: int
    row_range: tuple[int, int]
    """It claims first tries behind the one row, up to the other."""
    job_id: int
    batch_id: int
    merge_fields: tuple[str, ...]
    subject: str
    html: str
    text: str
    from_email: str
    message_key: bytes
    relay: Relay | Backend
    timeouts: Timeouts
    database: Mapping[str, Any]
    """What ``psycopg.connect`` takes."""
    redis_url: str
    connections: int
    window: int
    rate: float
    """Messages a second through the relay, over all workers; 0: no limit."""
    policy: RetryPolicy
    lease_seconds: float
    counters: tuple[int, int, int, int]
    """Sent, failed, unknown and retried in this lane before now."""


class LaneEnd(Enum):
    """Why a lane stopped."""

    DRY = "nothing is due"
    YIELDED = "another job's turn"
    STOPPED = "asked to stop"
    HALTED = "the job is paused, cancelled or over"
    RELAY_DOWN = "the relay takes no mail"
    FENCED = "the lane was given to another"


class ClaimedEmail:
    """An email that this lane is sending."""

    __slots__ = ("address", "attempts", "fields", "id", "row")

    def __init__(self, id: int, row: int, address: str, fields: str, attempts: int) -> None:
        self.id, self.row, self.address, self.fields, self.attempts = id, row, address, fields, attempts


class Decision(NamedTuple):
    """What is to be recorded of one claimed email; the columns of LEDGER_CYCLE, in their order.

    ``outcome`` is an ``Outcome``, or empty to give the email back without counting the attempt;
    ``delay_seconds`` is the wait before the next attempt where ``status`` is pending.
    """

    email_id: int
    status: str
    outcome: str
    code: int
    """0: the relay gave none."""
    reply: str
    delay_seconds: float = 0.0
