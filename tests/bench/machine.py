"""What the machine did: the processor seconds of process trees, and the share that other programs used."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

TICKS = os.sysconf("SC_CLK_TCK")
QUIET_CORES = 0.2
QUIET_WAIT_SECONDS = 10.0


def cpu_seconds(pid: int) -> float:
    """Return the processor seconds of a process, of its children that ended and of those that live."""
    try:
        # The fields after the name, which may contain spaces. See proc(5): utime to cstime are fields 14 to 17.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        living = psutil.Process(pid).children()
    except (FileNotFoundError, ProcessLookupError, psutil.NoSuchProcess):
        return 0.0
    return sum(map(int, fields[11:15])) / TICKS + sum(cpu_seconds(child.pid) for child in living)


def busy_seconds() -> float:
    """Return the processor seconds that the whole machine has used."""
    times = psutil.cpu_times()
    return float(sum(times) - times.idle - times.iowait - getattr(times, "guest", 0.0))


@dataclass(kw_only=True, slots=True)
class Measurement:
    """The cost of one measured period."""

    wall_seconds: float = 0.0
    cpu: dict[str, float] | None = None
    """Processor seconds by the name of the process tree."""
    foreign_cores: float = 0.0
    """The processor cores that other programs used meanwhile: the noise."""


@contextlib.contextmanager
def measure(**trees: Iterable[int]) -> Iterator[Measurement]:
    """Measure a period: ``with measure(worker=[pid]) as measured``. The use of this process is not noise."""
    groups = {name: list(pids) for name, pids in trees.items()}

    def read() -> dict[str, float]:
        return {name: sum(map(cpu_seconds, pids)) for name, pids in groups.items()}

    measured = Measurement()
    before, own, busy, start = read(), cpu_seconds(os.getpid()), busy_seconds(), time.perf_counter()
    yield measured
    measured.wall_seconds = time.perf_counter() - start
    measured.cpu = {name: seconds - before[name] for name, seconds in read().items()}
    foreign = busy_seconds() - busy - (cpu_seconds(os.getpid()) - own)
    measured.foreign_cores = round(max(0.0, foreign / measured.wall_seconds), 2)


def wait_for_quiet() -> float:
    """Wait until other programs use little of the machine, for a limited time. Return the cores that they still use."""
    deadline = time.monotonic() + QUIET_WAIT_SECONDS
    while True:
        with measure() as measured:
            time.sleep(0.5)
        if measured.foreign_cores <= QUIET_CORES or time.monotonic() > deadline:
            return measured.foreign_cores


def peak_memory_bytes(pid: int) -> int:
    """Return the peak resident memory of a living process (VmHWM in proc(5)); 0 when it has ended."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM")), 0)
