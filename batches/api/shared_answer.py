"""Answer a question for many callers at once: it is asked in a thread of its own, at most once a second."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Lock
from typing import Generic, TypeVar

Answer = TypeVar("Answer")

SHARED_SECONDS = 1.0
"""How long an answer is given to further callers, from the moment the question was asked."""


class SharedAnswer(Generic[Answer]):
    """One question, its last answer, and the thread that asks.

    No caller waits for a thread that serves requests, and a thousand callers ask no more than one.
    """

    def __init__(self, ask: Callable[[], Answer], *, name: str) -> None:
        self._ask = ask
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=name)
        self._lock = Lock()  # callers of several event loops may come at once
        self._asked_at = float("-inf")
        self._answer: Future[Answer] | None = None

    async def get(self) -> Answer:
        """Return the answer to a question that was asked within the last second, or that is being asked now."""
        with self._lock:
            is_old = time.monotonic() - self._asked_at >= SHARED_SECONDS
            if self._answer is None or (is_old and self._answer.done()):
                self._asked_at = time.monotonic()
                self._answer = self._thread.submit(self._ask)
            answer = self._answer
        # Shielded: a caller that goes away must not take the answer from the others.
        return await asyncio.shield(asyncio.wrap_future(answer))

    def run(self, act: Callable[[], None]) -> None:
        """Run something in the thread, after the question that is being asked, and forget the answer.

        Nothing is done if nobody has asked.
        """
        with self._lock:
            answer, self._answer = self._answer, None
        if answer is not None:
            self._thread.submit(act).result()
