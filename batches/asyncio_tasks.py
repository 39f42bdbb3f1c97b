"""End asyncio tasks with certainty."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from typing import Any

CANCEL_AGAIN_SECONDS = 0.25
"""How long a task may take to end before it is cancelled again."""


async def end_tasks(tasks: Collection[asyncio.Task[Any]]) -> None:
    """Cancel tasks, again and again, until each has ended.

    One cancellation may get lost: before Python 3.12, ``asyncio.wait_for`` loses one that comes just when the awaited
    call ends (python/cpython issue 86296). redis-py uses ``wait_for`` for each command.
    """
    pending = set(tasks)
    while pending:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=CANCEL_AGAIN_SECONDS)
