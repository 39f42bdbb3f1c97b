"""The lane spec: the plain values that a lane run is given before it starts. So sending needs no Django model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from batches.delivery.policy import RetryPolicy
from batches.smtp.backend import Backend
from batches.smtp.connection import Timeouts
from batches.smtp.relay import Relay


class Counters(NamedTuple):
    """How many emails a lane has sent, failed, ended as unknown and deferred, over all its runs in its job."""

    sent: int
    failed: int
    unknown: int
    retried: int


@dataclass(frozen=True, kw_only=True, slots=True)
class LaneSpec:
    """What a lane run is given before it starts: its lane, its job, and the settings of sending."""

    lane_id: int
    token: int
    """The fencing token under which the lane was acquired."""
    row_range: tuple[int, int]
    """Untried emails are claimed from rows in the half-open range (after_row, end_row]."""
    job_id: int
    batch_id: int
    merge_fields: tuple[str, ...]
    address_heading: str = ""
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
