"""The lane spec: the plain values that a lane run is given before it starts. So sending needs no Django model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from batches.delivery.policy import RetryPolicy
from batches.return_paths import ReturnPathMaker
from batches.smtp.backend import Backend
from batches.smtp.connection import Timeouts
from batches.smtp.relay import RelayAddress


class Counters(NamedTuple):
    """How many emails a lane has sent, failed, ended as unknown, deferred and suppressed, over its runs in its job."""

    sent: int
    failed: int
    unknown: int
    retried: int
    suppressed: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class RouteSpec:
    """A relay as a lane run may use it."""

    relay_id: int
    name: str
    """The relay's name in the admin, such as ``default``."""
    address: RelayAddress | Backend
    connections: int
    rate: float = 0
    """Messages a second through the relay, over all workers. 0 means no limit."""
    weight: int = 1
    """Its share among the routes of the same order."""
    order: int = 0
    """A route carries mail only while none with a lower order can."""
    has_quotas: bool = False
    """Whether space has to be reserved in PostgreSQL before emails are claimed for it."""
    paused_seconds: float = 0.0
    """For how long from the start of the lane run it accepts no mail: a relay pause, or the window of the day."""
    closes_in_seconds: float | None = None
    """After how long the window of the day ends. None: never."""
    closes_after_refusals: bool = False
    """Whether the relay was seen to close connections after refusals: then one message at a time is sent on each."""
    keeps_return_path: bool = True
    """Whether it takes a return path of our own. Others want the login in MAIL FROM."""

    @property
    def takes_return_paths(self) -> bool:
        """Whether each message may have a return path of its own. A Django email backend chooses MAIL FROM itself."""
        return self.keeps_return_path and isinstance(self.address, RelayAddress)


@dataclass(frozen=True, kw_only=True, slots=True)
class NewsSpec:
    """What the messages of news need so that their recipients can unsubscribe. ``repr`` shows no secret."""

    topic_id: int
    key: str
    """The key of the topic."""
    footer: str
    is_news: bool = True
    public_url: str
    bounce_address: str
    token_keys: tuple[str, ...] = field(repr=False)
    """UNSUBSCRIBE_KEYS."""
    list_key: bytes = field(repr=False)
    """The key of the suppression list, under which addresses have their digests."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LaneSpec:
    """What a lane run is given before it starts: its lane, its job, and the settings of sending.

    ``repr`` shows no secret.
    """

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
    reply_to: str = ""
    sender_id: int | None = None
    message_topic: NewsSpec | None = None
    """None: service mail."""
    resends_all: bool = False
    """Whether the job is a replay of all, which sends to people who have the mail."""
    accepted_refusal: str = ""
    """The keys of the refusals that paused the job before, a line each. By resuming it, a person took them for the
    recipients' own."""
    message_key: bytes = field(repr=False)
    names_emails: bool = True
    """Whether the Message-IDs name their emails: those of all newer jobs do."""
    routes: tuple[RouteSpec, ...]
    """The relays that may carry the job's mail now. At least one."""
    timeouts: Timeouts
    database: Mapping[str, Any] = field(repr=False)
    """The arguments of ``psycopg.connect``."""
    redis_url: str = field(repr=False)
    window: int
    return_paths: ReturnPathMaker | None = field(default=None, repr=False)
    """Makes the return path of each message. None: bounces go to the sender."""
    policy: RetryPolicy
    lease_seconds: float
    counters: Counters
    """The lane's counters before this run."""
    stop_above: float = 0
    """Above this share of failures, returns and complaints in percent, the job is paused. 0 is off."""
    suppression_version: int = 0
    """The version of the suppression list with which the emails were compared. What is newer, the lane compares."""
    topic_id: int | None = None
    """The topic of the job. None: service mail."""
