"""Faults of Redis and PostgreSQL while the workers live: nothing may be sent twice."""

from __future__ import annotations

import contextlib
import shutil
import signal
import time

import psycopg

from tests.chaos.disk import find_refusal
from tests.chaos.stack import wait_until
from tests.chaos.trial import WINDOW, Fault, Trial

COMMITS_CUT = 5
TERMINATING_SECONDS = 3.0
TERMINATE_BACKENDS = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
    " WHERE datname = 'emailbatch' AND backend_type = 'client backend' AND pid <> pg_backend_pid()"
)


def restart_redis(trial: Trial) -> None:
    """Restart Redis with its append-only file, as a package upgrade does."""
    trial.stack.services.stop("redis")
    trial.wait(trial.random.uniform(0, 2))
    trial.stack.services.start_redis()
    trial.mark()


def lose_redis(trial: Trial) -> None:
    """Kill Redis and start it empty, as it starts without persistence."""
    trial.stack.services.stop("redis", signal_number=signal.SIGKILL)
    trial.wait(trial.random.uniform(0, 2))
    shutil.rmtree(trial.stack.folder / "valkey")
    trial.stack.services.start_redis()
    trial.mark()


def crash_redis(trial: Trial) -> None:
    trial.stack.services.stop("redis", signal_number=signal.SIGKILL)
    trial.wait(trial.random.uniform(0, 2))
    trial.stack.services.start_redis()
    trial.mark()


def flush_redis(trial: Trial) -> None:
    with contextlib.closing(trial.stack.services.redis()) as client:
        trial.notes["keys_flushed"] = client.dbsize()
        client.flushall()
    trial.mark()
    if not trial.notes["keys_flushed"]:
        trial.note_broken("there was nothing in Redis to flush")


def flush_redis_before_pick_up(trial: Trial) -> None:
    """Load while no worker runs, flush the queue, then start the worker: only the sweep can find the job."""
    trial.load()
    flush_redis(trial)
    trial.stack.start_worker()
    trial.mark()


def load_without_redis(trial: Trial) -> None:
    """Load while Redis is down: the batch is accepted anyway, and sent when Redis is back."""
    trial.stack.services.stop("redis")
    trial.load()
    trial.stack.services.start_redis()
    trial.mark()


def restart_postgres(trial: Trial) -> None:
    """Shut PostgreSQL down immediately, which is a crash: sessions and unfinished transactions are lost."""
    trial.stack.services.stop("postgres", signal_number=signal.SIGQUIT)
    trial.wait(trial.random.uniform(0, 2))
    trial.stack.services.start_postgres()
    trial.mark()


def stay_without_postgres(trial: Trial) -> None:
    """Keep PostgreSQL away for longer than the lease: the sweep must not reap the lanes of living workers."""
    trial.stack.services.stop("postgres", signal_number=signal.SIGQUIT)
    trial.wait(trial.options.lease_seconds * 1.5)
    trial.stack.services.start_postgres()
    trial.mark()


def terminate_backends(trial: Trial) -> None:
    deadline = time.monotonic() + TERMINATING_SECONDS
    terminated = 0
    while time.monotonic() < deadline:
        with contextlib.suppress(psycopg.OperationalError), trial.stack.services.connect() as connection:
            terminated += connection.execute(TERMINATE_BACKENDS).rowcount
        time.sleep(trial.random.uniform(0, 0.2))
    trial.mark()
    trial.notes["terminated"] = terminated
    if not terminated:
        trial.note_missed("there was no backend to terminate")


def lose_commit_replies(trial: Trial) -> None:
    """Cut a connection after its commit took effect and before the reply arrives, several times."""
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
    """Hold back everything on the network to PostgreSQL, for less than the lease."""
    trial.stack.proxy.blackhole(on=True)
    trial.wait(trial.options.lease_seconds * 0.5)
    trial.stack.proxy.blackhole(on=False)
    trial.mark()


NO_SPACE = "No space left on device"
FULL_SECONDS = 90


def fill_disk(trial: Trial) -> None:
    """Keep PostgreSQL's disk full for less than the lease: what cannot be recorded must not be sent."""
    fill_disk_for(trial, seconds=trial.options.lease_seconds * 0.6)


def fill_disk_for(trial: Trial, *, seconds: float) -> None:
    """Keep the disk full, check that writes were refused and that little is in doubt, and make room again."""
    services, disk = trial.stack.services, trial.stack.disk
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        disk.fill()
        trial.wait(0.05)
    trial.notes["refused_writes"] = services.count_log(NO_SPACE)
    if not trial.notes["refused_writes"]:
        trial.note_missed("nothing was refused on the full disk")
    trial.notes["in_doubt"] = in_doubt = trial.stack.smtp.stats()["accepted"] - count_sent(trial)
    if in_doubt > WINDOW * len(trial.stack.workers):
        trial.note_broken(f"{in_doubt} emails were accepted and could not be recorded, allowed {WINDOW} for each lane")
    disk.make_room()
    trial.mark()


def fill_disk_past_lease(trial: Trial) -> None:
    """Keep the disk full until each lease has run out: the sweep must not reap the lanes of living workers."""
    fill_disk_for(trial, seconds=trial.options.lease_seconds * 2 + trial.random.uniform(0, 3))


def fill_disk_of_log(trial: Trial) -> None:
    """Leave no room for the next segment of the write-ahead log: PostgreSQL crashes until there is room."""
    services, disk = trial.stack.services, trial.stack.disk

    def has_crashed() -> bool:
        # Segments that a checkpoint has recycled need no room, so each of them is used up.
        disk.fill()
        with contextlib.suppress(psycopg.OperationalError), services.connect() as connection:
            connection.execute("SELECT pg_logical_emit_message(false, 'chaos', ''), pg_switch_wal()")
        return services.has_ended("postgres")

    wait_until(has_crashed, seconds=FULL_SECONDS, what="PostgreSQL to end")
    trial.notes["refused_writes"] = services.count_log(NO_SPACE)
    trial.wait(trial.random.uniform(0, trial.options.lease_seconds))
    disk.make_room()
    services.stop("postgres")
    services.start_postgres()
    trial.mark()


def count_sent(trial: Trial) -> int:
    with trial.stack.services.connect() as connection:
        row = connection.execute(
            "SELECT count(*) FROM batches_email WHERE batch_id = %s AND status = 'sent'", [trial.batch_id]
        ).fetchone()
    return row[0] if row else 0


FAULTS = (
    Fault(name="redis-restart", title="Redis restarted", inject=restart_redis),
    Fault(name="redis-crash", title="Redis killed and started", inject=crash_redis),
    Fault(name="redis-lost", title="Redis killed, started empty", inject=lose_redis),
    Fault(name="redis-flushall", title="Redis FLUSHALL", inject=flush_redis),
    Fault(
        name="redis-flushall-queued",
        title="Redis FLUSHALL before a worker starts",
        inject=flush_redis_before_pick_up,
        workers=0,
        is_from_start=True,
    ),
    Fault(name="redis-down", title="Redis down at upload", inject=load_without_redis, is_from_start=True),
    Fault(
        name="postgres-restart",
        title="PostgreSQL shut down immediately",
        inject=restart_postgres,
        must_recover=True,
    ),
    Fault(
        name="postgres-away",
        title="PostgreSQL away longer than the lease",
        inject=stay_without_postgres,
        must_recover=True,
    ),
    Fault(name="postgres-backends", title="PostgreSQL backends terminated", inject=terminate_backends),
    Fault(name="postgres-commit", title="commit replies lost", inject=lose_commit_replies, has_proxy=True),
    Fault(
        name="disk-full",
        title="PostgreSQL's disk full for a while",
        inject=fill_disk,
        workers=2,
        has_small_disk=True,
        must_recover=True,
        unavailable=find_refusal,
    ),
    Fault(
        name="disk-full-long",
        title="PostgreSQL's disk full longer than the lease",
        inject=fill_disk_past_lease,
        workers=2,
        has_small_disk=True,
        must_recover=True,
        unavailable=find_refusal,
    ),
    Fault(
        name="disk-full-log",
        title="PostgreSQL's disk full for its log",
        inject=fill_disk_of_log,
        has_small_disk=True,
        must_recover=True,
        unavailable=find_refusal,
    ),
    Fault(name="postgres-silent", title="PostgreSQL silent for a while", inject=silence_postgres, has_proxy=True),
)
