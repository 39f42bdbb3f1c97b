"""Programs that are kept running, with real processes."""

from __future__ import annotations

import asyncio
import io
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from emailbatch.localstack import processes, supervisor
from emailbatch.localstack.register import AlreadyRunning, Register
from emailbatch.localstack.supervisor import Console, Program, Supervised


class Bench:
    """A supervised Python program and its printed lines."""

    def __init__(self, folder: Path, code: str, **changes: object) -> None:
        argv = (sys.executable, "-u", "-c", code)
        self.output = io.StringIO()
        program = Program(name="it", prepare=lambda: argv, **changes)  # type: ignore[arg-type]
        self.register = Register(folder)
        self.supervised = Supervised(program, console=Console(names=["it"], output=self.output), register=self.register)

    async def stop(self) -> None:
        await self.supervised.stop()
        self.register.close()

    @property
    def lines(self) -> list[str]:
        return [line.partition("| ")[2] for line in self.output.getvalue().splitlines()]

    async def until(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 15
        while not condition():
            assert time.monotonic() < deadline, self.lines
            await asyncio.sleep(0.01)


async def test_program_is_started_again_after_growing_pauses_when_it_ends(tmp_path: Path) -> None:
    bench = Bench(tmp_path, "print('here'); raise SystemExit(3)")
    bench.supervised.start()
    await bench.until(lambda: bench.lines.count("here") == 3)
    await bench.stop()
    endings = [line for line in bench.lines if line.startswith("It ended")]
    assert endings[:2] == [
        "It ended with status 3. Starting it again in 0.5 s.",
        "It ended with status 3. Starting it again in 1 s.",
    ]


async def test_lines_stay_whole_when_they_are_long_split_or_unfinished(tmp_path: Path) -> None:
    long = 100_000
    bench = Bench(
        tmp_path,
        f"import os, time\nos.write(1, b'ab'); time.sleep(.2); os.write(1, b'c\\n' + b'x' * {long} + b'\\nlast')\n"
        "time.sleep(30)",
    )
    bench.supervised.start()
    await bench.until(lambda: "x" in "".join(bench.lines) and len("".join(bench.lines)) >= long + 3)
    await bench.stop()
    assert bench.lines[0] == "abc"
    assert "".join(bench.lines[1:]).startswith("x" * long)
    assert bench.lines[-1] == "last"


async def test_whole_session_is_killed_when_the_program_ignores_the_request_to_stop(tmp_path: Path) -> None:
    code = (
        "import os, signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "if os.fork() == 0:\n    os.setpgid(0, 0)\nos.write(1, b'%d\\n' % os.getpid())\ntime.sleep(60)"
    )
    bench = Bench(tmp_path, code, grace_seconds=0.3)
    bench.supervised.start()
    await bench.until(lambda: len(bench.lines) == 2)
    pids = [int(line) for line in bench.lines]
    await bench.stop()
    assert "It did not stop in time, so it is killed." in bench.lines
    assert [pid for pid in pids if processes.started_at(pid)] == []


async def test_child_of_a_program_is_ended_when_its_program_is_killed(tmp_path: Path) -> None:
    bench = Bench(tmp_path, "import os, time\nos.fork()\nos.write(1, b'%d\\n' % os.getpid())\ntime.sleep(60)")
    bench.supervised.start()
    await bench.until(lambda: len(bench.lines) == 2)
    leader, child = sorted(int(line) for line in bench.lines)
    os.kill(leader, signal.SIGKILL)
    await bench.until(lambda: processes.started_at(child) is None)
    await bench.until(lambda: "It was ended by SIGKILL. Starting it again in 0.5 s." in bench.lines)
    await bench.stop()


async def test_error_of_prepare_is_raised_when_the_program_is_checked(tmp_path: Path) -> None:
    bench = Bench(tmp_path, "")

    def refuse() -> list[str]:
        raise LookupError("no such program")

    def check() -> bool:
        bench.supervised.check()
        return False

    bench.supervised.program = Program(name="it", prepare=refuse)
    bench.supervised.start()
    with pytest.raises(LookupError, match="no such program"):
        await bench.until(check)
    await bench.stop()


def test_second_register_is_refused_when_the_first_is_locked(tmp_path: Path) -> None:
    with Register(tmp_path), pytest.raises(AlreadyRunning, match=f"process {os.getpid()}"):
        Register(tmp_path)
    with Register(tmp_path):
        pass


def test_process_is_spared_when_it_only_has_the_pid_of_an_old_one(tmp_path: Path) -> None:
    with Register(tmp_path) as register:
        register.add("it", pid=os.getpid(), stop_signal=signal.SIGKILL)
        text = (tmp_path / "up.json").read_text()
        (tmp_path / "up.json").write_text(text.replace(str(processes.started_at(os.getpid())), "1"))
        assert register.end_leftovers() == []


def test_register_is_empty_when_its_file_is_broken(tmp_path: Path) -> None:
    (tmp_path / "up.json").write_text('{"it": ')
    with Register(tmp_path) as register:
        assert register.end_leftovers() == []


def test_pauses_have_a_bound() -> None:
    assert supervisor.FIRST_PAUSE_SECONDS < supervisor.STEADY_SECONDS
    assert supervisor.LONGEST_PAUSE_SECONDS <= 15


async def test_line_is_left_out_when_its_program_hushes_it(tmp_path: Path) -> None:
    code = "print('one\\nFATAL: not yet\\ntwo'); print('FATAL: not yet'); print('three'); import time; time.sleep(60)"
    bench = Bench(tmp_path, code, hushed=(b"not yet",))
    bench.supervised.start()
    await bench.until(lambda: "three" in bench.lines)
    assert bench.lines[:3] == ["one", "two", "three"]
    await bench.stop()
