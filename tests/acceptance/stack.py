"""Runs a real ``manage.py up`` for one test, on a free port, with its own DATA_DIR and environment."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import psutil
import psycopg
import redis

from emailbatch.localstack import addresses
from emailbatch.localstack.processes import die_with_parent
from tests.chaos.stack import shared_golden
from tests.inbox_file import count_messages, read_raw_messages

PROJECT_DIR = Path(__file__).resolve().parent.parent.parent
USERNAME = "admin"
PASSWORD = "a-password-for-tests"
READY_SECONDS = 90
STOP_SECONDS = 60
NOT_INHERITED = ("DATABASE_URL", "REDIS_URL", "EMAIL_", "SECRET_KEY", "DEBUG", "DJANGO_SETTINGS_MODULE")
"""How the variables begin that a stack of a test does not take from the environment of the tests."""


def wait_until(condition: Callable[[], bool], *, within_seconds: float, what: str) -> None:
    """Poll until the condition is true, or fail with a sentence when the time is over."""
    deadline = time.monotonic() + within_seconds
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"{what} did not happen within {within_seconds:g} s")
        time.sleep(0.05)


@dataclass(kw_only=True)
class RunningStack:
    """One running ``manage.py up``. ``username`` and ``password`` belong to an administrator."""

    process: subprocess.Popen[bytes]
    data_dir: Path
    environment: dict[str, str]
    log_path: Path
    username: str = USERNAME
    password: str = PASSWORD

    @property
    def log(self) -> str:
        return self.log_path.read_text(errors="replace")

    @property
    def url(self) -> str:
        """The address of the web page, with a slash at the end. Known after ``wait_until_ready``."""
        found = re.search(r"Ready: (http://\S+/)", self.log)
        assert found, self.log
        return found[1]

    @property
    def port(self) -> int:
        return int(self.url.rstrip("/").rpartition(":")[2])

    def wait_until_ready(self, *, within_seconds: float = READY_SECONDS) -> None:
        wait_until(
            lambda: "Ready: " in self.log or self.process.poll() is not None,
            within_seconds=within_seconds,
            what=f"The ready line of up (log: {self.log_path})",
        )
        assert self.process.poll() is None, f"up ended with status {self.process.returncode}:\n{self.log}"

    def pids(self, prefix: str = "") -> dict[str, int]:
        """Return the PIDs of the programs (postgres, valkey, inbox, web, worker.1 ...) whose name has this prefix."""
        programs = json.loads((self.data_dir / "up.json").read_text())
        return {name: entry["pid"] for name, entry in programs.items() if name.startswith(prefix)}

    def worker_pids(self) -> list[int]:
        return list(self.pids("worker").values())

    def work_horse_pids(self) -> list[int]:
        """Return the PIDs of the work-horses: the children of the workers."""
        pids = []
        for pid in self.worker_pids():
            with contextlib.suppress(psutil.NoSuchProcess):
                pids += [child.pid for child in psutil.Process(pid).children(recursive=True)]
        return pids

    def wait_for_workers(self, count: int, *, within_seconds: float = 30) -> None:
        """Wait until this many workers are registered in Redis."""
        with redis.Redis.from_url(addresses.redis_url(self.data_dir)) as client:
            wait_until(
                lambda: client.scard("rq:workers") >= count,
                within_seconds=within_seconds,
                what=f"The registration of {count} workers",
            )

    def manage(self, *arguments: str, check: bool = True, timeout: float = 60) -> subprocess.CompletedProcess[str]:
        """Run a manage.py command as in a second terminal."""
        return subprocess.run(
            [sys.executable, str(PROJECT_DIR / "manage.py"), *arguments],
            env=self.environment,
            cwd=PROJECT_DIR,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=check,
        )

    @contextlib.contextmanager
    def own_worker(self) -> Iterator[subprocess.Popen[bytes]]:
        """Run a worker as in a second terminal, and stop it at the end. ``worker_pids`` does not list it."""
        with (self.data_dir / "own-worker.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, str(PROJECT_DIR / "manage.py"), "rqworker", "high", "default"],
                stdout=log,
                stderr=log,
                env=self.environment,
                cwd=PROJECT_DIR,
                start_new_session=True,
                preexec_fn=die_with_parent(signal.SIGKILL),
            )
        try:
            yield process
        finally:
            process.terminate()
            process.wait(timeout=STOP_SECONDS)

    def query(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        """Query the database without Django."""
        host = str(addresses.database_socket_dir(self.data_dir))
        with psycopg.connect(host=host, user="postgres", dbname=addresses.DATABASE_NAME) as connection:
            return connection.execute(statement, values).fetchall()

    def mail_count(self) -> int:
        return count_messages(addresses.inbox_file(self.data_dir))

    def raw_mails(self) -> Iterator[tuple[str, bytes]]:
        """Yield every message of the inbox, oldest first: its recipients, one on each line, and its octets."""
        for message, raw in read_raw_messages(addresses.inbox_file(self.data_dir)):
            yield message.recipients, raw

    def mails(self) -> Iterator[tuple[str, EmailMessage]]:
        """Yield every message of the inbox, parsed by the standard library. That takes a millisecond for each."""
        for recipients, raw in self.raw_mails():
            parsed = message_from_bytes(raw, policy=policy.default)
            assert isinstance(parsed, EmailMessage)
            yield recipients, parsed

    def stop(self, number: int = signal.SIGINT) -> int:
        """Ask the stack to stop, as Ctrl-C does, and return its exit status."""
        self.process.send_signal(number)
        return self.process.wait(timeout=STOP_SECONDS)


def stack_environment(data_dir: Path, extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return an environment in which only the local stack is configured."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(NOT_INHERITED)}
    account = {"DJANGO_SUPERUSER_USERNAME": USERNAME, "DJANGO_SUPERUSER_PASSWORD": PASSWORD}
    return {**environment, **account, "DATA_DIR": str(data_dir), "PYTHONWARNINGS": "", **(extra or {})}


def processes_of(data_dir: Path) -> list[str]:
    """Return the living processes of a stack, found by their environment or by the folder in their command line."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            mine = process.environ().get("DATA_DIR") == str(data_dir) or str(data_dir) in " ".join(process.cmdline())
            if mine and process.status() != psutil.STATUS_ZOMBIE and process.pid != os.getpid():
                found.append(f"{process.pid} {' '.join(process.cmdline())}")
    return found


def launch_stack(
    data_dir: Path,
    *,
    workers: int = 1,
    port: int = 0,
    environment: Mapping[str, str] | None = None,
    wrapper: Sequence[str] = (),
    with_make: bool = False,
) -> RunningStack:
    """Start ``manage.py up`` without waiting for it. The caller must stop it.

    Args:
        wrapper: the beginning of the command line, such as ``setpriv ...`` to become another user.
        with_make: run ``make up`` instead.
    """
    data_dir.mkdir(parents=True, exist_ok=True)
    log_path = data_dir / f"up-{time.monotonic_ns()}.log"
    complete = stack_environment(data_dir, environment)
    command = [sys.executable, str(PROJECT_DIR / "manage.py"), "up", "--port", str(port), "--workers", str(workers)]
    if with_make:
        command = ["make", "up", f"PORT={port}", f"WORKERS={workers}"]
    with log_path.open("wb") as log:
        process = subprocess.Popen(
            [*wrapper, *command],
            stdout=log,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            env=complete,
            cwd=PROJECT_DIR,
            start_new_session=True,
            preexec_fn=die_with_parent(signal.SIGTERM),
        )
    return RunningStack(process=process, data_dir=data_dir, environment=complete, log_path=log_path)


@contextlib.contextmanager
def running_stack(
    data_dir: Path, *, workers: int = 1, port: int = 0, environment: Mapping[str, str] | None = None
) -> Iterator[RunningStack]:
    """Run a stack until the block ends, and stop it even if the block fails. Port 0 means a free port."""
    stack = launch_stack(data_dir, workers=workers, port=port, environment=environment)
    try:
        stack.wait_until_ready()
        yield stack
    finally:
        if stack.process.poll() is None:
            stack.stop(signal.SIGTERM)


@contextlib.contextmanager
def stack_in_new_folder(
    name: str, *, workers: int, environment: Mapping[str, str] | None = None
) -> Iterator[RunningStack]:
    """Run a stack in a temporary folder of this name, with all its workers registered.

    Its database is a copy of one that is already migrated, because a first start takes most of its time for that. A
    folder whose stack did not start is kept, because its logs say why.
    """
    folder = Path(tempfile.mkdtemp(prefix=f"emailbatch-{name}-"))
    shared_golden().copy_to(folder)
    with running_stack(folder, workers=workers, environment=environment) as running:
        running.wait_for_workers(workers)
        yield running
    shutil.rmtree(folder, ignore_errors=True)
