"""The worker's request to a lane in its work-horse: finish what is in flight, give back the rest, end.

It comes as a signal, perhaps before the lane's loop runs: a flag keeps it.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from types import FrameType

DRAIN_SIGNAL = signal.SIGUSR1

_requested = False


def expect() -> None:
    """Listen for the request; in a fresh work-horse, before anything else."""
    global _requested
    _requested = False
    signal.signal(DRAIN_SIGNAL, _note)


def _note(signum: int, frame: FrameType | None) -> None:
    global _requested
    _requested = True


def call_when_requested(callback: Callable[[], None]) -> None:
    """Call back in the running loop on the request, at once if it came already."""
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(DRAIN_SIGNAL, callback)
    if _requested:
        loop.call_soon(callback)
