"""What the machine was doing: processor seconds of process trees, and how much of it went to others."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import psutil

TICKS = os.sysconf("SC_CLK_TCK")
QUIET_CORES = 0.2
QUIET_WAIT_SECONDS = 10.0


def cpu_seconds(pid: int) -> float:
    """Processor seconds of a process, of the children that it has buried, and of those that live."""
    try:
        # Behind the name, which may hold spaces: utime, stime, cutime and cstime are fields 14 to 17 of proc(5).
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        living = psutil.Process(pid).children()
    except (FileNotFoundError, ProcessLookupError, psutil.NoSuchProcess):
        return 0.0
    return sum(map(int, fields[11:15])) / TICKS + sum(cpu_seconds(child.pid) for child in living)


def busy_seconds() -> float:
    """Processor seconds that the whole machine has worked."""
    times = psutil.cpu_times()
    return float(sum(times) - times.idle - times.iowait - getattr(times, "guest", 0.0))


@dataclass(kw_only=True, slots=True)
class Spell:
    """What a stretch of time cost."""

    wall_seconds: float = 0.0
    cpu: dict[str, float] | None = None
    """Processor seconds by the name of the process tree."""
    foreign_cores: float = 0.0
    """What others used meanwhile: the noise."""


@contextlib.contextmanager
def watch(**trees: Iterable[int]):  # type: ignore[no-untyped-def]
    """Measure a stretch of time: ``with watch(worker=[pid]) as spell``. This process counts as ours."""
    groups = {name: list(pids) for name, pids in trees.items()}
    read: Callable[[], dict[str, float]] = lambda: {  # noqa: E731
        name: sum(map(cpu_seconds, pids)) for name, pids in groups.items()
    }
    spell = Spell()
    before, own, busy, start = read(), cpu_seconds(os.getpid()), busy_seconds(), time.perf_counter()
    yield spell
    spell.wall_seconds = time.perf_counter() - start
    spell.cpu = {name: seconds - before[name] for name, seconds in read().items()}
    foreign = busy_seconds() - busy - (cpu_seconds(os.getpid()) - own)
    spell.foreign_cores = round(max(0.0, foreign / spell.wall_seconds), 2)


def wait_for_quiet() -> float:
    """Wait until others use little of the machine, but not for ever; how many cores they still use."""
    deadline = time.monotonic() + QUIET_WAIT_SECONDS
    while True:
        with watch() as spell:
            time.sleep(0.5)
        if spell.foreign_cores <= QUIET_CORES or time.monotonic() > deadline:
            return spell.foreign_cores


def peak_memory_bytes(pid: int) -> int:
    """The most memory a living process has had resident (VmHWM); 0 when it is gone."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM")), 0)
