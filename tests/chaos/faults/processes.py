"""Faults of the workers: killed, frozen, asked to stop, or with a wrong clock."""

from __future__ import annotations

import glob
import subprocess
from collections.abc import Callable

from tests.chaos.trial import WINDOW, Fault, Trial
from tests.chaos.verdict import Bounds

DRAIN_SECONDS = 10.0
HOLD = {"SEND_ON_CRASH": "hold"}
MAX_ATTEMPTS = 3
"""SEND_MAX_ATTEMPTS's default: so often it kills before it is suspected,"""

DEATHS_MAX = 8
"""and so often until it is found among those that were beside it."""

CLOCKS_APART_SECONDS = 7000
POISON_NUMBER = 1000


def do_nothing(trial: Trial) -> None:
    """The undisturbed run, which shows that the harness itself loses nothing."""


def share_batch(trial: Trial) -> None:
    """Two workers on one batch: watch that both take part."""
    trial.last(0.5)
    with trial.stack.services.connect() as connection:
        row = connection.execute("SELECT count(DISTINCT worker) FROM batches_lane WHERE worker <> ''").fetchone()
    trial.notes["workers"] = row[0] if row else 0
    if trial.notes["workers"] < 2 and not trial.has_ended():
        trial.note_broken("only one of two workers took part")


def kill_horse(trial: Trial) -> None:
    if not trial.worker.kill_horse():
        trial.note_missed("there was no work-horse to kill")
    trial.mark(new_connections_only=True)


def kill_worker(trial: Trial) -> None:
    """The parent alone dies: its horse must follow, and a supervisor starts a new worker."""
    trial.worker.kill_parent()
    trial.mark(new_connections_only=True)
    trial.stack.start_worker(wait=False)


def kill_group(trial: Trial) -> None:
    trial.worker.kill_group()
    trial.mark(new_connections_only=True)
    trial.stack.start_worker(wait=False)


def freeze_past_lease(trial: Trial) -> None:
    """Stop a worker and its horse until another has its emails, then let it go on."""
    trial.worker.freeze()
    trial.mark(new_connections_only=True)
    trial.last(trial.options.lease_seconds * 2 + 2)
    trial.notes["taken_over"] = count_interrupted(trial)
    if not trial.notes["taken_over"]:
        trial.note_missed("the frozen worker held nothing")
    trial.worker.thaw()


def count_interrupted(trial: Trial) -> int:
    """How many emails were taken from a lane whose holder seemed dead."""
    with trial.stack.services.connect() as connection:
        row = connection.execute("SELECT count(*) FROM batches_attempt WHERE outcome = 'interrupted'").fetchone()
    return row[0] if row else 0


def ask_to_stop(trial: Trial) -> None:
    """SIGTERM, as at a deployment: drained within seconds, and a new worker takes over."""
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
    return next(iter(glob.glob("/usr/lib/*/faketime/libfaketimeMT.so.1")), "")


def start_workers_with_wrong_clocks(trial: Trial) -> None:
    """One worker lives an hour ahead and one an hour behind; the lease is on the database's clock."""
    for offset in ("+3600", "-3600"):
        clock = {"LD_PRELOAD": find_faketime(), "FAKETIME": offset, "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
        trial.stack.start_worker(environment=clock)
    births = trial.stack.worker_births()
    trial.notes["clocks_apart_seconds"] = apart = (max(births) - min(births)).total_seconds()
    if apart < CLOCKS_APART_SECONDS:
        trial.note_broken(f"the workers' clocks are {apart:.0f} s apart, so faketime did nothing")


def poison(number: int) -> str:
    """Recipients of whom one is poison: whoever hands its envelope to the relay is killed."""
    return f"{'kill-rcpt-' if number == POISON_NUMBER else ''}r{number:06d}@example.org"


def check_poison(least: int, *, most: int) -> Callable[[Trial], None]:
    """It struck so often and no more: not an endless loop."""

    def check(trial: Trial) -> None:
        strikes = trial.stack.smtp.stats()["strikes"]
        if not least <= strikes <= most:
            trial.note_broken(f"the poison killed {strikes} work-horses, expected {least} to {most}")

    return check


def the_poison_fails(trial: Trial) -> Bounds:
    """A window twice for each time that it kills, and nobody fails but the poison."""
    return Bounds(duplicates=WINDOW * trial.stack.smtp.stats()["strikes"], failed=1, failed_exactly=True)


def one_lane(trial: Trial) -> Bounds:
    """One killed lane: at most a window twice."""
    return Bounds(duplicates=WINDOW)


def one_lane_held(trial: Trial) -> Bounds:
    """One killed lane under hold: nothing twice, at most a window unknown."""
    return Bounds(unknown=WINDOW)


FAULTS = (
    Fault(name="none", title="nothing at all", inject=do_nothing),
    Fault(name="kill-horse", title="kill -9 the work-horse", inject=kill_horse, bounds=one_lane, must_recover=True),
    Fault(name="kill-worker", title="kill -9 the worker", inject=kill_worker, bounds=one_lane, must_recover=True),
    Fault(name="kill-group", title="kill -9 worker and horse", inject=kill_group, bounds=one_lane, must_recover=True),
    Fault(
        name="kill-horse-hold",
        title="kill -9 the work-horse, hold",
        inject=kill_horse,
        bounds=one_lane_held,
        environment=HOLD,
        must_recover=True,
    ),
    Fault(
        name="kill-worker-hold",
        title="kill -9 the worker, hold",
        inject=kill_worker,
        bounds=one_lane_held,
        environment=HOLD,
        must_recover=True,
    ),
    Fault(
        name="kill-group-hold",
        title="kill -9 worker and horse, hold",
        inject=kill_group,
        bounds=one_lane_held,
        environment=HOLD,
        must_recover=True,
    ),
    Fault(name="freeze", title="SIGSTOP past the lease, SIGCONT", inject=freeze_past_lease, bounds=one_lane, workers=2),
    Fault(
        name="freeze-hold",
        title="SIGSTOP past the lease, SIGCONT, hold",
        inject=freeze_past_lease,
        bounds=one_lane_held,
        workers=2,
        environment=HOLD,
    ),
    Fault(name="sigterm", title="SIGTERM", inject=ask_to_stop, must_recover=True),
    Fault(
        name="poison",
        title="a message that kills its work-horse",
        inject=do_nothing,
        bounds=the_poison_fails,
        check=check_poison(MAX_ATTEMPTS, most=DEATHS_MAX),
        address=poison,
        workers=2,
    ),
    Fault(
        name="poison-hold",
        title="a message that kills its work-horse, hold",
        inject=do_nothing,
        bounds=one_lane_held,
        check=check_poison(1, most=1),
        address=poison,
        environment=HOLD,
    ),
    Fault(name="two-workers", title="two workers on one batch", inject=share_batch, workers=2),
    Fault(
        name="clock",
        title="workers' clocks an hour off",
        inject=start_workers_with_wrong_clocks,
        workers=0,
        is_from_start=True,
        unavailable=lambda: "" if find_faketime() else "Debian's faketime is missing",
    ),
)
