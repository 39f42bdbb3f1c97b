"""Faults of Redis and PostgreSQL under a living worker: nothing may be sent twice."""

from __future__ import annotations

import contextlib
import signal
import time

import psycopg

from tests.chaos.trial import Fault, Trial

COMMITS_CUT = 5
TERMINATING_SECONDS = 3.0
TERMINATE_BACKENDS = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
    " WHERE datname = 'emailbatch' AND backend_type = 'client backend' AND pid <> pg_backend_pid()"
)


def restart_redis(trial: Trial) -> None:
    """Restart with the append-only file, as a package upgrade does."""
    trial.stack.services.stop("redis")
    trial.last(trial.random.uniform(0, 2))
    trial.stack.services.start_redis()
    trial.mark()


def crash_redis(trial: Trial) -> None:
    trial.stack.services.stop("redis", signal_number=signal.SIGKILL)
    trial.last(trial.random.uniform(0, 2))
    trial.stack.services.start_redis()
    trial.mark()


def flush_redis(trial: Trial) -> None:
    with contextlib.closing(trial.stack.services.redis()) as client:
        client.flushall()
    trial.mark()


def flush_redis_before_pick_up(trial: Trial) -> None:
    """Load while no worker runs, wipe the queue, then start the worker: only the sweep can find the job."""
    trial.load()
    flush_redis(trial)
    trial.stack.start_worker()
    trial.mark()


def load_without_redis(trial: Trial) -> None:
    """Redis is down at the upload: the batch is taken all the same, and sent when Redis is back."""
    trial.stack.services.stop("redis")
    trial.load()
    trial.stack.services.start_redis()
    trial.mark()


def restart_postgres(trial: Trial) -> None:
    """An immediate stop, which is a crash: sessions and unfinished transactions are gone."""
    trial.stack.services.stop("postgres", signal_number=signal.SIGQUIT)
    trial.last(trial.random.uniform(0, 2))
    trial.stack.services.start_postgres()
    trial.mark()


def stay_without_postgres(trial: Trial) -> None:
    """PostgreSQL is away for longer than the lease: the living must not be taken for dead."""
    trial.stack.services.stop("postgres", signal_number=signal.SIGQUIT)
    trial.last(trial.options.lease_seconds * 1.5)
    trial.stack.services.start_postgres()
    trial.mark()


def terminate_backends(trial: Trial) -> None:
    deadline = time.monotonic() + TERMINATING_SECONDS
    while time.monotonic() < deadline:
        with contextlib.suppress(psycopg.OperationalError), trial.stack.services.connect() as connection:
            connection.execute(TERMINATE_BACKENDS)
        time.sleep(trial.random.uniform(0, 0.2))
    trial.mark()


def lose_commit_replies(trial: Trial) -> None:
    """Cut the connection after a commit took effect and before its reply arrives, several times."""
    proxy = trial.stack.proxy
    for number in range(COMMITS_CUT):
        proxy.cut_after_commit()
        deadline = time.monotonic() + 10
        while proxy.cuts_done <= number and time.monotonic() < deadline and not trial.has_ended():
            time.sleep(0.005)
        time.sleep(trial.random.uniform(0, 0.2))
    trial.mark()
    trial.notes["cuts"] = proxy.cuts_done
    if not proxy.cuts_done:
        trial.note_broken("the proxy saw no commit to cut")


def silence_postgres(trial: Trial) -> None:
    """The network to PostgreSQL swallows everything for a while, shorter than the lease."""
    trial.stack.proxy.blackhole(on=True)
    trial.last(trial.options.lease_seconds * 0.5)
    trial.stack.proxy.blackhole(on=False)
    trial.mark()


FAULTS = (
    Fault(name="redis-restart", title="Redis restarted", inject=restart_redis),
    Fault(name="redis-crash", title="Redis killed and started", inject=crash_redis),
    Fault(name="redis-flushall", title="Redis FLUSHALL", inject=flush_redis),
    Fault(
        name="redis-flushall-queued",
        title="Redis FLUSHALL before pick-up",
        inject=flush_redis_before_pick_up,
        workers=0,
        is_from_start=True,
    ),
    Fault(name="redis-down", title="Redis down at upload", inject=load_without_redis, is_from_start=True),
    Fault(
        name="postgres-restart",
        title="PostgreSQL stopped at once, restarted",
        inject=restart_postgres,
        must_recover=True,
    ),
    Fault(
        name="postgres-away", title="PostgreSQL away past the lease", inject=stay_without_postgres, must_recover=True
    ),
    Fault(name="postgres-backends", title="PostgreSQL backends terminated", inject=terminate_backends),
    Fault(name="postgres-commit", title="commit replies lost", inject=lose_commit_replies, has_proxy=True),
    Fault(name="postgres-silent", title="PostgreSQL silent for a while", inject=silence_postgres, has_proxy=True),
)
