"""Let a few processes of a machine read spreadsheets at once, and make the others wait.

Reading a spreadsheet takes a processor and memory for itself, and every web process can be asked to. So each reading
holds a slot: one of SPREADSHEETS_AT_ONCE lock files in the folder for temporary files. The kernel releases the lock
when the processes that hold it have ended, however they ended.
"""

from __future__ import annotations

import fcntl
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from django.conf import settings

from batches.files.errors import ServerBusy

WAIT_SECONDS = 60
"""How long an upload waits for a slot. Proxies wait about as long for an answer."""
LOOK_SECONDS = 0.05
"""How often it looks. flock can wait for one file but not for any of several."""


@contextmanager
def hold_slot(*, wait_seconds: float = WAIT_SECONDS) -> Iterator[int]:
    """Wait for a slot, and hold it within the context. Gives the file descriptor that holds it.

    A child process that inherits the descriptor holds the slot too, until it ends.

    Raises:
        ServerBusy: no slot was free in time.
    """
    give_up_at = time.monotonic() + wait_seconds
    while (held := _take_free_slot()) is None:
        if time.monotonic() >= give_up_at:
            raise ServerBusy(
                "The server is reading other spreadsheets, so nothing was kept. "
                "Upload this one again in a minute, or save it as CSV, which is read at once."
            )
        time.sleep(LOOK_SECONDS)
    try:
        yield held
    finally:
        os.close(held)


def _take_free_slot() -> int | None:
    for number in range(max(1, settings.SPREADSHEETS_AT_ONCE)):
        # The user's number keeps the files of different users of a machine apart: one may not open the other's.
        path = Path(tempfile.gettempdir()) / f"emailbatch-{os.getuid()}-spreadsheet-{number}.lock"
        # O_NOFOLLOW: in a folder that all may write to, somebody could have put a link there.
        held = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(held)
        else:
            return held
    return None
