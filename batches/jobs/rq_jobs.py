"""Keep what Redis holds from running anything but a lane or a letter check.

A job of RQ may carry more than its function: callbacks and webhooks for its end, a retry, a repetition, jobs that wait
for it. RQ runs callbacks and calls webhooks also when it only cleans its registries, in a worker or in whatever process
opens a page of the registry. Anyone who reaches Redis could write such a job. None of ours carries any of these, so
they are dropped wherever a job is read.

RQ's default format of a job is pickle, which runs what it reads. Queues of ours say JSON, but some pages of django-rq
read jobs without asking the queue. So the default is JSON too.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

from redis.exceptions import RedisError, ResponseError
from rq.exceptions import NoSuchJobError
from rq.job import Job
from rq.serializers import DefaultSerializer, JSONSerializer

FIELDS = frozenset(
    {
        *("created_at", "data", "description", "ended_at", "enqueued_at", "exc_info", "failure_ttl"),
        *("last_heartbeat", "origin", "result_ttl", "started_at", "status", "timeout", "ttl", "worker_name"),
    }
)
"""The fields of a job in Redis that are read. Every other field is dropped."""


def drop_foreign_parts() -> None:
    """Change RQ for this process: it reads FIELDS of a job alone, as JSON. A job that it cannot read does not exist.

    A subclass would not do. RQ's registries and django-rq's pages use the class itself in places. Safe to call twice.
    """
    if getattr(Job.restore, "is_ours", False):
        return
    Job.restore = _restoring(Job.restore)  # type: ignore[assignment, method-assign]
    Job.refresh = _refreshing(Job.refresh)  # type: ignore[method-assign]
    Job.send_webhooks = _send_none  # type: ignore[assignment, method-assign]
    # The class is changed and not replaced, because RQ's modules have imported it under several names.
    DefaultSerializer.dumps = JSONSerializer.dumps
    DefaultSerializer.loads = JSONSerializer.loads


def has_foreign_parts(job: Job) -> bool:
    """Whether a job carried anything in Redis that one of ours never has."""
    return bool(getattr(job, "foreign_fields", ()))


def _restoring(restore: Callable[[Job, Any], None]) -> Callable[[Job, Any], None]:
    @functools.wraps(restore)
    def restore_known(job: Job, raw_data: Mapping[Any, Any]) -> None:
        fields = {_as_text(name): value for name, value in raw_data.items()}
        job.foreign_fields = sorted(name for name in fields.keys() & FOREIGN if fields[name])  # type: ignore[attr-defined]
        restore(job, {name: value for name, value in fields.items() if name in FIELDS})

    restore_known.is_ours = True  # type: ignore[attr-defined]
    return restore_known


def _refreshing(refresh: Callable[[Job], None]) -> Callable[[Job], None]:
    @functools.wraps(refresh)
    def refresh_or_none(job: Job) -> None:
        try:
            refresh(job)
        except ResponseError as exc:  # the key is of another kind
            raise NoSuchJobError(f"The job {job.id} in Redis is none: {exc}") from exc
        except (NoSuchJobError, RedisError):
            raise
        except Exception as exc:  # RQ raises many kinds of errors for a field that it cannot read
            # RQ goes on without a job that does not exist. Any other error would end the worker.
            raise NoSuchJobError(f"The job {job.id} in Redis cannot be read: {exc}") from exc

    return refresh_or_none


def _send_none(job: Job, status: Any, *, exc_string: str | None = None) -> None:
    """A job of ours has no webhooks."""


FOREIGN = frozenset(
    {
        *("success_callback_name", "failure_callback_name", "stopped_callback_name", "webhooks", "dependency_ids"),
        *("dependency_id", "retries_left", "retry_intervals", "repeats_left", "repeat_intervals", "rate_limit_key"),
    }
)
"""The fields of parts that none of our jobs has. RQ writes some of them empty."""


def _as_text(name: Any) -> str:
    return name.decode(errors="replace") if isinstance(name, bytes) else str(name)
