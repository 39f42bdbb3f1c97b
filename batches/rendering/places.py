"""Let a few children render at once, and one for each user. The others wait for a moment, or are told to come again.

A child takes a processor for itself, and every request can ask for one. So each child needs one of RENDER_CHILDREN
places of this machine: a lock file in the folder for temporary files. The kernel releases the lock when the process
that holds it ends, however it ends. A second child of the same user waits in its own process.
"""

from __future__ import annotations

import fcntl
import logging
import os
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from django.conf import settings

logger = logging.getLogger(__name__)

WAIT_SECONDS = 5.0
"""How long a request waits for its place. A page asks for two things at once: its own, and that of the frame in it."""

HURRIED_SECONDS = 1.0
"""How long a request waits for its place within a transaction, whose connection and locks others may need."""

HURRIED_FACTOR = 2
"""Within transactions of one process, at most RENDER_CHILDREN requests have a child, and as many wait for one. So few
of the pool's connections are held for a child, however many users ask."""

WAITING_MAX = 3
"""So many requests of one user may wait. Each one holds a thread."""

RETRY_SECONDS = 3
"""When a refused request may be repeated."""

_LOOK_SECONDS = 0.02
"""How often a waiting request looks. flock can wait for one file but not for any of several."""


class RenderingBusy(Exception):
    """Too many templates are being looked at. The message is a sentence; HTTP answers it with 429."""

    retry_seconds = RETRY_SECONDS

    def __init__(self) -> None:
        super().__init__("Too many templates are being rendered right now. Wait a few seconds, and try again.")


class _Turn:
    """The children of one user in this process: one that runs, and those that wait for it."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.count = 0


_turns: dict[int, _Turn] = {}
_warned: set[Path] = set()
_hurried: set[object] = set()
"""The requests within a transaction."""
_guard = threading.Lock()


@contextmanager
def hold_place(user_id: int | None, *, is_hurried: bool = False) -> Iterator[None]:
    """Wait for the place of one child, and hold it within the context.

    Args:
        is_hurried: Whether the caller is within a transaction, and keeps its database connection meanwhile.
        user_id: Whose request it is. None: the operator's, by a command.

    Raises:
        RenderingBusy: No place was free in time, or the user or the transactions have too many requests.
    """
    give_up_at = time.monotonic() + (HURRIED_SECONDS if is_hurried else WAIT_SECONDS)
    with _enter_hurried(is_hurried), _take_turn(user_id, give_up_at):
        while (held := _take_free_place()) is None:
            if time.monotonic() >= give_up_at:
                raise RenderingBusy
            time.sleep(_LOOK_SECONDS)
        try:
            yield
        finally:
            os.close(held)


@contextmanager
def _enter_hurried(is_hurried: bool) -> Iterator[None]:
    request = object()
    with _guard:
        if is_hurried and len(_hurried) >= HURRIED_FACTOR * max(1, settings.RENDER_CHILDREN):
            raise RenderingBusy
        if is_hurried:
            _hurried.add(request)
    try:
        yield
    finally:
        with _guard:
            _hurried.discard(request)


@contextmanager
def _take_turn(user_id: int | None, give_up_at: float) -> Iterator[None]:
    if user_id is None:
        yield
        return
    with _guard:
        turn = _turns.setdefault(user_id, _Turn())
        if turn.count > WAITING_MAX:
            raise RenderingBusy
        turn.count += 1
    try:
        if not turn.lock.acquire(timeout=max(0.0, give_up_at - time.monotonic())):
            raise RenderingBusy
        try:
            yield
        finally:
            turn.lock.release()
    finally:
        with _guard:
            turn.count -= 1
            if not turn.count:
                del _turns[user_id]


def _take_free_place() -> int | None:
    for number in range(max(1, settings.RENDER_CHILDREN)):
        # The user's number keeps the files of different users of a machine apart: one may not open the other's.
        path = Path(tempfile.gettempdir()) / f"emailbatch-{os.getuid()}-render-{number}.lock"
        try:
            # O_NOFOLLOW: in a folder that all may write to, somebody could have put a link there.
            held = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        except OSError as exc:  # somebody else's file, or a full disk: the other places may be free
            _warn_once(path, exc)
            continue
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(held)
        else:
            return held
    return None


def _warn_once(path: Path, exc: OSError) -> None:
    """Log that a place can't be used. A waiting request looks fifty times a second, so each place is named once."""
    if path not in _warned:
        _warned.add(path)
        logger.warning("A place for rendering can't be used. Remove the file, or make room on its disk: %s", exc)
