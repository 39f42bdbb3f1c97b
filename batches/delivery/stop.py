"""The worker's request to its work-horse to drain: finish what is in flight, requeue the rest, and stop.

The request is a signal. It may come before the lane's event loop runs, so a flag remembers it.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from types import FrameType

DRAIN_SIGNAL = signal.SIGUSR1

_requested = False


def expect() -> None:
    """Listen for the request. A new work-horse calls this before anything else."""
    global _requested
    _requested = False
    signal.signal(DRAIN_SIGNAL, _note)


def _note(signum: int, frame: FrameType | None) -> None:
    global _requested
    _requested = True


def is_requested() -> bool:
    """Whether the request has come. For work without an event loop."""
    return _requested


def call_when_requested(callback: Callable[[], None]) -> None:
    """Call back in the running loop when the request comes, or at once if it has come already."""
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(DRAIN_SIGNAL, callback)
    if _requested:
        loop.call_soon(callback)
