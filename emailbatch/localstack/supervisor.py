"""Keeps programs running: starts them, prints their output, restarts those that end, and stops them in order.

A Procfile runner stops everything when one program ends. This supervisor restarts that program, so that a person can
kill a worker and see that nothing is lost. One asyncio loop in the main thread does everything.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import IO

from honcho.colour import get_colours
from honcho.printer import Message, Printer

from emailbatch.localstack.permissions import Account
from emailbatch.localstack.processes import die_with_parent, kill_session, signal_process
from emailbatch.localstack.register import Register

FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 15.0
STEADY_SECONDS = 20.0
"""A program that ran for this long before it ended is restarted after the first pause again."""

LAST_WORDS_SECONDS = 1.0
"""How long to continue reading after a program has ended."""

CHUNK_BYTES = 65536


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """What to run, as which user, and how to end it."""

    name: str
    prepare: Callable[[], Sequence[str]]
    """Called before each start, in a thread. It creates what must exist, and returns the command line."""
    account: Account = field(default_factory=Account)
    environment: dict[str, str] = field(default_factory=dict)
    folder: Path = Path("/")
    stop_signal: int = signal.SIGTERM
    grace_seconds: float = 20.0
    """How long the program may take to stop before it is killed."""
    death_signal: int = signal.SIGKILL
    """The signal that the kernel sends to the program when the supervisor is killed."""
    inherited_files: tuple[int, ...] = ()
    hushed: tuple[bytes, ...] = ()
    """Parts of lines that are not printed, because they alarm a reader and mean nothing here."""


class Console:
    """Prints lines of many programs to one terminal, each with the time, and with its program's name and colour."""

    def __init__(self, *, names: Sequence[str], output: IO[str] | None = None) -> None:
        output = output or sys.stdout
        self._printer = Printer(output, width=max(len(name) for name in names))
        self._colours = dict(zip(names, get_colours(), strict=False))

    def say(self, name: str, text: str | bytes) -> None:
        message = Message(type="line", data=text, time=datetime.now(), name=name, colour=self._colours.get(name))
        # The reader of this output may have closed it. The programs continue.
        with contextlib.suppress(BrokenPipeError):
            self._printer.write(message)


class Supervised:
    """A program that is kept running from ``start`` until ``stop``."""

    def __init__(self, program: Program, *, console: Console, register: Register) -> None:
        self.program = program
        self._console = console
        self._register = register
        self._process: asyncio.subprocess.Process | None = None
        self._stopping = asyncio.Event()
        self.is_born = asyncio.Event()
        """Set when the program first runs and is in the register."""
        self._keeper: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._keeper = asyncio.create_task(self._keep_running(), name=self.program.name)

    def check(self) -> None:
        """Raise the error that ended the supervision, if there is one: an unusable folder, a missing program."""
        if self._keeper and self._keeper.done() and not self._stopping.is_set():
            self._keeper.result()

    async def stop(self) -> None:
        """Ask the program to stop, kill it after its grace period, and wait until it has ended."""
        self._stopping.set()
        if self._keeper is None:
            return
        if self._process is not None and self._process.returncode is None:
            signal_process(self._process.pid, self.program.stop_signal)
        done, _ = await asyncio.wait({self._keeper}, timeout=self.program.grace_seconds)
        if not done:
            self._console.say(self.program.name, "It did not stop in time, so it is killed.")
            self.kill()
        with contextlib.suppress(Exception):
            await self._keeper

    def kill(self) -> None:
        """Kill the program and every process that it started. It is not restarted."""
        self._stopping.set()
        if self._process is not None and self._process.returncode is None:
            kill_session(self._process.pid)

    async def _keep_running(self) -> None:
        pause = FIRST_PAUSE_SECONDS
        while not self._stopping.is_set():
            began = time.monotonic()
            status = await self._run_once()
            if self._stopping.is_set():
                return
            if time.monotonic() - began > STEADY_SECONDS:
                pause = FIRST_PAUSE_SECONDS
            self._console.say(self.program.name, f"It {_ending(status)}. Starting it again in {pause:g} s.")
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), timeout=pause)
            pause = min(pause * 2, LONGEST_PAUSE_SECONDS)

    async def _run_once(self) -> int:
        argv = await asyncio.to_thread(self.program.prepare)
        if self._stopping.is_set():
            return 0
        async with self._printing() as output:
            process = self._process = await self._spawn(argv, output)
            self._register.add(self.program.name, pid=process.pid, stop_signal=self.program.stop_signal)
            self.is_born.set()
            if self._stopping.is_set():  # the stop was requested during the start
                signal_process(process.pid, self.program.stop_signal)
            os.close(output)  # the program has its own copy
            status = await process.wait()
            await asyncio.to_thread(kill_session, process.pid)
        self._register.remove(self.program.name)
        return status

    async def _spawn(self, argv: Sequence[str], output: int) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            *argv,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env={**os.environ, **self.program.environment},
            cwd=self.program.folder,
            start_new_session=True,
            preexec_fn=die_with_parent(self.program.death_signal),
            pass_fds=self.program.inherited_files,
            **self.program.account,
        )

    @contextlib.asynccontextmanager
    async def _printing(self) -> AsyncIterator[int]:
        """Yield a file descriptor, and print what is written to it until every process has closed it."""
        readable, writable = os.pipe()
        reader = asyncio.StreamReader()
        transport, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(readable, "rb", buffering=0)
        )
        printing = asyncio.create_task(self._print_lines(reader))
        try:
            yield writable
            # A child of the program that left its session may keep the pipe open for ever.
            await asyncio.wait({printing}, timeout=LAST_WORDS_SECONDS)
        finally:
            printing.cancel()
            transport.close()

    async def _print_lines(self, reader: asyncio.StreamReader) -> None:
        """Print whole lines as they arrive. A line may have any length, and the last one needs no line break."""
        rest = b""
        while chunk := await reader.read(CHUNK_BYTES):
            lines, newline, rest = (rest + chunk).rpartition(b"\n")
            if newline:
                self._print(lines)
            if len(rest) > CHUNK_BYTES:
                self._print(rest)
                rest = b""
        if rest:
            self._print(rest)

    def _print(self, lines: bytes) -> None:
        hushed = self.program.hushed
        if hushed:
            kept = [line for line in lines.split(b"\n") if not any(part in line for part in hushed)]
            if not kept:
                return
            lines = b"\n".join(kept)
        self._console.say(self.program.name, lines)


def _ending(status: int) -> str:
    """Say how a program ended, as the predicate of a sentence."""
    if status < 0:
        return f"was ended by {signal.Signals(-status).name}"
    return f"ended with status {status}"
