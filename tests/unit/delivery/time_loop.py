"""An event loop whose time passes only when nothing else is left to do, so that a test of waits takes no time."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class _JumpingSelector(selectors.SelectSelector):
    """Instead of waiting, it moves the clock to the moment at which the wait would have ended."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        events = super().select(0)
        if not events:
            assert timeout is not None, "The loop waits for something that no timer brings."
            self.now += max(timeout, 0)
        return events


class _TimeLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._clock = _JumpingSelector()
        super().__init__(self._clock)

    def time(self) -> float:
        return self._clock.now

    def run_in_executor(self, executor: Any, func: Callable[..., Any], *args: Any) -> asyncio.Future[Any]:  # type: ignore[override]
        """Run it at once, in no time: beside a thread, the clock would jump while the thread works."""
        future = self.create_future()
        try:
            future.set_result(func(*args))
        except Exception as error:
            future.set_exception(error)
        return future


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end in such a loop."""
    with asyncio.Runner(loop_factory=_TimeLoop) as runner:
        return runner.run(coroutine)


async def let_run() -> None:
    """Let everything run that can run now."""
    for _ in range(20):
        await asyncio.sleep(0)
