"""Runs a ``manage.py`` command on its own terminal of a known width, as a user would see it."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator

from tests.acceptance.stack import PROJECT_DIR, RunningStack

ROWS = 24
END_SECONDS = 60
CTRL_C = b"\x03"


class TerminalCommand:
    """A running command. ``text`` is its output so far. Typed keys pass through the terminal's line discipline."""

    def __init__(self, process: subprocess.Popen[bytes], terminal: int) -> None:
        self.process, self.terminal = process, terminal
        self.deadline = time.monotonic() + END_SECONDS
        self.written = bytearray()

    @property
    def text(self) -> str:
        return self.written.decode(errors="replace").replace("\r\n", "\n")

    def read_until(self, words: str) -> None:
        while words not in self.text:
            assert self._read_some(), f"the command ended without {words!r}:\n{self.text}"

    def read_to_end(self) -> int:
        """Read all output, and return the exit status."""
        while self._read_some():
            pass
        return self.process.wait(timeout=10)

    def type(self, keys: bytes) -> None:
        os.write(self.terminal, keys)

    def _read_some(self) -> bool:
        ready, _, _ = select.select([self.terminal], [], [], max(0, self.deadline - time.monotonic()))
        assert ready, f"the command did not end within {END_SECONDS} s:\n{self.text}"
        try:
            read = os.read(self.terminal, 65536)
        except OSError:  # on Linux this means that the other side is closed
            return False
        self.written += read
        return bool(read)


def _take_terminal() -> None:
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    # A test run in the background ignores Ctrl-C, and its children inherit that.
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@contextlib.contextmanager
def on_terminal(stack: RunningStack, *arguments: str, columns: int) -> Iterator[TerminalCommand]:
    """Run a command with a terminal as its input, output, errors and controlling terminal."""
    terminal, other_side = pty.openpty()
    fcntl.ioctl(other_side, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, columns, 0, 0))
    process = subprocess.Popen(
        [sys.executable, str(PROJECT_DIR / "manage.py"), *arguments],
        env=stack.environment | {"LANG": "C.UTF-8"},
        cwd=PROJECT_DIR,
        stdin=other_side,
        stdout=other_side,
        stderr=other_side,
        start_new_session=True,
        preexec_fn=_take_terminal,
    )
    os.close(other_side)
    try:
        yield TerminalCommand(process, terminal)
    finally:
        process.kill()
        process.wait(timeout=10)
        os.close(terminal)
