"""Keeps the register of a running local stack: which ``up`` uses a DATA_DIR, and which processes it started.

A file lock says whether an ``up`` is running: the kernel releases the lock when its holder dies. A second file names
the processes, so that the next ``up`` can end those that remain after an ``up`` was killed.
"""

from __future__ import annotations

import fcntl
import json
import os
from pathlib import Path
from typing import IO, Self

from emailbatch.localstack.processes import end_session, signal_process, started_at

LEFTOVER_GRACE_SECONDS = 10


class AlreadyRunning(Exception):
    """Another ``up`` uses this DATA_DIR. The message says which, and what to do."""


class Register:
    """The register of one DATA_DIR, locked from construction until ``close`` or the end of the process.

    Raises:
        AlreadyRunning: another process has the lock.
    """

    def __init__(self, data_dir: Path) -> None:
        self.path = data_dir / "up.json"
        self._lock = self._acquire(data_dir / "up.lock")
        self._programs: dict[str, dict[str, int | str | None]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def close(self) -> None:
        self._lock.close()

    def _acquire(self, path: Path) -> IO[str]:
        lock = path.open("a+")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as exc:
            lock.seek(0)
            holder = lock.read().strip() or "unknown"
            lock.close()
            raise AlreadyRunning(
                f"The local stack is already running on {path.parent} (process {holder}). Stop that one, or set "
                f"DATA_DIR to another folder to start a second."
            ) from exc
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        return lock

    def end_leftovers(self) -> list[str]:
        """End the processes that remain from an earlier ``up`` that was killed. Returns their names."""
        try:
            earlier = json.loads(self.path.read_text())
        except (OSError, ValueError):
            return []
        # The PID may belong to another process by now. Only the start time tells.
        left = {
            name: entry
            for name, entry in earlier.items()
            if entry["started_at"] and started_at(entry["pid"]) == entry["started_at"]
        }
        for entry in left.values():
            signal_process(entry["pid"], entry["stop_signal"])
        for entry in left.values():
            end_session(entry["pid"], grace_seconds=LEFTOVER_GRACE_SECONDS)
        return list(left)

    def add(self, name: str, *, pid: int, stop_signal: int) -> None:
        self._programs[name] = {"pid": pid, "started_at": started_at(pid), "stop_signal": int(stop_signal)}
        self._write()

    def remove(self, name: str) -> None:
        self._programs.pop(name, None)
        self._write()

    def _write(self) -> None:
        draft = self.path.with_suffix(".new")
        draft.write_text(json.dumps(self._programs, indent=1))
        draft.replace(self.path)
