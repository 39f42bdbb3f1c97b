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
from rq.exceptions import DeserializationError, NoSuchJobError
from rq.job import Job
from rq.serializers import JSONSerializer

from batches import redis_client
from batches.jobs import rq_jobs
from batches.jobs.redis_health import RedisFault, name_fault, probe
from batches.models import JobPriority

logger = logging.getLogger(__name__)

rq_jobs.drop_foreign_parts()  # here, because every process that reads a queue imports this module

QUEUE_NAMES = tuple(JobPriority.values)
"""The queues, the most urgent first."""

FAILURE_TTL_SECONDS = 24 * 60 * 60
"""How long RQ's admin pages show a lane that ended with an exception."""

RUN_LANE = "batches.jobs.run_lane.run_lane"
"""The path of the function that a worker runs. Redis keeps it in each work item, so it outlives a release."""

CHECK_LETTERS = "batches.jobs.check_letters.check_every_letter"
"""The path of the function for a letter check. A check is no work item of a lane, and waits in the same queues."""

CHECK_QUEUE = JobPriority.DEFAULT.value
"""Where letter checks wait: in turn with the lanes of ordinary jobs (decision 19)."""

PURGE = "batches.people.purge_job.purge_in_turns"
"""The path of the function that purges old data."""

SEND_WEBHOOKS = "batches.jobs.send_webhooks.send_in_turns"
"""The path of the function that sends the due messages of webhooks."""

LIST_PEOPLE = "batches.directory.listing_job.list_in_turns"
"""The path of the function that tells the search for people of sent batches."""

_ARGUMENTS = {
    RUN_LANE: ["lane_id"],
    CHECK_LETTERS: ["run"],
    PURGE: ["turn"],
    SEND_WEBHOOKS: ["turn"],
    LIST_PEOPLE: ["turn"],
}
"""What a worker runs, and the names of its arguments."""

OLD_RUN_LANE = "batches.jobs.lanes.run_lane"
"""The path in the work items of release 0.1.0."""

_ITEM_ID = re.compile(r"lane-(?P<job>\d+)-(?P<lane>\d+)-(?P<token>\d+)\Z")
_CHECK_ID_PREFIX = "letters-"
_WEBHOOKS_ID_PREFIX = "webhooks-"
_LISTING_ID_PREFIX = "people-"


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
    """Whether Redis can be used, how many workers are registered, and how many work items wait."""

    redis: bool
    """Whether Redis answers and accepts writes."""
    workers: int
    queued: int
    fault: RedisFault | None = None
    """Why Redis can't be used. None although ``redis`` is false: it is away."""
    memory_share: float | None = None
    """The used part of Redis's memory, or None if it has no limit."""


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
            _enqueue(RUN_LANE, {"lane_id": item.lane_id}, queue_name=item.priority, entry_id=item.id)
            count += 1
    except RedisError as exc:
        logger.warning("Redis can't be used; the sweep will enqueue the lanes: %s", exc)
    return count


def _enqueue(function: str, arguments: dict[str, object], *, queue_name: str, entry_id: str) -> None:
    open_queue(queue_name).enqueue(
        function, kwargs=arguments, job_id=entry_id, result_ttl=0, failure_ttl=FAILURE_TTL_SECONDS
    )


def waiting_item_ids() -> set[str]:
    """Return the ids of all work items that wait in a queue.

    Raises:
        RedisError: Redis is away.
    """
    return {item_id for name in QUEUE_NAMES for item_id in open_queue(name).get_job_ids()}


def enqueue_check(run: str, *, turn: int) -> bool:
    """Enqueue a letter check, and say whether Redis took it. Each turn of a check has an entry of its own."""
    try:
        _enqueue(CHECK_LETTERS, {"run": run}, queue_name=CHECK_QUEUE, entry_id=_check_id(run, turn))
    except RedisError as exc:
        logger.warning("Redis can't be used, so no letters are checked: %s", exc)
        return False
    return True


def enqueue_purge(*, turn: int = 0) -> bool:
    """Enqueue a turn of the purge, and say whether Redis took it. It waits with the lanes of ordinary jobs."""
    try:
        _enqueue(PURGE, {"turn": turn}, queue_name=CHECK_QUEUE, entry_id=f"purge-{turn}")
    except RedisError as exc:
        logger.warning("Redis can't be used, so old data is purged another day: %s", exc)
        return False
    return True


def enqueue_webhooks(*, turn: int) -> bool:
    """Enqueue a turn of the sender of webhooks unless one waits already, and say whether this call did.

    It waits with the lanes of ordinary jobs.
    """
    return _enqueue_alone(SEND_WEBHOOKS, turn=turn, prefix=_WEBHOOKS_ID_PREFIX, later="the webhooks are sent")


def enqueue_listing(*, turn: int) -> bool:
    """Enqueue a turn of the listing for the search for people unless one waits, and say whether this call did."""
    return _enqueue_alone(LIST_PEOPLE, turn=turn, prefix=_LISTING_ID_PREFIX, later="people are listed")


def _enqueue_alone(function: str, *, turn: int, prefix: str, later: str) -> bool:
    """Enqueue a turn unless one whose id has the prefix waits. Without Redis, a sweep enqueues it later."""
    try:
        waiting = open_queue(CHECK_QUEUE).get_job_ids()
        if any(entry_id.startswith(prefix) for entry_id in waiting):
            return False
        _enqueue(function, {"turn": turn}, queue_name=CHECK_QUEUE, entry_id=f"{prefix}{turn}")
    except RedisError as exc:
        logger.warning("Redis can't be used; after a later sweep %s: %s", later, exc)
        return False
    return True


def is_check_queued(run: str, *, turn: int) -> bool:
    """Whether a letter check waits in its queue.

    Raises:
        RedisError: Redis is away.
    """
    return _check_id(run, turn) in open_queue(CHECK_QUEUE).get_job_ids()


def has_check_failed(run: str, *, turn: int) -> bool:
    """Whether a turn of a letter check ended with an exception or with the death of its work-horse.

    Raises:
        RedisError: Redis is away.
    """
    try:
        job = Job.fetch(_check_id(run, turn), connection=client(), serializer=JSONSerializer)
    except NoSuchJobError:
        return False
    return bool(job.is_failed)


def _check_id(run: str, turn: int) -> str:
    return f"{_CHECK_ID_PREFIX}{run}-{turn}"


def is_runnable(job: Job) -> bool:
    """Whether an entry of a queue is one of ours, such as a lane, and carries nothing else that RQ would run."""
    try:
        is_known = not job.args and list(job.kwargs) == _ARGUMENTS.get(str(job.func_name))
    except (DeserializationError, TypeError):  # for example pickled data
        return False
    return is_known and not rq_jobs.has_foreign_parts(job)


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
    """Whether somebody else waits in the queue of this priority or of a higher one.

    That is a lane of another job, a letter check, or the sender of webhooks.
    """
    names = QUEUE_NAMES[: QUEUE_NAMES.index(priority) + 1]
    try:
        waiting = (item_id for name in names for item_id in open_queue(name).get_job_ids())
        return any(_is_of_another(item_id, job_id) for item_id in waiting)
    except RedisError:
        return False


def _is_of_another(item_id: str, job_id: int) -> bool:
    match = _ITEM_ID.match(item_id)
    return int(match["job"]) != job_id if match else item_id.startswith((_CHECK_ID_PREFIX, _WEBHOOKS_ID_PREFIX))


def has_waiting_items() -> bool:
    """Whether anything waits in a queue.

    Raises:
        RedisError: Redis is away.
    """
    return any(open_queue(name).count for name in QUEUE_NAMES)


def has_other_work() -> bool:
    """Whether anything waits in a queue. While Redis is away, nothing can wait."""
    try:
        return has_waiting_items()
    except RedisError:
        return False


def fleet_status() -> Fleet:
    """Look whether Redis can be used, and count the workers and the waiting work items, for health and pages.

    Never raises, and never cleans registries.
    """
    health = probe(client())
    try:
        return Fleet(
            redis=health.fault is None,
            workers=len(_living_workers()),
            queued=sum(open_queue(name).count for name in QUEUE_NAMES),
            fault=health.fault,
            memory_share=health.memory_share,
        )
    except RedisError as exc:
        return Fleet(redis=False, workers=0, queued=0, fault=health.fault or name_fault(exc))


def _living_workers() -> list[str]:
    """Return the keys of workers that have not expired. RQ's own count keeps a killed worker until it cleans up."""
    keys = Worker.all_keys(connection=client())
    with client().pipeline(transaction=False) as pipeline:
        for key in keys:
            pipeline.hmget(key, "birth", "death")
        return [key for key, (birth, death) in zip(keys, pipeline.execute(), strict=True) if birth and not death]
