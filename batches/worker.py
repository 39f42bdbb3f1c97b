"""Our RQ worker: what a sender of mail needs and RQ's own worker does not do.

It ends the lease of a dead work-horse at once. Its work-horse dies with it. It passes SIGTERM on as a request to drain.
It sweeps every few seconds, busy or idle. It goes on when Redis was away. It runs nothing but lanes and letter
checks, whatever Redis holds, and takes no commands from Redis.
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
from rq.utils import now as utcnow

from batches.delivery import stop
from batches.jobs import queues
from batches.jobs.run_lane import expire_lane, preload
from batches.jobs.senders import keep_default_sender
from batches.jobs.sweep import sweep
from batches.smtp import meanings

logger = logging.getLogger(__name__)

SWEEP_SECONDS = 2
"""The time between two sweeps of one worker. Together with the lease, it bounds how long a dead lane's emails wait."""

WORKER_TTL_SECONDS = 30
"""How long a worker that died without a word still counts as alive."""

REDIS_TIMEOUT_SECONDS = 5
"""How long one answer of Redis may take, beyond the wait of a blocking pop. It is short because the worker does
not watch its work-horse meanwhile."""

_PR_SET_PDEATHSIG = 1  # <linux/prctl.h>
_STOP_SIGNALS = {signal.SIGINT, signal.SIGTERM, stop.DRAIN_SIGNAL}


def die_with_parent(parent_pid: int) -> None:
    """Have the kernel kill this process when its parent dies, whatever kills the parent (on Linux, by prctl(2))."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent_pid:  # The parent died before the call.
            os._exit(1)


@contextlib.contextmanager
def outlast_redis() -> Iterator[None]:
    """Log that Redis is away, and go on. What RQ keeps there is for display; PostgreSQL holds the truth."""
    try:
        yield
    except RedisError as exc:
        logger.warning("Redis can't be used: %s", exc)


@contextlib.contextmanager
def needing_redis() -> Iterator[None]:
    """End the process with one sentence if Redis is away."""
    try:
        yield
    except RedisError as exc:
        raise SystemExit(
            f"The worker can't start because Redis does not answer ({exc}). "
            "Start Redis, or set REDIS_URL to its address."
        ) from exc


class Worker(rq.Worker):
    """The worker of ``manage.py rqworker``, which settings.RQ names. Each override says why it exists."""

    # How long RQ waits at most before it connects again. RQ's own minute would delay everything after an outage.
    max_connection_wait_time = 2.0

    def __init__(self, queues: Any, name: str | None = None, **kwargs: Any) -> None:
        # JSON on both sides: with pickle, anyone who reaches Redis could run code here. The serializer that rqworker
        # passes is replaced, because its default is pickle.
        kwargs["serializer"] = JSONSerializer
        kwargs["worker_ttl"] = WORKER_TTL_SECONDS
        with needing_redis():
            super().__init__(queues, name, **kwargs)
        # A failed command is repeated once and without a pause. Each caller here repeats it later anyway, and during a
        # pause the worker would not watch its work-horse.
        self.connection.set_retry(Retry(NoBackoff(), 1))
        # Without it, each connection, and so each work-horse, reads redis-py's version from its files.
        self.connection.connection_pool.connection_kwargs.setdefault("driver_info", DriverInfo())
        self.job_monitoring_interval = SWEEP_SECONDS
        self._next_sweep_at = 0.0
        self._is_sweeping = self._is_stop_due = self._is_work_horse_lost = False
        self._pid = os.getpid()

    def bootstrap(self, *args: Any, **kwargs: Any) -> None:
        """Overridden to load once what all work-horses need, and to end with one sentence if Redis is away."""
        preload()
        meanings.refresh()
        with contextlib.suppress(DatabaseError, InterfaceError):
            keep_default_sender()  # other processes may not have the setting that it follows
        connections.close_all()
        # Otherwise a work-horse's first garbage collection would touch, and so copy, all memory that it shares.
        gc.freeze()
        # Blocked until check_for_suspension: a stop in between would leave a stale registration in Redis.
        signal.pthread_sigmask(signal.SIG_BLOCK, _STOP_SIGNALS)
        with needing_redis():
            super().bootstrap(*args, **kwargs)

    @property
    def dequeue_timeout(self) -> int:
        """Overridden so that an idle worker wakes in time for its sweep: the seconds of one blocking pop."""
        return SWEEP_SECONDS

    @property
    def connection_timeout(self) -> int:
        """Overridden because the socket must outwait one blocking pop, and not much more."""
        return SWEEP_SECONDS + REDIS_TIMEOUT_SECONDS

    # --- the sweep -----------------------------------------------------------------------------------

    def heartbeat(self, timeout: int | None = None, pipeline: Any = None) -> None:
        """Overridden to sweep and to register: RQ calls this in each turn of its loops, idle or busy."""
        if not self.is_horse:
            self._sweep_if_due()
            if self._is_stop_due and not (self._stop_requested or self.horse_pid):
                raise StopRequested
        with outlast_redis():
            super().heartbeat(timeout, pipeline)
            if not self.is_horse and pipeline is None:
                self._register_again()

    def maintain_heartbeats(self, job: Job, execution: Execution) -> None:
        """Overridden because an error of Redis here would end the worker, and its work-horse with it."""
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
            logger.warning("The sweep could not reach PostgreSQL; the next one is in %s s: %s", SWEEP_SECONDS, exc)
            connection.close()
        except Exception:
            logger.exception("The sweep failed; the next one is in %s s.", SWEEP_SECONDS)
        finally:
            self._is_sweeping = False

    def _register_again(self) -> None:
        """Register this worker again after a FLUSHALL. RQ would go on working, but nobody would see the worker."""
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
        """Overridden to unblock the stop signals, because RQ's own handlers and its clean-up are in place now."""
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOP_SIGNALS)
        with outlast_redis():
            super().check_for_suspension(burst)

    def run_maintenance_tasks(self) -> None:
        """Overridden to go on while Redis is away, and whatever somebody wrote into it."""
        try:
            with outlast_redis():
                self.clean_registries()
        except StopRequested:
            raise
        except Exception:
            logger.exception("RQ's registries in Redis could not be cleaned. Find out who wrote into them.")

    def clean_registries(self) -> None:
        """Overridden to clean only the registries in which our own entries are, and no groups or rate limits of RQ."""
        for queue in self.queues:
            if queue.acquire_maintenance_lock():  # one worker is enough
                try:
                    self._clean_registries_of(queue)
                    worker_registration.clean_worker_registry(queue)
                    queue.intermediate_queue.cleanup(self, queue)
                finally:
                    queue.release_maintenance_lock()  # type: ignore[no-untyped-call]
        self.last_cleaned_at = utcnow()  # type: ignore[assignment]

    def _clean_registries_of(self, queue: Queue) -> None:
        """Forget entries that ended, and note that a letter check failed whose worker died."""
        for registry in (queue.finished_job_registry, queue.started_job_registry, queue.failed_job_registry):
            registry.cleanup()  # a job that it reads has no callbacks and no webhooks: see batches.jobs.rq_jobs

    def subscribe(self) -> None:
        """Overridden to take no commands from Redis: anyone who reaches it could kill work-horses.

        An operator pauses or cancels a batch, and stops a worker by a signal.
        """

    def dequeue_job_and_maintain_ttl(self, timeout: int | None, max_idle_time: int | None = None) -> Any:
        """Overridden to go on after an entry of a queue that is no id of a job: RQ would end the worker."""
        while True:
            try:
                return super().dequeue_job_and_maintain_ttl(timeout, max_idle_time)
            except ValueError as exc:
                logger.error("An entry of a queue in Redis was dropped because it is no id of a job: %s", exc)

    def set_state(self, state: str, pipeline: Any = None) -> None:
        """Overridden to go on while Redis is away."""
        with outlast_redis():
            super().set_state(state, pipeline)

    def set_shutdown_requested_date(self) -> None:
        """Overridden to stop in order while Redis is away."""
        with outlast_redis():
            super().set_shutdown_requested_date()  # type: ignore[no-untyped-call]

    def teardown(self) -> None:
        """Overridden to stop in order while Redis is away."""
        with outlast_redis():
            super().teardown()  # type: ignore[no-untyped-call]

    # --- the work-horse ------------------------------------------------------------------------------

    def execute_job(self, job: Job, queue: Queue) -> None:
        """Overridden to run nothing but lanes and letter checks, and to end the lease of a work-horse that died."""
        if not queues.is_runnable(job):
            self._drop(job)
            return
        self._is_work_horse_lost = False
        try:
            with outlast_redis():
                super().execute_job(job, queue)
        finally:
            if self._is_work_horse_lost:
                self._end_lease(job)

    def _drop(self, job: Job) -> None:
        """Delete an entry of the queue that is not run."""
        if queues.is_old_work_item(job):
            logger.warning("Dropped work item %s of release 0.1.0. The sweep enqueues its lane again.", job.id)
        else:
            logger.error(
                "Job %s in Redis is no lane or letter check of ours and was not run. Find out who put it there.", job.id
            )
        with outlast_redis():
            self.connection.delete(job.key)

    def fork_work_horse(self, job: Job, queue: Queue) -> None:
        """Overridden to fork with no database connection open: worker and work-horse would share its socket."""
        connections.close_all()
        meanings.refresh()  # here, so that a site's file with a fault leaves the rules that were read before in force
        # The work-horse unblocks them in setup_work_horse_signals, when its own handlers are in place.
        signal.pthread_sigmask(signal.SIG_BLOCK, _STOP_SIGNALS)
        try:
            super().fork_work_horse(job, queue)
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOP_SIGNALS)
        if self._is_stop_due:  # The request came before there was a work-horse to pass it on to.
            self._stop_requested = True
            self._ask_work_horse_to_drain()

    def setup_work_horse_signals(self) -> None:
        """Overridden so that the new work-horse dies with its worker and listens for the request to drain."""
        die_with_parent(self._pid)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        # A supervisor may send SIGTERM to the whole group. The work-horse waits for its worker to decide.
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        stop.expect()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOP_SIGNALS)

    def wait_for_horse(self) -> tuple[int | None, int | None, Any]:
        """Overridden to notice that the work-horse did not end by itself."""
        pid, status, usage = super().wait_for_horse()
        self._is_work_horse_lost = bool(status)
        return pid, status, usage

    def _end_lease(self, job: Job) -> None:
        """End the lease of a work-horse that is certainly dead, so that the next sweep reaps its lane."""
        try:
            expire_lane(job.id, worker=self.name)
        except (DatabaseError, InterfaceError) as exc:
            logger.warning("The lane of %s is reaped when its lease runs out: %s", job.id, exc)

    # --- stopping ------------------------------------------------------------------------------------

    def handle_warm_shutdown_request(self) -> None:
        """Overridden to pass SIGTERM on: the lane finishes what is in flight and requeues the rest."""
        super().handle_warm_shutdown_request()  # type: ignore[no-untyped-call]
        self._ask_work_horse_to_drain()

    def _ask_work_horse_to_drain(self) -> None:
        if self.horse_pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.horse_pid, stop.DRAIN_SIGNAL)

    def _shutdown(self) -> None:
        """Overridden because RQ's SIGTERM handler raises in an idle worker, and must not interrupt a sweep.

        The program may be anywhere then, also in a log handler or a finaliser, which catch every exception. So the next
        heartbeat raises it again.
        """
        self._is_stop_due = True
        if not self._is_sweeping or self.horse_pid:
            super()._shutdown()  # type: ignore[no-untyped-call]
