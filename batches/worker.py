"""Our RQ worker: what stock RQ does not do and a sender of mail needs.

It notices a dead work-horse at once and a dead worker by its lease, takes its horse with it when it dies,
passes SIGTERM on as a request to drain, sweeps every few seconds, busy or idle, goes on when Redis was away,
and runs nothing but lanes.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import logging
import os
import signal
import sys
import time
from collections.abc import Iterator
from typing import Any

import rq
from django.db import DatabaseError, InterfaceError, connection, connections
from redis.backoff import NoBackoff
from redis.driver_info import DriverInfo
from redis.exceptions import RedisError
from redis.retry import Retry
from rq import worker_registration
from rq.exceptions import StopRequested
from rq.executions import Execution
from rq.job import Job
from rq.queue import Queue
from rq.serializers import JSONSerializer

from batches.delivery import stop
from batches.jobs import queues
from batches.jobs.run_lane import expire_lane, preload
from batches.jobs.sweep import sweep

logger = logging.getLogger(__name__)

SWEEP_SECONDS = 2
"""Between two sweeps of one worker; with the lease it bounds how long the emails of a dead lane wait."""

WORKER_TTL_SECONDS = 30
"""How long a worker that is gone still counts as alive."""

REDIS_TIMEOUT_SECONDS = 5
"""How long one answer of Redis may take, beyond the wait of a blocking pop: the horse is watched meanwhile."""

_PR_SET_PDEATHSIG = 1  # <linux/prctl.h>
_STOP_SIGNALS = {signal.SIGINT, signal.SIGTERM, stop.DRAIN_SIGNAL}


def die_with_parent(parent_pid: int) -> None:
    """Be killed when the process that forked this one dies, whatever kills it (Linux: prctl(2))."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent_pid:  # it died before the call
            os._exit(1)


@contextlib.contextmanager
def outlast_redis() -> Iterator[None]:
    """Note that Redis is away and go on: what RQ keeps there is for display, the truth is in Postgres."""
    try:
        yield
    except RedisError as exc:
        logger.warning("Redis is away: %s", exc)


@contextlib.contextmanager
def needing_redis() -> Iterator[None]:
    """End the process with one sentence if Redis is away."""
    try:
        yield
    except RedisError as exc:
        raise SystemExit(
            f"The worker can't start, for Redis does not answer ({exc}). Start Redis, or set REDIS_URL to its address."
        ) from exc


class Worker(rq.Worker):
    """The worker of ``manage.py rqworker``, set in settings.RQ."""

    max_connection_wait_time = 2.0

    def __init__(self, queues: Any, name: str | None = None, **kwargs: Any) -> None:
        # JSON on both sides: with pickle, whoever reaches Redis could run code here. rqworker's own flag
        # defaults to pickle, so what it passes is dropped.
        kwargs["serializer"] = JSONSerializer
        kwargs["worker_ttl"] = WORKER_TTL_SECONDS
        with needing_redis():
            super().__init__(queues, name, **kwargs)
        # Whatever asks Redis here asks again by itself, and must not hold up the watch on the horse.
        self.connection.set_retry(Retry(NoBackoff(), 1))
        # Else each connection, so each work-horse, looks in redis-py's files for its version.
        self.connection.connection_pool.connection_kwargs.setdefault("driver_info", DriverInfo())
        self.job_monitoring_interval = SWEEP_SECONDS
        self._next_sweep_at = 0.0
        self._is_sweeping = self._is_stop_due = self._is_horse_lost = False
        self._pid = os.getpid()

    def bootstrap(self, *args: Any, **kwargs: Any) -> None:
        preload()
        gc.freeze()  # or a horse's first collection would touch, and so copy, all that it shares with the worker
        # From its registration on until check_for_suspension can take it: a stop in between would leave it registered.
        signal.pthread_sigmask(signal.SIG_BLOCK, _STOP_SIGNALS)
        with needing_redis():
            super().bootstrap(*args, **kwargs)

    @property
    def dequeue_timeout(self) -> int:
        """Seconds of one blocking pop: between two of them an idle worker sweeps."""
        return SWEEP_SECONDS

    @property
    def connection_timeout(self) -> int:
        return SWEEP_SECONDS + REDIS_TIMEOUT_SECONDS

    # --- the sweep -----------------------------------------------------------------------------------

    def heartbeat(self, timeout: int | None = None, pipeline: Any = None) -> None:
        """RQ calls this at every turn of its loops, idle or busy: the moment to register and to sweep."""
        if not self.is_horse:
            self._sweep_if_due()
            if self._is_stop_due:
                raise StopRequested
        with outlast_redis():
            super().heartbeat(timeout, pipeline)
            if not self.is_horse and pipeline is None:
                self._register_again()

    def maintain_heartbeats(self, job: Job, execution: Execution) -> None:
        """RQ's heartbeat while a horse runs. An error here would end the worker, and with it its horse."""
        with outlast_redis():
            super().maintain_heartbeats(job, execution)
            self._register_again()

    def _sweep_if_due(self) -> None:
        if time.monotonic() < self._next_sweep_at:
            return
        self._next_sweep_at = time.monotonic() + SWEEP_SECONDS
        self._is_sweeping = True
        try:
            sweep()
        except (DatabaseError, InterfaceError) as exc:
            logger.warning("The sweep could not reach Postgres and tries again: %s", exc)
            connection.close()
        except Exception:
            logger.exception("The sweep failed; it is tried again in %s s.", SWEEP_SECONDS)
        finally:
            self._is_sweeping = False

    def _register_again(self) -> None:
        """After a FLUSHALL RQ goes on taking jobs, but no one would see this worker any more."""
        with self.connection.pipeline(transaction=False) as pipeline:
            pipeline.sismember(self.redis_workers_keys, self.key)
            pipeline.hexists(self.key, "birth")
            if all(pipeline.execute()):
                return
            worker_registration.register(self, pipeline)
            pipeline.hset(self.key, mapping=self.serialize() | {"state": self.get_state()})
            pipeline.expire(self.key, self.worker_ttl + 60)
            pipeline.execute()

    # --- an outage of Redis --------------------------------------------------------------------------

    def check_for_suspension(self, burst: bool) -> None:
        """RQ's first step in its loop, when its handlers are there and a stop ends in its clean-up."""
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOP_SIGNALS)
        with outlast_redis():
            super().check_for_suspension(burst)

    def run_maintenance_tasks(self) -> None:
        with outlast_redis():
            super().run_maintenance_tasks()  # type: ignore[no-untyped-call]

    def set_state(self, state: str, pipeline: Any = None) -> None:
        with outlast_redis():
            super().set_state(state, pipeline)

    def set_shutdown_requested_date(self) -> None:
        with outlast_redis():
            super().set_shutdown_requested_date()  # type: ignore[no-untyped-call]

    def teardown(self) -> None:
        with outlast_redis():
            super().teardown()  # type: ignore[no-untyped-call]

    # --- the work-horse ------------------------------------------------------------------------------

    def execute_job(self, job: Job, queue: Queue) -> None:
        """Run a lane in a work-horse and wait for its end; nothing else is run, whatever stands in the queue."""
        if not queues.is_work_item(job):
            logger.error("Job %s in Redis is no lane of ours and was not run. Find out who put it there.", job.id)
            with outlast_redis():
                self.connection.delete(job.key)
            return
        self._is_horse_lost = False
        try:
            with outlast_redis():
                super().execute_job(job, queue)
        finally:
            if self._is_horse_lost:
                self._free_lane(job)

    def fork_work_horse(self, job: Job, queue: Queue) -> None:
        """Fork with no database connection open: parent and child would talk over the same socket."""
        connections.close_all()
        # The horse unblocks them when it can tell them apart, here in setup_work_horse_signals.
        signal.pthread_sigmask(signal.SIG_BLOCK, _STOP_SIGNALS)
        try:
            super().fork_work_horse(job, queue)
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOP_SIGNALS)
        if self._stop_requested:  # before there was a horse to pass it on to
            self._ask_horse_to_drain()

    def setup_work_horse_signals(self) -> None:
        """In the fresh work-horse: die with the worker, and listen for the request to drain."""
        die_with_parent(self._pid)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        # A supervisor may send SIGTERM to the whole group: the worker decides, the horse waits for it.
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        stop.expect()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOP_SIGNALS)

    def wait_for_horse(self) -> tuple[int | None, int | None, Any]:
        pid, status, usage = super().wait_for_horse()
        self._is_horse_lost = bool(status)
        return pid, status, usage

    def _free_lane(self, job: Job) -> None:
        """The horse is dead for certain, so its lease need not run out: the next sweep takes the lane."""
        try:
            expire_lane(job.id, worker=self.name)
        except (DatabaseError, InterfaceError) as exc:
            logger.warning("The lane of %s is freed when its lease runs out: %s", job.id, exc)

    # --- stopping ------------------------------------------------------------------------------------

    def handle_warm_shutdown_request(self) -> None:
        """Pass SIGTERM on: the lane finishes what is in flight and gives back the rest."""
        super().handle_warm_shutdown_request()  # type: ignore[no-untyped-call]
        self._ask_horse_to_drain()

    def _ask_horse_to_drain(self) -> None:
        if self.horse_pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.horse_pid, stop.DRAIN_SIGNAL)

    def _shutdown(self) -> None:
        """RQ's handler of SIGTERM raises in an idle worker: not out of the middle of a sweep."""
        if self._is_sweeping and not self.horse_pid:
            self._is_stop_due = True
        else:
            super()._shutdown()  # type: ignore[no-untyped-call]
