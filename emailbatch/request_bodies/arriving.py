"""A body on its way in: whether it may come, how much of it, and how fast.

The announced length enters, or the length so far. A refusal leaves, or nothing. A large body waits until a thread has
found out who sends it; a small one needs nobody. Under a minimum pace a body is given up, because its sender would hold
a place for ever.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from django.conf import settings

from batches.files.errors import ListRefused
from emailbatch.request_bodies.admission import Limit, find_sender
from emailbatch.request_bodies.places import FILES, LISTS, SMALL_ONES, TINY_MAX_BYTES, Place
from emailbatch.request_bodies.refusal import BodyRefused

logger = logging.getLogger(__name__)

PACE_SECONDS = 30.0
"""How often the pace is measured."""

PACE_MIN_BYTES = 512 * 1024
"""What must come within PACE_SECONDS, unless the body is complete then: 17 KB a second."""

_asking = ThreadPoolExecutor(max_workers=2, thread_name_prefix="admission")
"""Threads that ask PostgreSQL who sends a large body. Two, so that a flood of strangers takes few connections."""

TOO_SLOW = "The request came too slowly, so nothing of it was kept. Send it again over a faster connection."


class Arriving:
    """One body that is arriving. Runs in the event loop's thread.

    Args:
        refuse: Called once with the refusal, at any time until ``end``, or until ``is_asking`` has ended.
        admitted: Called when a large body may come. ``is_asking`` is false again then.
    """

    def __init__(
        self,
        *,
        limit: Limit,
        headers: list[tuple[bytes, bytes]],
        address: str,
        refuse: Callable[[ListRefused], None],
        admitted: Callable[[], None],
    ) -> None:
        self.is_asking = False
        """Whether a thread is asking who sends the body."""
        self._limit, self._headers, self._address = limit, headers, address
        self._refuse, self._admitted = refuse, admitted
        self._place: Place | None = None
        self._is_large = self._is_over = False
        self._size = self._measured_size = 0
        self._loop = asyncio.get_event_loop()
        self._ends_at = self._loop.time() + settings.UPLOAD_MAX_SECONDS
        self._timer = self._check_later()

    def expect(self, length: int | None) -> None:
        """Take the announced length, or None for a body in chunks, whose length nobody knows."""
        if length is not None:
            self._reach(length)

    def receive(self, size: int) -> None:
        """Take the length so far."""
        self._size = size
        self._reach(size)

    def end(self) -> None:
        """The body is complete. Its place stays taken until ``release``."""
        self._timer.cancel()

    def release(self) -> None:
        """Give the place back. Safe to call twice."""
        self._is_over = True
        self._timer.cancel()
        if self._place is not None:
            self._place.release()

    def _reach(self, size: int) -> None:
        """Decide about a body that has, or will have, this size at least."""
        try:
            if size > self._limit.max_bytes:
                raise self._limit.refuse()
            if size > self._limit.small_max_bytes:
                self._reach_large(size)
            elif size > TINY_MAX_BYTES and self._place is None:
                self._place = SMALL_ONES.take(self._address, size_bytes=size)
            elif self._place is not None:
                self._place.grow(size)
        except ListRefused as refused:
            self._refuse(refused)

    def _reach_large(self, size: int) -> None:
        if self._is_large:
            if self._place is not None:
                self._place.grow(size)
            return
        self._is_large = self.is_asking = True
        if self._place is not None:  # a body in chunks was small until now
            self._place.release()
            self._place = None
        asked = self._loop.run_in_executor(_asking, find_sender, self._headers)
        asked.add_done_callback(lambda answered: self._take_answer(answered, size))

    def _take_answer(self, answered: asyncio.Future[int], size: int) -> None:
        self.is_asking = False
        exc = answered.exception()
        if self._is_over:  # the client has gone
            return
        try:
            if isinstance(exc, ListRefused):
                raise exc
            if exc is not None:
                logger.error("The sender of a large body was not found.", exc_info=exc)
                raise BodyRefused("The server failed. Its log says why. Tell the administrator.", http_status=500)
            places = FILES if self._limit.is_file else LISTS
            self._place = places.take(answered.result(), size_bytes=max(size, self._size))
        except ListRefused as refused:
            self._refuse(refused)
        else:
            self._admitted()

    def _check_pace(self) -> None:
        is_slow = self._size - self._measured_size < PACE_MIN_BYTES and not self.is_asking
        if is_slow or self._loop.time() >= self._ends_at:
            self._refuse(BodyRefused(TOO_SLOW, http_status=408))
            return
        self._measured_size = self._size
        self._timer = self._check_later()

    def _check_later(self) -> asyncio.TimerHandle:
        seconds = min(PACE_SECONDS, self._ends_at - self._loop.time())
        return self._loop.call_later(seconds, self._check_pace)
