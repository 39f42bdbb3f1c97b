"""Starts and ends operating system processes, so that none outlives its parent.

A child asks the kernel to signal it when its parent dies (Linux only). It also leads its own session. So a Ctrl-C at
the terminal reaches only the supervisor, and every process that the child starts can be found and ended with it.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

PR_SET_PDEATHSIG = 1
"""From <linux/prctl.h>."""

POLL_SECONDS = 0.05

_libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


def die_with_parent(death_signal: int) -> Callable[[], None]:
    """Return a ``preexec_fn`` that asks the kernel to send this signal to the child when its parent dies.

    To the kernel the parent is the thread that forked, so children must be started from the main thread. The kernel
    drops the request when the user of the process changes; ``subprocess`` changes the user before it calls this.
    """
    parent = os.getpid()

    def ask() -> None:
        if _libc is None:
            return
        _libc.prctl(PR_SET_PDEATHSIG, death_signal)
        if os.getppid() != parent:  # the parent died before the request
            os._exit(1)

    return ask


def started_at(pid: int) -> str | None:
    """Return when a living process began, in the kernel's ticks. With the PID, it identifies one process for good."""
    fields = _stat_fields(pid)
    return fields[19] if fields and fields[0] != "Z" else None


def session_members(session: int) -> list[int]:
    """Return the processes of a session: the leader's children and theirs, also those in other process groups."""
    members = []
    for entry in Path("/proc").glob("[0-9]*"):
        fields = _stat_fields(int(entry.name))
        if fields and fields[3] == str(session) and fields[0] != "Z":
            members.append(int(entry.name))
    return members


def _stat_fields(pid: int) -> list[str]:
    """Return the fields of /proc/PID/stat from the third (state). The second may contain spaces and brackets."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def signal_process(pid: int, number: int) -> None:
    """Send a signal to a process that may already have ended."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def kill_session(session: int) -> None:
    """Kill every process of a session, and again those that appear meanwhile, for at most a second."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(session, signal.SIGKILL)
    for _ in range(20):
        members = session_members(session)
        if not members:
            return
        for pid in members:
            signal_process(pid, signal.SIGKILL)
        time.sleep(POLL_SECONDS)


def end_session(session: int, *, grace_seconds: float) -> None:
    """Wait for a session whose leader was asked to stop, and kill its remaining processes after the grace period."""
    deadline = time.monotonic() + grace_seconds
    while session_members(session) and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)
    kill_session(session)
