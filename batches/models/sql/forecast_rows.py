"""The rows that the statements of forecasts answer. This module runs nothing."""

from __future__ import annotations

from datetime import datetime, time
from typing import NamedTuple


class WaitingJob(NamedTuple):
    """What a live job has still to send."""

    job_id: int
    batch_id: int
    status: str
    priority: str
    sender_id: int | None
    scheduled_at: datetime | None
    retry_at: datetime | None
    left_count: int
    rate_per_second: float
    """The rates of its leased lanes together."""
    reserved_count: int
    """Those of ``left_count`` for which its lanes have reserved quotas. They go before all others."""


class RelayLimits(NamedTuple):
    """The limits of a relay. Times are in seconds from now."""

    name: str
    is_enabled: bool
    weight: int
    order: int
    rate_per_second: float
    rate_per_minute: int
    opens_at: time | None
    closes_at: time | None
    weekdays: list[int]
    own_senders: list[int]
    """The senders that the relay may carry. Empty: every sender."""
    named_by_senders: list[int]
    """The senders that name the relay among those that may carry them."""
    restricted_senders: list[int]
    """The senders that name any relay. No other relay may carry them."""
    pauses: list[tuple[int | None, str, float]]
    """The sender (None: all), the meaning, and the time until it ends."""
    quotas: list[tuple[int, int, list[tuple[float, int]]]]
    """The amount, the period, and the end and count of each slice of the period, oldest first."""
    reserved_count: int


class RecentSpeed(NamedTuple):
    per_second: float | None
