"""The work items of lanes in RQ's queues: enqueue them, and see which ones wait.

A work item only tells a worker that a lane has work. PostgreSQL holds the truth, so a lost work item loses nothing:
the sweep enqueues the lane again. Redis may be away at any time.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

import django_rq
from redis import Redis
from redis.exceptions import RedisError
from rq import Queue, Worker
from rq.exceptions import DeserializationError
from rq.job import Job

from batches import redis_client
from batches.models import JobPriority

logger = logging.getLogger(__name__)

QUEUE_NAMES = tuple(JobPriority.values)
"""The queues, the most urgent first."""

FAILURE_TTL_SECONDS = 24 * 60 * 60
"""How long RQ's admin pages show a lane that ended with an exception."""

RUN_LANE = "batches.jobs.run_lane.run_lane"
"""The path of the function that a worker runs. Redis keeps it in each work item, so it outlives a release."""

OLD_RUN_LANE = "batches.jobs.lanes.run_lane"
"""The path in the work items of release 0.1.0."""

_ITEM_ID = re.compile(r"lane-(?P<job>\d+)-(?P<lane>\d+)-(?P<token>\d+)\Z")


@dataclass(frozen=True, kw_only=True, slots=True)
class WorkItem:
    """One entry in a queue: it tells a worker that this lane has work. RQ calls it a job."""

    job_id: int
    lane_id: int
    token: int
    """The lane's token when the item was made. It rises when the lane is acquired."""
    priority: str

    @property
    def id(self) -> str:
        """Stable until the lane is acquired, so that the sweep recognises a waiting item and adds no second one."""
        return f"lane-{self.job_id}-{self.lane_id}-{self.token}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Fleet:
    """Whether Redis answers, how many workers are registered, and how many work items wait."""

    redis: bool
    workers: int
    queued: int


@cache
def client() -> Redis:
    """Return this process's client of the queues' Redis."""
    return redis_client.connect()


@cache
def open_queue(name: str) -> Queue:
    """Return one of QUEUE_NAMES. It is cached because each call of django-rq makes a connection pool."""
    # "auto" enqueues at once: our callers call after their commit, and RQ's on-commit mode answers no job.
    return django_rq.get_queue(name, commit_mode="auto", connection=client())


def enqueue(items: Iterable[WorkItem]) -> int:
    """Enqueue work items and return how many were enqueued. Call it after the commit that made the work.

    An error of Redis is logged and not raised. The sweep enqueues the lanes that are missing.
    """
    count = 0
    try:
        for item in items:
            open_queue(item.priority).enqueue(
                RUN_LANE,
                kwargs={"lane_id": item.lane_id},
                job_id=item.id,
                result_ttl=0,
                failure_ttl=FAILURE_TTL_SECONDS,
            )
            count += 1
    except RedisError as exc:
        logger.warning("Redis is away; the sweep will enqueue the lanes: %s", exc)
    return count


def waiting_item_ids() -> set[str]:
    """Return the ids of all work items that wait in a queue.

    Raises:
        RedisError: Redis is away.
    """
    return {item_id for name in QUEUE_NAMES for item_id in open_queue(name).get_job_ids()}


def is_work_item(job: Job) -> bool:
    """Whether an entry of a queue is a work item of this release, and carries nothing else that RQ would run."""
    try:
        is_lane = job.func_name == RUN_LANE and not job.args and list(job.kwargs) == ["lane_id"]
    except (DeserializationError, TypeError):  # for example pickled data
        return False
    callbacks = (job._success_callback_name, job._failure_callback_name, job._stopped_callback_name)
    return is_lane and not any(callbacks) and not job.webhooks


def is_old_work_item(job: Job) -> bool:
    """Whether an entry of a queue is a work item of release 0.1.0, whose function has moved since."""
    try:
        return bool(job.func_name == OLD_RUN_LANE)
    except DeserializationError:
        return False


def parse_item_id(item_id: str) -> tuple[int, int] | None:
    """Return a lane's id and the token before it was acquired, or None if this is not the id of a work item."""
    match = _ITEM_ID.match(item_id)
    return (int(match["lane"]), int(match["token"])) if match else None


def has_other_job_waiting(job_id: int, *, priority: str) -> bool:
    """Whether a lane of another job waits in the queue of this priority or of a higher one."""
    names = QUEUE_NAMES[: QUEUE_NAMES.index(priority) + 1]
    try:
        waiting = (item_id for name in names for item_id in open_queue(name).get_job_ids())
        return any((match := _ITEM_ID.match(item_id)) and int(match["job"]) != job_id for item_id in waiting)
    except RedisError:
        return False


def fleet_status() -> Fleet:
    """Count the workers and the waiting work items, for health and pages. Never raises, never cleans registries."""
    try:
        queued = sum(open_queue(name).count for name in QUEUE_NAMES)
        return Fleet(redis=True, workers=len(_living_workers()), queued=queued)
    except RedisError:
        return Fleet(redis=False, workers=0, queued=0)


def _living_workers() -> list[str]:
    """Return the keys of workers that have not expired. RQ's own count keeps a killed worker until it cleans up."""
    keys = Worker.all_keys(connection=client())
    with client().pipeline(transaction=False) as pipeline:
        for key in keys:
            pipeline.hmget(key, "birth", "death")
        return [key for key, (birth, death) in zip(keys, pipeline.execute(), strict=True) if birth and not death]
