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
    keeps_return_path: bool
    has_quotas: bool
    paused_seconds: float
    pause_sentence: str
    now: datetime
    version: str


class Version(NamedTuple):
    text: str


class QuotaUse(NamedTuple):
    """A quota, how many messages count against it now, and how many more the lanes have in flight."""

    relay_id: int
    amount: int
    period_seconds: int
    used: int
    reserved: int


class TokenRow(NamedTuple):
    """The sealed tokens of a relay, by the database's clock."""

    client_digest: str
    sealed: str
    renew_in_seconds: float
    remaining_seconds: float


_statements = load(Path(__file__).with_name("statements.sql"))

FIND_RELAYS = Statement(_statements["FIND_RELAYS"], RelayRow)
ADD_RELAYS = _statements["ADD_RELAYS"]
KEEP_MINUTE_QUOTAS = _statements["KEEP_MINUTE_QUOTAS"]
QUOTA_USES = Statement(_statements["QUOTA_USES"], QuotaUse)
RELAYS_VERSION = Statement(_statements["RELAYS_VERSION"], Version)

READ_TOKEN = Statement(_statements["READ_TOKEN"], TokenRow)
CLAIM_TOKEN = _statements["CLAIM_TOKEN"]
SAVE_TOKEN = _statements["SAVE_TOKEN"]
GIVE_UP_TOKEN = _statements["GIVE_UP_TOKEN"]
