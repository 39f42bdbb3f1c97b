"""What a lane run is told and what it passes on: plain values, so that it needs no Django model."""

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


class Counters(NamedTuple):
    """How many emails a lane has sent, failed, ended as unknown and deferred, over all its runs in its job."""

    sent: int
    failed: int
    unknown: int
    retried: int


@dataclass(frozen=True, kw_only=True, slots=True)
class LaneSpec:
    """What a lane run is told before it starts: its lane, its job, and the settings of sending."""

    lane_id: int
    token: int
    """The fencing token under which the lane was acquired."""
    row_range: tuple[int, int]
    """Untried emails are claimed from rows in the half-open range (after_row, end_row]."""
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
    """The arguments of ``psycopg.connect``."""
    redis_url: str
    connections: int
    window: int
    rate: float
    """Messages a second through the relay, over all workers. 0 means no limit."""
    policy: RetryPolicy
    lease_seconds: float
    counters: Counters
    """The lane's counters before this run."""


class LaneEnd(Enum):
    """Why a lane run ended. The value is for RQ's log."""

    DRY = "nothing is due"
    YIELDED = "another job's turn"
    STOPPED = "asked to stop"
    HALTED = "the job is paused, cancelled or over"
    RELAY_DOWN = "the relay takes no mail"
    FENCED = "the lane was given to another"


class ClaimedEmail:
    """An email that this lane has claimed. ``attempts`` counts the one for which it was claimed."""

    __slots__ = ("address", "attempts", "fields", "id", "row")

    def __init__(self, id: int, row: int, address: str, fields: str, attempts: int) -> None:
        self.id, self.row, self.address, self.fields, self.attempts = id, row, address, fields, attempts


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
