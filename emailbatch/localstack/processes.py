"""Starting and ending operating system processes so that none outlives its parent.

A child asks the kernel to signal it when its parent dies (Linux), and leads a session of its own, so that a Ctrl-C
at the terminal reaches only the supervisor and whatever the child starts can be found and ended with it.
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
    """A ``preexec_fn`` that has the kernel send this signal to the child when its parent dies.

    The kernel means the thread that forked: start children from the main thread. subprocess changes the user
    before it calls this, and must: the kernel forgets the wish when the user changes.
    """
    parent = os.getpid()

    def ask() -> None:
        if _libc is None:
            return
        _libc.prctl(PR_SET_PDEATHSIG, death_signal)
        if os.getppid() != parent:  # it died before we asked
            os._exit(1)

    return ask


def started_at(pid: int) -> str | None:
    """When a living process began, in the kernel's ticks: with its number, a name that is never used again."""
    fields = _stat_fields(pid)
    return fields[19] if fields and fields[0] != "Z" else None


def session_members(session: int) -> list[int]:
    """The processes of a session: those that its leader started, and their children, even in groups of their own."""
    members = []
    for entry in Path("/proc").glob("[0-9]*"):
        fields = _stat_fields(int(entry.name))
        if fields and fields[3] == str(session) and fields[0] != "Z":
            members.append(int(entry.name))
    return members


def _stat_fields(pid: int) -> list[str]:
    """The fields of /proc/PID/stat from the third (state) on; the second may hold blanks and brackets."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def signal_process(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def kill_session(session: int) -> None:
    """Kill every process of a session, as often as new ones appear."""
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
    """Wait for a session whose leader was asked to stop, and kill what is left of it after the grace."""
    deadline = time.monotonic() + grace_seconds
    while session_members(session) and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)
    kill_session(session)
