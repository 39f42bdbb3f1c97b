"""Let a few processes of a machine read spreadsheets at once, and make the others wait.

Reading a spreadsheet takes a processor and memory for itself, and every web process can be asked to. So each reading
holds a slot: one of SPREADSHEETS_AT_ONCE lock files in the folder for temporary files. The kernel releases the lock
when the processes that hold it have ended, however they ended.

A reader also holds a turn of its own, so that one user never has all slots.
"""

from __future__ import annotations

import fcntl
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from django.conf import settings

from batches.files.errors import ServerBusy

WAIT_SECONDS = 60
"""How long an upload waits for a slot. Proxies wait about as long for an answer."""
LOOK_SECONDS = 0.05
"""How often it looks. flock can wait for one file but not for any of several."""


READERS = 256
"""How many lock files the turns of readers have. Two readers with the same one wait for each other, which is rare."""


@contextmanager
def hold_slot(*, reader: int | None = None, wait_seconds: float = WAIT_SECONDS) -> Iterator[tuple[int, ...]]:
    """Wait for a slot, and hold it within the context. Gives the file descriptors that hold it.

    A child process that inherits the descriptors holds the slot too, until it ends.

    Args:
        reader: Whose spreadsheet it is: a number of the user. None: nobody's in particular.

    Raises:
        ServerBusy: no slot was free in time.
    """
    give_up_at = time.monotonic() + wait_seconds
    with ExitStack() as held:
        turns = [] if reader is None else [_wait(lambda: _take_turn(reader), give_up_at, held)]
        yield (*turns, _wait(_take_free_slot, give_up_at, held))


def _wait(take: Callable[[], int | None], give_up_at: float, held: ExitStack) -> int:
    while (taken := take()) is None:
        if time.monotonic() >= give_up_at:
            raise ServerBusy(
                "The server is reading other spreadsheets, so nothing was kept. "
                "Upload this one again in a minute, or save it as CSV, which is read at once."
            )
        time.sleep(LOOK_SECONDS)
    held.callback(os.close, taken)
    return taken


def _take_turn(reader: int) -> int | None:
    """Take one of the turns of a reader: one less than there are slots, so that one is left for the others."""
    for number in range(max(1, settings.SPREADSHEETS_AT_ONCE - 1)):
        if (taken := _lock(f"reader-{reader % READERS}-{number}")) is not None:
            return taken
    return None


def _take_free_slot() -> int | None:
    for number in range(max(1, settings.SPREADSHEETS_AT_ONCE)):
        if (taken := _lock(str(number))) is not None:
            return taken
    return None


def _lock(name: str) -> int | None:
    """Lock a file, and return its descriptor; None if somebody else has locked it."""
    # The user's number keeps the files of different users of a machine apart: one may not open the other's.
    path = Path(tempfile.gettempdir()) / f"emailbatch-{os.getuid()}-spreadsheet-{name}.lock"
    # O_NOFOLLOW: in a folder that all may write to, somebody could have put a link there.
    held = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(held)
        return None
    return held
