"""A worker process as ``manage.py rqworker high default`` starts it, and all the ways to end it."""

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
    """One worker with its work-horse. It leads a process group; so does the horse, as RQ makes it."""

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

    def horses(self) -> list[psutil.Process]:
        """The living work-horses: one, or none between lanes."""
        try:
            return [child for child in self.tree.children() if child.status() != psutil.STATUS_ZOMBIE]
        except psutil.NoSuchProcess:
            return []

    def everyone(self) -> list[psutil.Process]:
        """The worker first, then whatever it started."""
        try:
            return [self.tree, *self.tree.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []

    def kill_horse(self, *, seconds: float = 10) -> bool:
        """Kill -9 the work-horse, once there is one; whether there was."""
        deadline = time.monotonic() + seconds
        while not (horses := self.horses()):
            if time.monotonic() > deadline:
                return False
            time.sleep(0.001)
        for horse in horses:
            with contextlib.suppress(psutil.NoSuchProcess):
                horse.kill()
        return True

    def kill_parent(self) -> None:
        """Kill -9 the worker and leave the horse to notice."""
        self.is_expected_to_end = True
        self.process.kill()
        self.process.wait(timeout=10)

    def kill_group(self) -> None:
        """Kill -9 the worker and everything it started, at once."""
        self.is_expected_to_end = True
        for each in self.everyone():
            with contextlib.suppress(psutil.NoSuchProcess):
                each.kill()
        self.process.wait(timeout=10)

    def freeze(self) -> None:
        for each in self.everyone():
            with contextlib.suppress(psutil.NoSuchProcess):
                each.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        # The horse first: it must find out by itself that its lease ran out.
        for each in reversed(self.everyone()):
            with contextlib.suppress(psutil.NoSuchProcess):
                each.send_signal(signal.SIGCONT)

    def terminate(self) -> None:
        """Ask it to stop, as a deployment does: SIGTERM to the worker alone."""
        self.is_expected_to_end = True
        if not self.has_ended():
            os.kill(self.pid, signal.SIGTERM)

    def wait(self, *, seconds: float) -> int:
        """Wait for its end; its exit status.

        Raises:
            subprocess.TimeoutExpired: it goes on.
        """
        return self.process.wait(timeout=seconds)

    def read_log(self) -> str:
        """The last of what it said."""
        with self.log.open("rb") as file:
            file.seek(max(0, self.log.stat().st_size - LOG_TAIL_BYTES))
            return file.read().decode("utf-8", "replace")
