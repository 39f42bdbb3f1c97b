"""A worker process, started with ``manage.py rqworker high default``, and all the ways to end it."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parents[2]
LOG_TAIL_BYTES = 20_000


class Worker:
    """One worker with its work-horse. Each leads a process group of its own, because RQ starts a work-horse so."""

    def __init__(self, *, environment: Mapping[str, str], log: Path) -> None:
        self.log = log
        argv = [sys.executable, "manage.py", "rqworker", "high", "default"]
        with log.open("ab") as output:
            self.process = subprocess.Popen(
                argv, cwd=ROOT, env=dict(environment), stdout=output, stderr=output, start_new_session=True
            )
        self.is_expected_to_end = False
        self.tree = psutil.Process(self.process.pid)

    @property
    def pid(self) -> int:
        return self.process.pid

    def has_ended(self) -> bool:
        return self.process.poll() is not None

    def work_horses(self) -> list[psutil.Process]:
        """Return the living work-horses: one, or none between two lane runs."""
        try:
            return [child for child in self.tree.children() if child.status() != psutil.STATUS_ZOMBIE]
        except psutil.NoSuchProcess:
            return []

    def processes(self) -> list[psutil.Process]:
        """Return the worker, then every process that it started."""
        try:
            return [self.tree, *self.tree.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []

    def kill_work_horse(self, *, seconds: float = 10) -> bool:
        """Wait for a work-horse and kill -9 it. Return whether one appeared in time."""
        deadline = time.monotonic() + seconds
        while not (work_horses := self.work_horses()):
            if time.monotonic() > deadline:
                return False
            time.sleep(0.001)
        for work_horse in work_horses:
            with contextlib.suppress(psutil.NoSuchProcess):
                work_horse.kill()
        return True

    def kill_parent(self) -> None:
        """Kill -9 the worker alone. Its work-horse has to notice that."""
        self.is_expected_to_end = True
        self.process.kill()
        self.process.wait(timeout=10)

    def kill_group(self) -> None:
        """Kill -9 the worker and every process that it started, at once."""
        self.is_expected_to_end = True
        for each in self.processes():
            with contextlib.suppress(psutil.NoSuchProcess):
                each.kill()
        self.process.wait(timeout=10)

    def freeze(self) -> None:
        """SIGSTOP the worker and every process that it started."""
        for each in self.processes():
            with contextlib.suppress(psutil.NoSuchProcess):
                each.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT what was frozen."""
        # The work-horse comes first: it has to find out by itself that its lease has run out.
        for each in reversed(self.processes()):
            with contextlib.suppress(psutil.NoSuchProcess):
                each.send_signal(signal.SIGCONT)

    def find_ports(self, relay_port: int) -> set[int]:
        """Return the local ports of the open connections from this worker's processes to the relay."""
        found = set()
        for each in self.processes():
            with contextlib.suppress(psutil.NoSuchProcess):
                connections = each.net_connections("tcp4")
                found |= {link.laddr.port for link in connections if link.raddr and link.raddr.port == relay_port}
        return found

    def terminate(self) -> None:
        """Ask the worker to stop as a deployment does: with SIGTERM to the worker alone."""
        self.is_expected_to_end = True
        if not self.has_ended():
            os.kill(self.pid, signal.SIGTERM)

    def wait(self, *, seconds: float) -> int:
        """Wait for the end of the worker and return its exit status.

        Raises:
            subprocess.TimeoutExpired: the worker is still running.
        """
        return self.process.wait(timeout=seconds)

    def read_log(self) -> str:
        """Return the end of the log."""
        with self.log.open("rb") as file:
            file.seek(max(0, self.log.stat().st_size - LOG_TAIL_BYTES))
            return file.read().decode("utf-8", "replace")
