"""Faults of the workers: they are killed, frozen, asked to stop, or have a wrong clock."""

from __future__ import annotations

import glob
import subprocess
import time
from collections.abc import Callable

from tests.chaos.judgement import Bounds, count_sent_by
from tests.chaos.trial import WINDOW, Fault, Trial
from tests.smtpserver import Behaviour

DRAIN_SECONDS = 10.0
HOLD = {"SEND_ON_CRASH": "hold"}
MAX_ATTEMPTS = 3
"""The default of SEND_MAX_ATTEMPTS: a poison message kills at least this often before the sweep acts."""

DEATHS_MAX = 8
"""A poison message kills at most this often before the sweep has told it from the emails in flight beside it."""

CLOCKS_APART_SECONDS = 7000
POISON_NUMBER = 1000


def inject_nothing(trial: Trial) -> None:
    """Inject nothing. This run shows that the harness itself loses nothing."""


def share_batch(trial: Trial) -> None:
    """Run two workers on one batch, and check that both take part."""
    trial.wait(0.5)
    with trial.stack.services.connect() as connection:
        row = connection.execute("SELECT count(DISTINCT worker) FROM batches_lane WHERE worker <> ''").fetchone()
    trial.notes["workers"] = row[0] if row else 0
    if trial.notes["workers"] < 2 and not trial.has_ended():
        trial.note_broken("only one of two workers took part")


def kill_horse(trial: Trial) -> None:
    if not trial.worker.kill_work_horse():
        trial.note_missed("there was no work-horse to kill")
    trial.mark(new_connections_only=True)


def kill_worker(trial: Trial) -> None:
    """Kill the parent alone: its work-horse must end too, and a supervisor starts a new worker."""
    trial.worker.kill_parent()
    trial.mark(new_connections_only=True)
    trial.stack.start_worker(wait=False)


def kill_group(trial: Trial) -> None:
    trial.worker.kill_group()
    trial.mark(new_connections_only=True)
    trial.stack.start_worker(wait=False)


def freeze_past_lease(trial: Trial) -> None:
    """Freeze a worker and its work-horse until another worker has its emails, then thaw it."""
    trial.worker.freeze()
    trial.mark(new_connections_only=True)
    trial.frozen_ports = trial.worker.find_ports(trial.stack.smtp.port)
    trial.wait(trial.options.lease_seconds * 2 + 2)
    trial.notes["taken_over"] = count_interrupted(trial)
    if not trial.notes["taken_over"]:
        trial.note_missed("the frozen worker had nothing in flight")
    trial.thawed_at = time.time()
    trial.worker.thaw()


def check_nothing_sent_after_lease(trial: Trial) -> None:
    """Check that the thawed work-horse sent nothing, because its lane had been reaped.

    A lane that was not reaped renews its lease after the thaw, and may go on. Such a trial is repeated.
    """
    if trial.missed:
        return
    late = count_sent_by(trial.frozen_ports, trial.stack.smtp.accepted(), after=trial.thawed_at)
    trial.notes["sent_after_lease"] = late
    if late:
        trial.note_broken(f"the frozen worker sent {late} messages after its lease had run out")


def count_interrupted(trial: Trial) -> int:
    """Count the emails in flight in a lane that the sweep reaped because its holder seemed dead."""
    with trial.stack.services.connect() as connection:
        row = connection.execute("SELECT count(*) FROM batches_attempt WHERE outcome = 'interrupted'").fetchone()
    return row[0] if row else 0


def ask_to_stop(trial: Trial) -> None:
    """Send SIGTERM, as a deployment does: the worker drains within seconds, and a new worker takes over."""
    trial.mark(new_connections_only=True)
    started = trial.marked_at or 0.0
    trial.worker.terminate()
    trial.stack.start_worker(wait=False)
    try:
        trial.worker.wait(seconds=DRAIN_SECONDS + 5)
    except subprocess.TimeoutExpired:
        trial.note_broken(f"the worker had not stopped {DRAIN_SECONDS + 5:g} s after SIGTERM")
        trial.worker.kill_group()
        return
    trial.note_elapsed("drain_seconds", since=started, limit=DRAIN_SECONDS)


def find_faketime() -> str:
    """Return the path of faketime's library; empty when it is missing."""
    return next(iter(glob.glob("/usr/lib/*/faketime/libfaketimeMT.so.1")), "")


def start_workers_with_wrong_clocks(trial: Trial) -> None:
    """One worker's clock is an hour fast and the other's an hour slow. Leases use the database's clock."""
    for offset in ("+3600", "-3600"):
        clock = {"LD_PRELOAD": find_faketime(), "FAKETIME": offset, "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
        trial.stack.start_worker(environment=clock)
    births = trial.stack.worker_births()
    trial.notes["clocks_apart_seconds"] = apart = (max(births) - min(births)).total_seconds()
    if apart < CLOCKS_APART_SECONDS:
        trial.note_broken(f"the workers' clocks differ by {apart:.0f} s only, so faketime had no effect")


def poison(number: int) -> str:
    """Return the address of a recipient. One is poison: a process that sends its envelope to the relay is killed."""
    return f"{'kill-rcpt-' if number == POISON_NUMBER else ''}r{number:06d}@example.org"


def check_poison(least: int, *, most: int) -> Callable[[Trial], None]:
    """Check how often the poison message killed. An upper limit shows that there is no endless loop."""

    def check(trial: Trial) -> None:
        strikes = trial.stack.smtp.stats()["strikes"]
        if not least <= strikes <= most:
            trial.note_broken(f"the poison killed {strikes} work-horses, expected {least} to {most}")

    return check


def only_poison_fails(trial: Trial) -> Bounds:
    """At most a window is sent twice for each kill, and only the poison message fails."""
    return Bounds(duplicates=WINDOW * trial.stack.smtp.stats()["strikes"], failed=1, failed_exactly=True)


def one_lane(trial: Trial) -> Bounds:
    """One killed lane: at most a window is sent twice."""
    return Bounds(duplicates=WINDOW)


def one_lane_on_hold(trial: Trial) -> Bounds:
    """One killed lane under hold: nothing is sent twice, and at most a window ends unknown."""
    return Bounds(unknown=WINDOW)


FAULTS = (
    Fault(name="none", title="no fault", inject=inject_nothing),
    Fault(name="kill-horse", title="kill -9 the work-horse", inject=kill_horse, bounds=one_lane, must_recover=True),
    Fault(name="kill-worker", title="kill -9 the worker", inject=kill_worker, bounds=one_lane, must_recover=True),
    Fault(
        name="kill-group", title="kill -9 worker and work-horse", inject=kill_group, bounds=one_lane, must_recover=True
    ),
    Fault(
        name="kill-horse-hold",
        title="kill -9 the work-horse, hold",
        inject=kill_horse,
        bounds=one_lane_on_hold,
        environment=HOLD,
        must_recover=True,
    ),
    Fault(
        name="kill-worker-hold",
        title="kill -9 the worker, hold",
        inject=kill_worker,
        bounds=one_lane_on_hold,
        environment=HOLD,
        must_recover=True,
    ),
    Fault(
        name="kill-group-hold",
        title="kill -9 worker and work-horse, hold",
        inject=kill_group,
        bounds=one_lane_on_hold,
        environment=HOLD,
        must_recover=True,
    ),
    Fault(
        name="freeze",
        title="SIGSTOP longer than the lease, SIGCONT",
        inject=freeze_past_lease,
        bounds=one_lane,
        check=check_nothing_sent_after_lease,
        workers=2,
    ),
    Fault(
        name="freeze-hold",
        title="SIGSTOP longer than the lease, hold",
        inject=freeze_past_lease,
        bounds=one_lane_on_hold,
        check=check_nothing_sent_after_lease,
        workers=2,
        environment=HOLD,
    ),
    # Without CHUNKING most of the window waits in the outbox, so the thawed work-horse has much that it must not send.
    Fault(
        name="freeze-data",
        title="SIGSTOP longer than the lease, no CHUNKING",
        inject=freeze_past_lease,
        bounds=one_lane,
        check=check_nothing_sent_after_lease,
        behaviour=Behaviour(chunking=False),
        workers=2,
    ),
    Fault(name="sigterm", title="SIGTERM", inject=ask_to_stop, must_recover=True),
    Fault(
        name="poison",
        title="a message that kills its work-horse",
        inject=inject_nothing,
        bounds=only_poison_fails,
        check=check_poison(MAX_ATTEMPTS, most=DEATHS_MAX),
        address=poison,
        workers=2,
    ),
    Fault(
        name="poison-hold",
        title="a message that kills its work-horse, hold",
        inject=inject_nothing,
        bounds=one_lane_on_hold,
        check=check_poison(1, most=1),
        address=poison,
        environment=HOLD,
    ),
    Fault(name="two-workers", title="two workers on one batch", inject=share_batch, workers=2),
    Fault(
        name="clock",
        title="workers' clocks wrong by an hour",
        inject=start_workers_with_wrong_clocks,
        workers=0,
        is_from_start=True,
        unavailable=lambda: "" if find_faketime() else "Debian's faketime is missing",
    ),
)
