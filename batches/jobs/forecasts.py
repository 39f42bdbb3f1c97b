"""Say when batches will be done: read the relays' limits and what else waits, and simulate (``jobs.estimates``).

Batch ids or the size of a draft enter. Snapshots with a finish time, or a Forecast, leave. Three statements are run for
any number of batches, and none while no batch is live. A finish time is an estimate. Nothing is decided by it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import connection
from django.utils import timezone

from batches import progress
from batches.jobs.estimates import DEFAULT_RATE_PER_SECOND, NEVER, QuotaNow, RelayNow, Simulation
from batches.jobs.queues import fleet_status
from batches.models import BatchStatus, JobPriority, JobStatus, sql
from batches.outcomes import ReplyMeaning
from batches.progress import Snapshot
from batches.relays.registry import find_rate, relay_urls
from batches.relays.windows import Window
from batches.waiting import NO_WORKER, NOT_IN_A_LIFETIME, NOT_KNOWN, NOT_KNOWN_WHILE_REFUSED, finish_of, say_finish

FORECAST_STATUSES = (BatchStatus.SCHEDULED, BatchStatus.PENDING, BatchStatus.PROCESSING)
"""The batches that have a finish time. Nobody knows when a paused one is resumed."""

MEASURED_FROM_COUNT = 200
"""A job with fewer emails says nothing of how fast the workers are."""

SURE_COUNT = 600
"""So many emails are sent in a minute by any relay that limits nothing."""

SAID_BY_RATE_SECONDS = 90.0

LIFETIME_SECONDS = 100 * 365 * 86400.0
"""What takes longer has no date: it may be after the last year that a calendar has."""

WAITED_OUT = (ReplyMeaning.RATE, ReplyMeaning.QUOTA)
"""The meanings of relay pauses whose end is known. After any other one, the relay may refuse again."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Forecast:
    """When a batch will be done."""

    done_at: datetime | None
    """None: nobody knows it."""
    seconds: float | None
    """The time until then, also where it rests on an assumed speed. None: no relay accepts mail."""
    words: str
    """The finish time in a sentence, or why it is not known."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Outlook:
    """What the relays may carry and what waits, at one moment."""

    now: datetime
    relays: Sequence[sql.RelayLimits]
    jobs: Sequence[sql.WaitingJob]
    recent_speed: float | None
    """The messages a second of the fastest of the last jobs. None: no job has shown it."""
    simulations: dict[tuple[int | None, int], Simulation] = field(default_factory=dict)
    """Those made so far, by sender and start."""

    def forecast(
        self, count: int, *, sender_id: int | None, priority: str, job: sql.WaitingJob | None = None
    ) -> Forecast:
        """Estimate when ``count`` emails are sent, of a live job or of one that would be made now."""
        relays = self._relays_of(sender_id)
        start = self._start_seconds(job)
        simulation = self._simulate(relays, sender_id=sender_id, start_seconds=start)
        seconds: float | None = start
        for _ in range(2):  # the second time with the scheduled jobs that begin before the first estimate
            ahead = self._ahead(count, priority=priority, job=job, within=seconds or 0.0)
            seconds = simulation.time_of(count + ahead)
        is_measured = self._measured_speed or any(relay.rate or relay.quotas for relay in relays)
        return self._describe(seconds, is_known=bool(is_measured) or count <= SURE_COUNT)

    @property
    def _measured_speed(self) -> float | None:
        """The present speed of all workers, or else that of earlier jobs."""
        return sum(each.rate_per_second for each in self.jobs) or self.recent_speed

    def _relays_of(self, sender_id: int | None) -> list[RelayNow]:
        if not self.relays:  # the rows are made when a worker starts
            return [RelayNow(rate=settings.SEND_RATE)]
        return [_relay_now(relay, sender_id) for relay in self.relays if _may_carry(relay, sender_id)]

    def _simulate(self, relays: Sequence[RelayNow], *, sender_id: int | None, start_seconds: float) -> Simulation:
        """Return the simulation that all batches of a sender share if they begin in the same second."""
        key = (sender_id, round(start_seconds))
        if key not in self.simulations:
            self.simulations[key] = Simulation(
                relays,
                now=timezone.localtime(self.now),
                capacity=self._measured_speed or DEFAULT_RATE_PER_SECOND,
                start_seconds=start_seconds,
            )
        return self.simulations[key]

    def _describe(self, seconds: float | None, *, is_known: bool) -> Forecast:
        if seconds is None:
            return Forecast(done_at=None, seconds=None, words=NOT_KNOWN_WHILE_REFUSED)
        if seconds > LIFETIME_SECONDS:
            return Forecast(done_at=None, seconds=seconds, words=NOT_IN_A_LIFETIME)
        if not is_known:
            return Forecast(done_at=None, seconds=seconds, words=NOT_KNOWN)
        done_at = self.now + timedelta(seconds=seconds)
        return Forecast(done_at=done_at, seconds=seconds, words=say_finish(done_at, now=self.now))

    def _start_seconds(self, job: sql.WaitingJob | None) -> float:
        if job is None:
            return 0.0
        times = [at for at in (job.scheduled_at, job.retry_at) if at is not None]
        return max(0.0, *((at - self.now).total_seconds() for at in times)) if times else 0.0

    def _ahead(self, count: int, *, priority: str, job: sql.WaitingJob | None, within: float) -> int:
        """Count the emails of other jobs that are sent before the last one of this job.

        Jobs of one priority take turns, so no more of another job goes before than this one has. Jobs of high priority
        go first. What a job has reserved is on its way: it goes before in any case. It is counted here or in ``count``
        and not as a use of the quotas, because each email takes one message of a quota.
        """
        ahead = 0
        for other in self.jobs:
            if job is not None and other.job_id == job.job_id:
                continue
            if other.status == JobStatus.PAUSED:
                ahead += other.reserved_count
                continue
            if other.scheduled_at is not None and (other.scheduled_at - self.now).total_seconds() > within:
                continue
            if other.priority == priority:
                ahead += max(min(other.left_count, count), other.reserved_count)
            else:
                ahead += other.left_count if other.priority == JobPriority.HIGH else other.reserved_count
        return ahead


def read_outlook(now: datetime | None = None) -> Outlook:
    """Read the limits of the relays and the live jobs. Three statements."""
    configured = relay_urls()
    with connection.cursor() as cursor:
        cursor.execute(sql.RELAYS_NOW)
        relays = sql.RELAYS_NOW.rows(cursor.fetchall())
        cursor.execute(sql.WAITING_JOBS)
        jobs = sql.WAITING_JOBS.rows(cursor.fetchall())
        cursor.execute(sql.RECENT_SPEED, {"sent_min": MEASURED_FROM_COUNT})
        [speed] = sql.RECENT_SPEED.rows(cursor.fetchall())
    return Outlook(
        now=now or timezone.now(),
        relays=[relay for relay in relays if relay.name in configured],
        jobs=jobs,
        recent_speed=speed.per_second,
    )


def forecast_send(count: int, *, sender_id: int | None = None, priority: str = JobPriority.DEFAULT) -> Forecast:
    """Estimate when a draft would be done if it were sent now."""
    return read_outlook().forecast(count, sender_id=sender_id, priority=priority)


def read_snapshots(batch_ids: Iterable[int]) -> dict[int, Snapshot]:
    """The snapshots of those batches that exist, by batch id, with the finish times of the live ones."""
    return with_finish(with_no_worker(progress.read_snapshots(batch_ids)))


def read_snapshot(batch_id: int) -> Snapshot | None:
    """The snapshot of one batch with its finish time, or None if the batch does not exist."""
    return read_snapshots([batch_id]).get(batch_id)


def with_no_worker(snapshots: dict[int, Snapshot]) -> dict[int, Snapshot]:
    """Say of the batches that have not begun that no worker is running, if so. Asks Redis only if there are any."""
    idle = [each for each in snapshots.values() if each["status"] == BatchStatus.PENDING and not each["waitingFor"]]
    if idle and (fleet := fleet_status()).redis and not fleet.workers:
        for snapshot in idle:
            snapshot["waitingFor"] = NO_WORKER
    return snapshots


def with_finish(snapshots: dict[int, Snapshot]) -> dict[int, Snapshot]:
    """Add the finish times of live batches to their snapshots."""
    wanted = [each for each in snapshots.values() if each["status"] in FORECAST_STATUSES]
    if not wanted:
        return snapshots
    outlook = read_outlook()
    jobs = {job.batch_id: job for job in outlook.jobs}
    for snapshot in wanted:
        job = jobs.get(snapshot["batchId"])
        if job is not None and job.left_count:
            found = outlook.forecast(job.left_count, sender_id=job.sender_id, priority=job.priority, job=job)
            snapshot["doneAt"] = _round_time(found, outlook.now)
            # The page says a short time left by the present rate.
            is_said_by_rate = snapshot["etaSeconds"] is not None and (found.seconds or 0) < SAID_BY_RATE_SECONDS
            snapshot["finish"] = "" if is_said_by_rate and found.done_at else found.words
            if found.done_at and (moment := finish_of(found.done_at, now=outlook.now)):
                snapshot["moments"] = [*snapshot.get("moments", []), moment]
    return snapshots


def _round_time(found: Forecast, now: datetime) -> str | None:
    """Round a finish time up to the minute, or to ten seconds if it is near: a snapshot that changes is sent again."""
    if found.done_at is None:
        return None
    step = 60 if (found.done_at - now).total_seconds() > 120 else 10
    return datetime.fromtimestamp(-(-found.done_at.timestamp() // step) * step, tz=now.tzinfo).isoformat()


def _may_carry(relay: sql.RelayLimits, sender_id: int | None) -> bool:
    """Whether the relay may carry the sender: each of the two may name some of the other."""
    if not relay.is_enabled or (relay.own_senders and sender_id not in relay.own_senders):
        return False
    return sender_id not in relay.restricted_senders or sender_id in relay.named_by_senders


def _relay_now(relay: sql.RelayLimits, sender_id: int | None) -> RelayNow:
    pauses = [
        seconds if meaning in WAITED_OUT else NEVER
        for sender, meaning, seconds in relay.pauses
        if sender in (None, sender_id)
    ]
    return RelayNow(
        rate=find_rate(relay),
        weight=relay.weight,
        order=relay.order,
        quotas=tuple(_quota_now(relay, *quota) for quota in relay.quotas),
        paused_seconds=max(pauses, default=0.0),
        window=Window(opens_at=relay.opens_at, closes_at=relay.closes_at, weekdays=relay.weekdays),
    )


def _quota_now(relay: sql.RelayLimits, amount: int, period_seconds: int, uses: list[Any]) -> QuotaNow:
    reserved = ((0.0, relay.reserved_count),) if relay.reserved_count else ()
    known = tuple((float(at), int(count)) for at, count in uses)
    return QuotaNow(amount=amount, period_seconds=period_seconds, uses=(*known, *reserved))
