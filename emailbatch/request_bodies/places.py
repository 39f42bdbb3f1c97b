"""Count the bodies that this process is receiving or working on, so that a few clients can't fill its disk or memory.

A body takes a place before it is read, and gives it back when its request has been answered. Everything here runs in
the one thread of the event loop, so nothing is locked.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable
from dataclasses import dataclass

from django.conf import settings

from emailbatch.request_bodies.refusal import BodyRefused

TINY_MAX_BYTES = 64 * 1024
"""A body up to this size needs no place: a form without a template. The connection costs about as much."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """How many bodies of one kind there may be at once."""

    for_each: int
    """Of one user, or one address."""
    in_all: int
    total_bytes: int


class Places:
    """The bodies of one kind: how many each owner has, and how much room all of them take."""

    def __init__(self, read_bounds: Callable[[], Bounds]) -> None:
        self._read_bounds = read_bounds
        self._counts: Counter[Hashable] = Counter()
        self._bytes = 0

    @property
    def count(self) -> int:
        return self._counts.total()

    @property
    def total_bytes(self) -> int:
        return self._bytes

    def take(self, owner: Hashable, *, size_bytes: int) -> Place:
        """Reserve the place of a body. ``owner`` is its user's number, or its client's address.

        Raises:
            BodyRefused: 429, the owner has enough of them; 503, all places or all room is taken.
        """
        bounds = self._read_bounds()
        if self._counts[owner] >= bounds.for_each:
            raise BodyRefused(
                f"You are sending {bounds.for_each} large requests already, so nothing of this one was kept. Send it "
                "again when one of them has been answered.",
                http_status=429,
            )
        if self.count >= bounds.in_all:
            raise BodyRefused(
                "The server is receiving as many large requests as it may at once, so nothing of this one was kept. "
                "Send it again in a minute.",
                http_status=503,
            )
        place = Place(self, owner)
        place.grow(size_bytes)
        self._counts[owner] += 1
        return place

    def reserve(self, more_bytes: int) -> None:
        """Reserve room.

        Raises:
            BodyRefused: 503, the room is taken.
        """
        if self._bytes + more_bytes > self._read_bounds().total_bytes:
            raise BodyRefused(
                "The files that the server is receiving leave no room for this one, so nothing of it was kept. Send it "
                "again in a minute.",
                http_status=503,
            )
        self._bytes += more_bytes

    def give_back(self, owner: Hashable, size_bytes: int) -> None:
        self._bytes -= size_bytes
        self._counts[owner] -= 1
        if not self._counts[owner]:
            del self._counts[owner]


class Place:
    """The place of one body."""

    def __init__(self, places: Places, owner: Hashable) -> None:
        self._places, self._owner = places, owner
        self._bytes = 0
        self._is_released = False

    def grow(self, size_bytes: int) -> None:
        """Reserve room for a body of this size, unless it is reserved already.

        Raises:
            BodyRefused: 503, the room is taken.
        """
        if size_bytes > self._bytes:
            self._places.reserve(size_bytes - self._bytes)
            self._bytes = size_bytes

    def release(self) -> None:
        """Give the place back. Safe to call twice."""
        if not self._is_released:
            self._is_released = True
            self._places.give_back(self._owner, self._bytes)


def _bounds_of_files() -> Bounds:
    return Bounds(
        for_each=settings.UPLOADS_PER_USER,
        in_all=settings.UPLOADS_AT_ONCE,
        total_bytes=settings.UPLOADS_TOTAL_MAX_BYTES,
    )


FILES = Places(_bounds_of_files)
"""Files: by user. They lie in the folder for temporary files."""

LISTS = Places(lambda: Bounds(for_each=1, in_all=2, total_bytes=2 * settings.DATA_UPLOAD_MAX_MEMORY_SIZE))
"""Large lists as JSON: by user. Few at once, because the objects take ten times as much memory as the text."""

SMALL_ONES = Places(lambda: Bounds(for_each=64, in_all=256, total_bytes=128 * 1024 * 1024))
"""Bodies that anybody may send: by address, because nobody has asked yet who sends them."""
