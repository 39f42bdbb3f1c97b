"""The doorbell: ring lanes in RQ's queues, and see what waits there. Redis may be away at any time."""

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
FAILURE_TTL_SECONDS = 24 * 60 * 60
"""How long RQ's admin pages show a lane that ended with an exception."""

RUN_LANE = "batches.jobs.run_lane.run_lane"
_ITEM_ID = re.compile(r"lane-(?P<job>\d+)-(?P<lane>\d+)-(?P<token>\d+)\Z")


@dataclass(frozen=True, kw_only=True, slots=True)
class WorkItem:
    """One ringing of the doorbell for one lane: what RQ calls a job."""

    job_id: int
    lane_id: int
    token: int
    priority: str

    @property
    def id(self) -> str:
        """The same for a second ringing before the lane was taken, so that the sweep sees it waits."""
        return f"lane-{self.job_id}-{self.lane_id}-{self.token}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Fleet:
    """Is Redis there, how many workers are registered, how many lanes wait."""

    redis: bool
    workers: int
    queued: int


@cache
def _redis() -> Redis:
    return redis_client.connect()


@cache
def _queue(name: str) -> Queue:
    # commit_mode auto: we ring after the commit ourselves; cached, for each call would make a pool.
    return django_rq.get_queue(name, commit_mode="auto", connection=_redis())


def enqueue(items: Iterable[WorkItem]) -> int:
    """Enqueue a lane for each ring; call it after the commit that made the work. How many were rung."""
    count = 0
    try:
        for each in items:
            _queue(each.priority).enqueue(
                RUN_LANE,
                kwargs={"lane_id": each.lane_id},
                job_id=each.id,
                result_ttl=0,
                failure_ttl=FAILURE_TTL_SECONDS,
            )
            count += 1
    except RedisError as exc:
        logger.warning("Redis is away, the sweep will ring again: %s", exc)
    return count


def waiting_item_ids() -> set[str]:
    """The ids of all rings that wait in a queue.

    Raises:
        RedisError: Redis is away.
    """
    return {item_id for name in QUEUE_NAMES for item_id in _queue(name).get_job_ids()}


def is_work_item(job: Job) -> bool:
    """Whether what stands in a queue is a ring of ours, and carries nothing else that would be run."""
    try:
        is_lane = job.func_name == RUN_LANE and not job.args and list(job.kwargs) == ["lane_id"]
    except (DeserializationError, TypeError):  # pickle, say
        return False
    callbacks = (job._success_callback_name, job._failure_callback_name, job._stopped_callback_name)
    return is_lane and not any(callbacks) and not job.webhooks


def parse_item_id(item_id: str) -> tuple[int, int] | None:
    """The lane's id and the token before its taking, or None if this is no ring's id."""
    match = _ITEM_ID.match(item_id)
    return (int(match["lane"]), int(match["token"])) if match else None


def has_other_job_waiting(job_id: int, *, priority: str) -> bool:
    """Whether a lane of another job waits in the queue of this priority or a higher one."""
    names = QUEUE_NAMES[: QUEUE_NAMES.index(priority) + 1]
    try:
        waiting = (item_id for name in names for item_id in _queue(name).get_job_ids())
        return any((match := _ITEM_ID.match(item_id)) and int(match["job"]) != job_id for item_id in waiting)
    except RedisError:
        return False


def fleet_status() -> Fleet:
    """What health and the pages say of Redis and the workers; never raises, never cleans registries."""
    try:
        queued = sum(_queue(name).count for name in QUEUE_NAMES)
        return Fleet(redis=True, workers=len(_living_workers()), queued=queued)
    except RedisError:
        return Fleet(redis=False, workers=0, queued=0)


def _living_workers() -> list[str]:
    """The workers whose key has not expired; RQ's own count holds a killed one until it is cleaned."""
    keys = Worker.all_keys(connection=_redis())
    with _redis().pipeline(transaction=False) as pipeline:
        for key in keys:
            pipeline.hmget(key, "birth", "death")
        return [key for key, (birth, death) in zip(keys, pipeline.execute(), strict=True) if birth and not death]
