"""An event loop whose time passes only when nothing else is left to do, so that a test of waits takes no time."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

THREAD_SECONDS = 5.0
"""How long a thread that the loop waits for may take."""


class _JumpingSelector(selectors.SelectSelector):
    """Instead of waiting, it moves the clock to the moment at which the wait would have ended."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:  # Only a thread can bring what the loop waits for.
            events = super().select(THREAD_SECONDS)
            assert events, "The loop waits for something that no timer brings."
            return events
        self.now += max(timeout, 0)
        return super().select(0)


class _TimeLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._clock = _JumpingSelector()
        super().__init__(self._clock)

    def time(self) -> float:
        return self._clock.now


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end in such a loop."""
    with asyncio.Runner(loop_factory=_TimeLoop) as runner:
        return runner.run(coroutine)


async def let_run() -> None:
    """Let everything run that can run now."""
    for _ in range(20):
        await asyncio.sleep(0)
