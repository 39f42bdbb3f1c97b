"""The hand-written SQL, each statement under its name, with the row that it answers.

The text is in the ``.sql`` files beside this module. Each statement is one round trip that must be exact under
concurrency, so it is written by hand. The placeholders are psycopg's (``%(name)s``). The statuses come from
``choices``. This module runs nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar

from batches.models.choices import (
    ApprovalStatus,
    BatchStatus,
    EmailStatus,
    JobKind,
    JobStatus,
    SuppressionReason,
    TopicKind,
)
from batches.models.sql.forecast_rows import RecentSpeed as RecentSpeed
from batches.models.sql.forecast_rows import RelayLimits as RelayLimits
from batches.models.sql.forecast_rows import WaitingJob as WaitingJob
from batches.models.sql.history_rows import AttemptRow as AttemptRow
from batches.models.sql.history_rows import HistoryRow as HistoryRow
from batches.models.sql.lane_rows import AcquiredLane as AcquiredLane
from batches.models.sql.suppression_rows import LeftOutEmails as LeftOutEmails
from batches.models.sql.suppression_rows import SuppressedCount as SuppressedCount
from batches.models.sql.suppression_rows import SuppressedDigest as SuppressedDigest
from batches.models.sql.suppression_rows import SuppressionsNow as SuppressionsNow
from batches.outcomes import Outcome

Row = TypeVar("Row", bound=tuple[Any, ...])

_NAME = re.compile(r"^-- name: (\w+)$", re.MULTILINE)
_PART = re.compile(r"\{(\w+)\}")

_STATUSES = {
    **{status.value: f"'{status}'" for status in EmailStatus},
    **{f"{status}_job": f"'{status}'" for status in JobStatus},
    **{f"{status}_batch": f"'{status}'" for status in BatchStatus},
    **{f"{status}_approval": f"'{status}'" for status in ApprovalStatus},
    **{f"{kind}_kind": f"'{kind}'" for kind in JobKind},
    **{f"{kind}_topic_kind": f"'{kind}'" for kind in TopicKind},
    **{f"{reason}_reason": f"'{reason}'" for reason in SuppressionReason},
    "service_topic_key": "'service'",  # as in topic.py, which this module may not import
    **{f"{outcome}_outcome": f"'{outcome}'" for outcome in Outcome},
}


class Statement(str, Generic[Row]):
    """One statement's text, and the type of the rows that it answers. Pass it to ``execute`` like any string."""

    __slots__ = ("_make_row",)
    _make_row: Callable[[tuple[Any, ...]], Row]

    def __new__(cls, text: str, row: type[Row]) -> Statement[Row]:
        statement = super().__new__(cls, text)
        # A NamedTuple's constructor without its Python code, because LEDGER_CYCLE answers a row for each email.
        statement._make_row = partial(tuple.__new__, row)
        return statement

    def rows(self, fetched: Iterable[tuple[Any, ...]]) -> list[Row]:
        """Name the columns of the rows that a cursor has fetched."""
        return list(map(self._make_row, fetched))


def load(path: Path, **instead: str) -> dict[str, str]:
    """Read the statements of one file, by name, with their parts put in.

    A statement begins after a line ``-- name: ITS_NAME`` and one comment line that says its purpose. Comment lines
    are not sent to PostgreSQL. ``{name}`` is replaced by a status (``{pending}``, ``{queued_job}``), a part of
    ``parts.sql``, or a part of the same file, whose name is in lower case.

    Args:
        instead: For the name of a part, the name of another part that is put in its place.

    Raises:
        KeyError: A statement names a part that does not exist.
    """
    own = _read(path)
    parts = _STATUSES | _SHARED | own
    parts |= {name: parts[other] for name, other in instead.items()}
    return {name: _fill(text, parts) for name, text in own.items() if name.isupper()}


def _read(path: Path) -> dict[str, str]:
    _, *named = _NAME.split(path.read_text(encoding="utf-8"))
    bodies = ("\n".join(line for line in body.splitlines() if not line.startswith("--")) for body in named[1::2])
    return dict(zip(named[::2], map(str.strip, bodies), strict=True))


def _fill(text: str, parts: Mapping[str, str]) -> str:
    """Put the parts in, and then the parts that those name. No part may contain itself."""
    while _PART.search(text):
        text = _PART.sub(lambda match: parts[match[1]], text)
    return text


_FOLDER = Path(__file__).parent
_SHARED = _read(_FOLDER / "parts.sql")
_send, _quotas, _sweep, _read_only, _suppressions, _pauses, _replays, _stopping = (
    load(_FOLDER / f"{name}.sql")
    for name in ("send", "quotas", "sweep", "read", "suppressions", "pauses", "replays", "stopping")
)


class RowRange(NamedTuple):
    """The row range (after_row, end_row] that a lane was handed. Nulls mean that it was handed none."""

    after_row: int | None
    end_row: int | None


class RenewedLane(NamedTuple):
    """What is left of the row range of a lane whose lease was renewed."""

    after_row: int
    end_row: int


class ClaimedRow(NamedTuple):
    """One claimed email with the status of its job. If nothing was claimed, there is one row without an ``id``.

    ``due_at`` is set for a retry. ``attempts`` counts the attempt that begins now. ``fields`` is JSON text. ``digest``
    is that of the address, for news.
    """

    job_status: str
    range_after_row: int
    due_at: datetime | None
    id: int | None
    row: int
    address: str
    fields: str
    attempts: int
    digest: bytes | None
    suppression_version: int | None


class RoutedRow(NamedTuple):
    """A ``ClaimedRow`` of a lane with several routes or with quotas. ``route`` is counted from 1."""

    job_status: str
    range_after_row: int
    due_at: datetime | None
    id: int | None
    row: int
    address: str
    fields: str
    attempts: int
    digest: bytes | None
    route: int
    suppression_version: int | None


class InFlightRow(NamedTuple):
    """An email in flight in a lane. ``attempts`` counts the present attempt. ``fields`` is JSON text."""

    id: int
    row: int
    address: str
    fields: str
    attempts: int
    relay_id: int | None


class QuotaSpace(NamedTuple):
    """What a quota still allows a lane to claim. ``reserved`` is what other lanes have in flight."""

    relay_id: int
    amount: int
    period_seconds: int
    space: int
    reserved: int
    seconds: float | None
    """After how long it allows one more than that."""


class LaneWork(NamedTuple):
    has_work: bool


class PinnedRetry(NamedTuple):
    """A retry that is due and that only one relay may carry."""

    relay_id: int
    relay_name: str
    """Empty if the relay was deleted."""
    is_enabled: bool


class InterruptedEmail(NamedTuple):
    """An email in flight in a lane whose holder died. ``attempts`` counts the attempt that the death interrupted."""

    id: int
    attempts: int


class LaneCount(NamedTuple):
    lane_count: int


class ExpiredLane(NamedTuple):
    lane_id: int
    job_id: int
    batch_id: int


class LaneToEnqueue(NamedTuple):
    lane_id: int
    job_id: int
    token: int
    priority: str


class JobToFinish(NamedTuple):
    job_id: int


class BatchCounts(NamedTuple):
    """How many emails of a batch have each state, and how many of them one job has sent and failed."""

    sent: int
    failed: int
    unknown: int
    suppressed: int
    cancelled: int
    unfinished: int
    """Still to be sent, also those of a replay of all that an earlier job has sent."""
    resending: int
    """Those of the unfinished that an earlier job has sent."""
    job_sent: int
    job_failed: int


class SnapshotRow(NamedTuple):
    """A batch's snapshot as the database answers it."""

    batch_id: int
    status: str
    total: int
    sent: int
    failed: int
    unknown: int
    suppressed: int
    cancelled: int
    resending: int
    """How many of the sent emails a replay of all is still to send again."""
    rate_per_second: float
    sequence: int
    """The database's clock in microseconds: a snapshot with a lower one is older."""
    owner_id: int | None
    last_error: str
    """The sentence of the live job that says why it waits, or why it was paused."""
    retry_at: datetime | None
    """When a relay is tried again."""
    scheduled_at: datetime | None
    awaits_approval: bool
    returned: int
    complained: int
    canary_until: datetime | None
    """When the wait after the canary of the live job ends."""
    ahead: str | None
    """What the batch is called that is being sent while this one waits to begin. Empty: another user's. None: none."""


class ClaimedRowKey(NamedTuple):
    batch_id: int
    row: int


class RowsWithAttempts(NamedTuple):
    attempt_count: int
    rows: list[int]


class FailedEmail(NamedTuple):
    """A failed email with the mail server's answer."""

    id: int
    address: str
    code: int | None
    reply: str


class OpenRows(NamedTuple):
    first_untried_row: int
    claimed_rows: list[int]
    retried_rows: list[int]


class NotedPause(NamedTuple):
    """A relay pause that was just noted: for how long, and after how many failures of the relay in a row."""

    seconds: float
    failure_count: int


class JobProgress(NamedTuple):
    has_sent: bool


class FailedAlike(NamedTuple):
    failed_count: int
    begun_count: int


ACQUIRE_LANE = Statement(_send["ACQUIRE_LANE"], AcquiredLane)
TAKE_ROW_RANGE = Statement(_send["TAKE_ROW_RANGE"], RowRange)
LEDGER_CYCLE = Statement(_send["LEDGER_CYCLE"], ClaimedRow)
LEDGER_CYCLE_OF_REPLAY = Statement(load(_FOLDER / "send.sql", counts="counts_of_replay")["LEDGER_CYCLE"], ClaimedRow)
"""The cycle of a replay of all, whose lanes count the emails that were sent before apart."""
IN_FLIGHT_OF_LANE = Statement(_send["IN_FLIGHT_OF_LANE"], InFlightRow)
RENEW_LANE = Statement(_send["RENEW_LANE"], RenewedLane)
RELEASE_LANE = _send["RELEASE_LANE"]
COUNT_LEASED_LANES = Statement(_send["COUNT_LEASED_LANES"], LaneCount)
LOCK_RELAYS = _quotas["LOCK_RELAYS"]
FIND_SPACE = Statement(_quotas["FIND_SPACE"], QuotaSpace)
ROUTED_CYCLE = Statement(_quotas["ROUTED_CYCLE"], RoutedRow)
ROUTED_CYCLE_OF_REPLAY = Statement(load(_FOLDER / "quotas.sql", counts="counts_of_replay")["ROUTED_CYCLE"], RoutedRow)
HAS_WORK = Statement(_quotas["HAS_WORK"], LaneWork)
FIND_PINNED = Statement(_quotas["FIND_PINNED"], PinnedRetry)
REPORT_RELAY_ERROR = _send["REPORT_RELAY_ERROR"]

SUPPRESSIONS_AFTER = Statement(_suppressions["SUPPRESSIONS_AFTER"], SuppressionsNow)
FIND_SUPPRESSED = Statement(_suppressions["FIND_SUPPRESSED"], SuppressedDigest)
ADD_SUPPRESSIONS = _suppressions["ADD_SUPPRESSIONS"]
COUNT_SUPPRESSED = Statement(_suppressions["COUNT_SUPPRESSED"], SuppressedCount)
FORBID_NESTED_LOOPS = _suppressions["FORBID_NESTED_LOOPS"]
ALLOW_NESTED_LOOPS = _suppressions["ALLOW_NESTED_LOOPS"]
SUPPRESS_EMAILS = _suppressions["SUPPRESS_EMAILS"]
LEFT_OUT = Statement(_suppressions["LEFT_OUT"], LeftOutEmails)
HAS_UNKNOWN_DIGEST = _suppressions["HAS_UNKNOWN_DIGEST"]

EXPIRE_LANE = _sweep["EXPIRE_LANE"]
SUSPECT_LANES = _sweep["SUSPECT_LANES"]
EXPIRED_LANES = Statement(_sweep["EXPIRED_LANES"], ExpiredLane)
LOCK_IN_FLIGHT = Statement(_sweep["LOCK_IN_FLIGHT"], InterruptedEmail)
RECORD_DEATHS = _sweep["RECORD_DEATHS"]
LANES_TO_ENQUEUE = Statement(_sweep["LANES_TO_ENQUEUE"], LaneToEnqueue)
JOBS_TO_FINISH = Statement(_sweep["JOBS_TO_FINISH"], JobToFinish)
END_RESERVATIONS = _sweep["END_RESERVATIONS"]
DELETE_OLD_USES = _sweep["DELETE_OLD_USES"]
EXPIRE_STRAY_LANES = _sweep["EXPIRE_STRAY_LANES"]
START_OVER = _sweep["START_OVER"]
ADD_MARKS = _sweep["ADD_MARKS"]
ADD_LAST_MARK = _sweep["ADD_LAST_MARK"]
BEGIN_RETENTION = _sweep["BEGIN_RETENTION"]

COUNT_BATCH = Statement(_read_only["COUNT_BATCH"], BatchCounts)
SNAPSHOTS = Statement(_read_only["SNAPSHOTS"], SnapshotRow)
WAITING_JOBS = Statement(_read_only["WAITING_JOBS"], WaitingJob)
RELAYS_NOW = Statement(_read_only["RELAYS_NOW"], RelayLimits)
RECENT_SPEED = Statement(_read_only["RECENT_SPEED"], RecentSpeed)
ATTEMPTS = Statement(_read_only["ATTEMPTS"], AttemptRow)
HISTORIES = Statement(_read_only["HISTORIES"], HistoryRow)
CLAIMED_ROWS = Statement(_read_only["CLAIMED_ROWS"], ClaimedRowKey)

ROWS_WITH_ATTEMPTS = Statement(_read_only["ROWS_WITH_ATTEMPTS"], RowsWithAttempts)
SOME_FAILED = Statement(_read_only["SOME_FAILED"], FailedEmail)
OPEN_ROWS = Statement(_read_only["OPEN_ROWS"], OpenRows)
WALK_INDEXES = _read_only["WALK_INDEXES"]
WALK_NO_MORE = _read_only["WALK_NO_MORE"]

ADD_MISSING_ATTEMPTS = _replays["ADD_MISSING_ATTEMPTS"]
RESTORE_SENT = _replays["RESTORE_SENT"]
KEEP_DOUBT = _replays["KEEP_DOUBT"]

PAUSE_RELAY = Statement(_pauses["PAUSE_RELAY"], NotedPause)
NOTE_SUCCESS = _pauses["NOTE_SUCCESS"]
REPORT_WAIT = _pauses["REPORT_WAIT"]
PAUSE_JOB = _pauses["PAUSE_JOB"]
HAS_JOB_SENT = Statement(_pauses["HAS_JOB_SENT"], JobProgress)
COUNT_FAILED_ALIKE = Statement(_pauses["COUNT_FAILED_ALIKE"], FailedAlike)
NOTE_CLOSING = _pauses["NOTE_CLOSING"]

STOP_JOB = _stopping["STOP_JOB"]
BEGIN_CANARY_WAITS = _stopping["BEGIN_CANARY_WAITS"]
END_CANARIES = _stopping["END_CANARIES"]
