"""Say in words what figures say: durations, and why a batch is not moving. Pure."""

from __future__ import annotations

from batches.jobs.queues import Fleet
from batches.models import BatchStatus
from batches.progress import Snapshot

WAITING = (BatchStatus.PENDING, BatchStatus.PROCESSING)
"""The states in which a batch needs a worker to get further."""

NO_REDIS = "Redis can't be reached: the batch is safe in the database, and goes on when Redis is back."
NO_WORKER = "No worker is running: the batch waits, and goes on by itself as soon as one is started."


def say_duration(seconds: float) -> str:
    """A length of time as a person says it: ``"about 9 s"``, ``"about 3 min"``, ``"about 2 h 10 min"``."""
    if seconds < 1:
        return "less than a second"
    if seconds < 90:
        return f"about {round(seconds)} s"
    minutes = round(seconds / 60)
    if minutes < 90:
        return f"about {minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"about {hours} h {minutes} min" if minutes and hours < 24 else f"about {hours:,} h"


def say_rate(now: Snapshot) -> str:
    """How fast a batch is being sent and how long that takes still; empty while it is not."""
    if now["status"] != BatchStatus.PROCESSING or not now["ratePerSecond"]:
        return ""
    rate = f"{now['ratePerSecond']:,.0f} a second"
    eta = now["etaSeconds"]
    return f"{rate}, {say_duration(eta)} left" if eta is not None else rate


def say_why_waiting(status: BatchStatus, fleet: Fleet) -> str:
    """Why nothing moves though it should, and what to do; empty when nothing is wrong."""
    if status not in WAITING:
        return ""
    if not fleet.redis:
        return NO_REDIS
    if not fleet.workers:
        return NO_WORKER
    return ""
