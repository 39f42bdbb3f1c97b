"""Tasks end, even if a cancellation gets lost."""

from __future__ import annotations

import asyncio

from batches.asyncio_tasks import end_tasks


async def test_tasks_end_when_a_cancellation_gets_lost() -> None:
    """``asyncio.wait_for`` of Python 3.11 loses a cancellation that comes just when the awaited call ends."""
    lost = []

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            lost.append(1)
        await asyncio.Event().wait()

    tasks = [asyncio.ensure_future(work()) for _ in range(3)]
    await asyncio.sleep(0)
    await asyncio.wait_for(end_tasks(tasks), timeout=10)
    assert len(lost) == 3
    assert all(task.cancelled() for task in tasks)


async def test_nothing_is_waited_for_when_all_tasks_have_ended() -> None:
    task = asyncio.ensure_future(asyncio.sleep(0))
    await task
    await asyncio.wait_for(end_tasks([task]), timeout=10)
    await asyncio.wait_for(end_tasks([]), timeout=10)
