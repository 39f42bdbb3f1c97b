"""The statements of ``statements.sql``, each with the rows that it answers. This module runs nothing."""

from __future__ import annotations

from datetime import datetime, time
from pathlib import Path
from typing import NamedTuple

from batches.models.sql import Statement, load


class RelayRow(NamedTuple):
    """A relay, and whether it may carry one sender's mail. ``now`` is the database's clock."""

    id: int
    name: str
    is_enabled: bool
    is_allowed: bool
    weight: int
    order: int
    connections: int | None
    rate_per_second: float
    rate_per_minute: int
    opens_at: time | None
    closes_at: time | None
    weekdays: list[int]
    closes_after_refusals: bool
    has_quotas: bool
    paused_seconds: float
    pause_sentence: str
    now: datetime


class Version(NamedTuple):
    text: str


_statements = load(Path(__file__).with_name("statements.sql"))

FIND_RELAYS = Statement(_statements["FIND_RELAYS"], RelayRow)
ADD_RELAYS = _statements["ADD_RELAYS"]
RELAYS_VERSION = Statement(_statements["RELAYS_VERSION"], Version)
