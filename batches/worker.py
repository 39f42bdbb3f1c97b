"""Our RQ worker: what stock RQ does not do and a sender of mail needs.

It notices a dead work-horse at once and a dead worker by its lease, takes its horse with it when it dies,
passes SIGTERM on as a request to drain, and sweeps every few seconds, busy or idle.
"""

from __future__ import annotations

import ctypes
import logging
import os
import signal
import sys
import time
from typing import Any

import redis
import rq
from django.db import DatabaseError, InterfaceError, connection, connections
from rq.exceptions import StopRequested
from rq.job import Job
from rq.queue import Queue
from rq.serializers import JSONSerializer

from batches.delivery import stop
from batches.jobs.lanes import expire_lane
from batches.jobs.sweep import sweep

logger = logging.getLogger(__name__)

SWEEP_SECONDS = 2
"""Between two sweeps of one worker; with the lease it bounds how long the emails of a dead lane wait."""

WORKER_TTL_SECONDS = 30
"""How long a worker that is gone still counts as alive."""

_PR_SET_PDEATHSIG = 1  # <linux/prctl.h>


def die_with_parent(parent_pid: int) -> None:
    """Be killed when the process that forked this one dies, whatever kills it (Linux: prctl(2))."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent_pid:  # it died before the call
            os._exit(1)


class Worker(rq.Worker):
    """The worker of ``manage.py rqworker``, set in settings.RQ."""

    def __init__(self, queues: Any, name: str | None = None, **kwargs: Any) -> None:
        # JSON on both sides: with pickle, whoever reaches Redis could run code here. rqworker's own flag
        # defaults to pickle, so what it passes is dropped.
        kwargs["serializer"] = JSONSerializer
        kwargs["worker_ttl"] = WORKER_TTL_SECONDS
        super().__init__(queues, name, **kwargs)
        self.job_monitoring_interval = SWEEP_SECONDS
        self._next_sweep_at = 0.0
        self._is_sweeping = self._is_stop_due = False
        self._pid = os.getpid()

    @property
    def dequeue_timeout(self) -> int:
        """Seconds of one blocking pop: between two of them an idle worker sweeps."""
        return SWEEP_SECONDS

    # --- the sweep -----------------------------------------------------------------------------------

    def heartbeat(self, timeout: int | None = None, pipeline: Any = None) -> None:
        """RQ calls this at every turn of its loops, idle or busy: the moment to register and to sweep."""
        if not self.is_horse:
            self._sweep_if_due()
            if self._is_stop_due:
                raise StopRequested
        super().heartbeat(timeout, pipeline)
        if not self.is_horse and pipeline is None:
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

    def _shutdown(self) -> None:
        """RQ's handler of SIGTERM raises in an idle worker: not out of the middle of a sweep."""
        if self._is_sweeping and not self.horse_pid:
            self._is_stop_due = True
        else:
            super()._shutdown()  # type: ignore[no-untyped-call]

    def _register_again(self) -> None:
        """After a FLUSHALL RQ goes on taking jobs, but no one would see this worker any more."""
        try:
            if not self.connection.hexists(self.key, "birth"):
                self.connection.delete(self.key)
                self.register_birth()  # type: ignore[no-untyped-call]
        except redis.exceptions.RedisError as exc:
            logger.warning("Redis is away: %s", exc)

    # --- the work-horse ------------------------------------------------------------------------------

    def fork_work_horse(self, job: Job, queue: Queue) -> None:
        """Fork with no database connection open: parent and child would talk over the same socket."""
        connections.close_all()
        super().fork_work_horse(job, queue)

    def setup_work_horse_signals(self) -> None:
        """In the fresh work-horse: die with the worker, and listen for the request to drain."""
        die_with_parent(self._pid)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        # A supervisor may send SIGTERM to the whole group: the worker decides, the horse waits for it.
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        stop.expect()

    def handle_warm_shutdown_request(self) -> None:
        """Pass SIGTERM on: the lane finishes what is in flight and gives back the rest."""
        super().handle_warm_shutdown_request()  # type: ignore[no-untyped-call]
        if self.horse_pid:
            os.kill(self.horse_pid, stop.DRAIN_SIGNAL)

    def handle_work_horse_killed(self, job: Job, retpid: int, ret_val: int, rusage: Any) -> None:
        """The horse is dead for certain, so its lease need not run out: the next sweep takes the lane."""
        super().handle_work_horse_killed(job, retpid, ret_val, rusage)  # type: ignore[no-untyped-call]
        try:
            expire_lane(job.id)
        except (DatabaseError, InterfaceError) as exc:
            logger.warning("The lane of %s is freed when its lease runs out: %s", job.id, exc)
