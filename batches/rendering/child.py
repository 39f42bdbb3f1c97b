"""Start a child process that compiles and renders templates, ask it, and find out why it ended.

A request enters. An answer leaves, or ChildEnded. One thread asks at a time; any thread may kill. Each read and write
has a time limit. A child ends by itself when its pipe does, so it does not outlive the process that started it.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import orjson

from batches.rendering.child_answers import FRAME
from batches.rendering.template import TemplateFault

WALL_MAX_SECONDS = 10.0
"""How long an answer may take. The limit on processor time is far lower, so this ends a child that hangs."""

_PROJECT_DIR = str(Path(__file__).resolve().parent.parent.parent)

# -I: the child sees neither this process's folder nor its environment, only installed packages and the project.
_START = (
    "import sys; sys.path.insert(0, sys.argv[1]); from batches.rendering import child_program; child_program.main()"
)

_OWN_SIGNALS = frozenset(
    {
        signal.SIGPROF,  # too much processor time
        signal.SIGABRT,  # no memory left, in the template engine
        signal.SIGSEGV,  # nested too deeply
        signal.SIGBUS,
        signal.SIGILL,
        signal.SIGTRAP,
    }
)
_CHUNK_BYTES = 1 << 18

ANSWER_MAX_BYTES = 256 << 20
"""More than the memory of a child lets it answer. What announces more is no answer."""


class ChildEnded(Exception):
    """The child ended before it answered.

    ``is_by_request`` says that certainly the request caused that, and not the machine or somebody who killed it.
    """

    def __init__(self, reason: str, *, is_by_request: bool) -> None:
        super().__init__(reason)
        self.is_by_request = is_by_request


class ChildNotStarted(Exception):
    """No child process can be started. The message says why, for the log."""


class Child:
    """One child process.

    Raises:
        ChildNotStarted: The machine has no process or memory left, or the program can't be loaded.
    """

    def __init__(self) -> None:
        try:
            # It holds no descriptor but its pipes, so neither a database connection nor a socket of a relay.
            self._process = subprocess.Popen(  # noqa: S603
                [sys.executable, "-I", "-c", _START, _PROJECT_DIR],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                bufsize=0,
                env={"LANG": "C.UTF-8"},
                cwd="/",
            )
        except OSError as exc:
            raise ChildNotStarted(str(exc)) from exc
        assert self._process.stdin is not None and self._process.stdout is not None  # noqa: S101
        self._input, self._output = self._process.stdin.fileno(), self._process.stdout.fileno()
        os.set_blocking(self._input, False)
        self._buffer = bytearray()
        try:
            self.read()
        except ChildEnded as exc:
            self.close()
            raise ChildNotStarted(str(exc)) from exc

    def write(self, **request: Any) -> None:
        """Send a request. All answers to the one before it must have been read.

        Raises:
            ChildEnded: The child is gone.
            TemplateFault: The request has what no text can have.
        """
        try:
            octets = orjson.dumps(request)
        except orjson.JSONEncodeError as exc:  # half of a surrogate pair
            raise TemplateFault("A text has a character that can't be sent. Write the text again.") from exc
        frame, until = memoryview(FRAME.pack(len(octets)) + octets), time.monotonic() + WALL_MAX_SECONDS
        while frame:
            self._wait(self._input, select.POLLOUT, until)
            try:
                frame = frame[os.write(self._input, frame[:_CHUNK_BYTES]) :]
            except BlockingIOError:
                continue
            except OSError as exc:
                raise self._find_end() from exc

    def read(self) -> Any:
        """Return the next answer.

        Raises:
            ChildEnded: The child is gone, or was killed because it did not answer in time, or answered no JSON.
        """
        until = time.monotonic() + WALL_MAX_SECONDS
        head = self._take(FRAME.size, until)
        (size,) = FRAME.unpack(head)
        if size > ANSWER_MAX_BYTES:
            raise self._give_up("its answer can't be read")
        try:
            return orjson.loads(self._take(size, until))
        except orjson.JSONDecodeError as exc:
            raise self._give_up("its answer can't be read") from exc

    def read_about(self, row_id: int) -> list[Any]:
        """Return the next answer if it is about this row, without the row's id. A letter must not get another's text.

        Raises:
            ChildEnded: As in ``read``. A child that answers something else is killed.
        """
        answer = self.read()
        if not isinstance(answer, list) or len(answer) < 2 or answer[0] != row_id:
            raise self._give_up("its answer is about something else")
        return answer[1:]

    def _take(self, size: int, until: float) -> bytes:
        while len(self._buffer) < size:
            self._wait(self._output, select.POLLIN, until)
            octets = os.read(self._output, _CHUNK_BYTES)
            if not octets:
                raise self._find_end()
            self._buffer += octets
        taken = bytes(self._buffer[:size])
        del self._buffer[:size]
        return taken

    def _wait(self, descriptor: int, event: int, until: float) -> None:
        poll = select.poll()
        poll.register(descriptor, event)
        if not poll.poll(max(0.0, until - time.monotonic()) * 1000):
            raise self._give_up(f"no answer after {WALL_MAX_SECONDS:.0f} s")

    def _give_up(self, reason: str) -> ChildEnded:
        self.kill()
        return ChildEnded(reason, is_by_request=False)

    def _find_end(self) -> ChildEnded:
        try:
            status = self._process.wait(WALL_MAX_SECONDS)
        except subprocess.TimeoutExpired:  # it has closed its pipe, and does not end
            self.kill()
            status = self._process.wait()
        return ChildEnded(f"it ended with status {status}", is_by_request=-status in _OWN_SIGNALS)

    def kill(self) -> None:
        """End the child at once. The thread that waits for its answer gets ChildEnded. Safe to call from any thread."""
        with suppress(ProcessLookupError):
            self._process.kill()

    def close(self) -> None:
        """Kill the child, and wait until it is gone. Only for the thread that asks it."""
        self.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
