"""When a batch stops by itself: too large a share of its emails failed, came back, or was complained about.

The counts of a batch enter. The share in percent leaves, and the sentence that says why its job is paused. A lane
judges here while it sends, and the sweep judges for what comes back later. Below ``SEND_STOP_ABOVE`` nothing stops.
"""

from __future__ import annotations

import logging
from typing import NamedTuple, Protocol

from batches.delivery.pauses import DeliversStatements
from batches.delivery.spec import LaneSpec
from batches.models import sql

logger = logging.getLogger(__name__)

JUDGED_FROM_COUNT = 50
"""Fewer emails than this have no share: one dead address among the first three is no reason to stop. It is also the
size of the canary, so that the canary can be judged."""

CANARY_JUDGED_FROM_COUNT = JUDGED_FROM_COUNT // 2
"""The same for a canary that waits: some of it may be retried later, and it must not go on unjudged for that."""

JUDGE_SECONDS = 0.1
"""How often a lane judges. It bounds how many emails still go out: those of this time, and those in flight."""

ACCEPTED_FACTOR = 2
"""A person who resumes a stopped batch accepts its share. It stops again only above this many times that share."""


class ReadsCounts(DeliversStatements, Protocol):
    """What this module needs of the ledger."""

    async def read_snapshot_row(self) -> sql.SnapshotRow | None:
        """Read the batch's row of ``sql.SNAPSHOTS``. None: the batch was deleted."""


class StopReason(NamedTuple):
    """Why a batch is to stop."""

    share: float
    """In percent."""
    sentence: str

    def arguments(self, job_id: int, stop_above: float) -> dict[str, int | float | str]:
        """Return the arguments of STOP_JOB."""
        return {
            "job": job_id,
            "share": self.share,
            "stop_above": stop_above,
            "factor": ACCEPTED_FACTOR,
            "sentence": self.sentence,
        }


def find_share(row: sql.SnapshotRow) -> float:
    """Return the share of the emails that failed, came back or were complained about, in percent of those that ended.

    0 before enough emails have ended to be judged. Suppressed and cancelled emails say nothing of the list.
    """
    return measure_share(row, judged_from=CANARY_JUDGED_FROM_COUNT if row.canary_until else JUDGED_FROM_COUNT)


def measure_share(row: sql.SnapshotRow, *, judged_from: int) -> float:
    """Return that share, or 0 if fewer emails have ended."""
    ended = row.sent + row.failed + row.unknown
    if ended < judged_from:
        return 0.0
    return min(100.0, 100.0 * (row.failed + row.returned + row.complained) / ended)


def find_reason(row: sql.SnapshotRow, stop_above: float) -> StopReason | None:
    """Return why a batch is to stop, or None. ``stop_above`` is in percent, and 0 is off."""
    share = find_share(row) if stop_above > 0 else 0.0
    return StopReason(share, _say(row, share, stop_above)) if share > stop_above else None


def _say(row: sql.SnapshotRow, share: float, stop_above: float) -> str:
    """Say why a batch was stopped, and what to do."""
    ended = row.sent + row.failed + row.unknown
    bad = row.failed + row.returned + row.complained
    kinds = [
        f"{count:,} {words}"
        for count, words in (
            (row.failed, "failed"),
            (row.returned, "came back"),
            (row.complained, "complained about"),
        )
        if count
    ]
    return (
        f"Stopped, because {bad:,} of the first {ended:,} emails failed or came back: {', '.join(kinds)}. That is "
        f"{say_percent(share)}, and {say_percent(stop_above)} is allowed. Read the reasons in the list of recipients "
        "first. Resume the batch to send the rest nevertheless: it then stops again only at twice that share."
    )


def say_percent(share: float) -> str:
    """Say a share in percent, with a tenth if it is small: ``"12 %"``, ``"0.3 %"``."""
    return f"{share:.0f} %" if share >= 10 or share == round(share) else f"{share:.1f} %"


class ShareJudge:
    """Judges the share of one lane run's batch, every ``JUDGE_SECONDS`` and only if ``SEND_STOP_ABOVE`` is set."""

    def __init__(self, spec: LaneSpec, ledger: ReadsCounts) -> None:
        self._job_id, self._stop_above, self._ledger = spec.job_id, spec.stop_above, ledger
        self._judged_at = 0.0

    async def judge(self, now: float) -> None:
        """Pause the job if too large a share of its batch failed or came back. The next cycle then finds it paused.

        Raises:
            OUTAGES: PostgreSQL went away. Safe to call again.
        """
        if self._stop_above <= 0 or now < self._judged_at + JUDGE_SECONDS:
            return
        self._judged_at = now
        row = await self._ledger.read_snapshot_row()
        reason = find_reason(row, self._stop_above) if row is not None else None
        if reason is None:
            return
        stopped = await self._ledger.execute(sql.STOP_JOB, reason.arguments(self._job_id, self._stop_above))
        if stopped.rowcount:
            logger.warning("Job %s is paused. %s", self._job_id, reason.sentence, extra={"action": "stop_job"})
