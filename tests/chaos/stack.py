"""The stack of one trial: PostgreSQL, Valkey, the recording SMTP server and workers, in one folder.

The cluster is migrated once and copied for each stack. So a trial starts in a fraction of a second, and it may break
its own services without harming another trial.
"""

from __future__ import annotations

import atexit
import contextlib
import dataclasses
import datetime
import functools
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from subprocess import DEVNULL
from typing import Any, Self, TypeVar

import psycopg
import redis

from emailbatch.localstack import addresses, services
from tests.chaos.disk import SmallDisk
from tests.chaos.web import Web
from tests.chaos.workers import Worker
from tests.proxy import RunningProxy
from tests.smtpserver import Behaviour, RunningServer

ROOT = Path(__file__).resolve().parents[2]
T = TypeVar("T")
START_SECONDS = 60
COMMAND_SECONDS = 120
MIGRATE_SECONDS = 600
"""On an idle machine it takes ten seconds."""

TEMPLATE_KEY = "chaos"
TEMPLATE = {
    "key": TEMPLATE_KEY,
    "name": "Chaos",
    "subject": "Hello {{ name }}",
    "html": "<p>Dear {{ name }} of {{ city }},</p><p>your number is <b>{{ code }}</b>.</p>",
    "text": "Dear {{ name }} of {{ city }},\n\nyour number is {{ code }}.\n",
}


def wait_until(condition: Callable[[], T], *, seconds: float, what: str | Callable[[], str], every: float = 0.02) -> T:
    """Poll a condition until its answer is true, and return that answer.

    Args:
        what: For what. A function says it when the time is over, with what is known then.

    Raises:
        TimeoutError: the condition was not true in time.
    """
    deadline = time.monotonic() + seconds
    while not (answer := condition()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"Waited {seconds:g} s for {what() if callable(what) else what}, without success.")
        time.sleep(every)
    return answer


class Services:
    """PostgreSQL and Valkey over one data folder. Each can be started, stopped and killed alone.

    Without ``fsync``, a commit survives the end of PostgreSQL and not that of the machine.
    """

    def __init__(self, folder: Path, *, fsync: bool = True) -> None:
        self.folder, self.fsync = folder, fsync
        self.log_path = folder / "services.log"
        self.log = self.log_path.open("ab")
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.disk: SmallDisk | None = None

    def start_postgres(self) -> None:
        argv, account = services.prepare_postgres(self.folder, sync=False), services.postgres_account()
        argv += ["-c", f"fsync={'on' if self.fsync else 'off'}"]
        if self.disk is not None:
            argv, account = self.disk.enter(argv, account), {}
        self._start("postgres", argv, account)
        wait_until(self.is_postgres_up, seconds=START_SECONDS, what="PostgreSQL to answer")

    def start_redis(self) -> None:
        self._start("redis", services.prepare_valkey(self.folder), {})
        wait_until(self.is_redis_up, seconds=START_SECONDS, what="Valkey to answer")

    def _start(self, name: str, argv: Sequence[str], account: Mapping[str, Any]) -> None:
        self.processes[name] = subprocess.Popen(
            argv, stdout=self.log, stderr=self.log, cwd=self.folder, process_group=0, **account
        )

    def is_postgres_up(self) -> bool:
        try:
            with self.connect(dbname="postgres"):
                return True
        except psycopg.OperationalError:
            return False

    def is_redis_up(self) -> bool:
        with contextlib.closing(self.redis()) as client:
            try:
                return bool(client.ping())
            except redis.exceptions.RedisError:
                return False

    def connect(self, *, dbname: str = "emailbatch") -> psycopg.Connection:
        """Connect directly, without a proxy or a pool."""
        host = str(addresses.database_socket_dir(self.folder))
        return psycopg.connect(host=host, user="postgres", dbname=dbname, autocommit=True, connect_timeout=5)

    def redis(self) -> redis.Redis:
        return redis.Redis.from_url(addresses.redis_url(self.folder), socket_timeout=5)

    def stop(self, name: str, *, signal_number: int = signal.SIGTERM) -> None:
        """Signal a service and wait for its end. SIGQUIT is PostgreSQL's immediate shutdown."""
        process = self.processes.pop(name, None)
        if process is not None:
            process.send_signal(signal_number)
            process.wait(timeout=START_SECONDS)

    def stop_all(self) -> None:
        self.stop("redis", signal_number=signal.SIGKILL)
        self.stop("postgres", signal_number=signal.SIGQUIT)
        if self.disk is not None:
            self.disk.close()
        self.log.close()

    def use_small_disk(self) -> None:
        """Move PostgreSQL's cluster to a disk that can be filled. PostgreSQL must not be running."""
        self.disk = SmallDisk(self.folder / "postgres")

    def postmaster_pid(self) -> int:
        return self.processes["postgres"].pid

    def has_ended(self, name: str) -> bool:
        """Return whether a service has ended by itself."""
        return self.processes[name].poll() is not None

    def count_log(self, words: str) -> int:
        """Count how often these words are in the log of the services."""
        return self.log_path.read_text(errors="replace").count(words)


class Golden:
    """The migrated cluster. Every stack gets a copy of it."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="emailbatch-golden-"))
        self.folder.chmod(0o755)

    def __enter__(self) -> Self:
        running = Services(self.folder, fsync=False)
        try:
            running.start_postgres()
            with running.connect(dbname="postgres") as connection:
                connection.execute("CREATE DATABASE emailbatch")
            environment = base_environment(self.folder)
            run_command(["migrate", "--verbosity", "0"], environment=environment, seconds=MIGRATE_SECONDS)
            # A clean shutdown, so that the files that are copied contain everything.
            running.stop("postgres", signal_number=signal.SIGINT)
        finally:
            running.stop_all()
        return self

    def __exit__(self, *exc: object) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)

    def copy_to(self, folder: Path) -> None:
        """Copy the cluster into a data folder. The copy has the same owner, who is PostgreSQL's user."""
        subprocess.run(["cp", "-a", self.folder / "postgres", folder / "postgres"], check=True)


@functools.cache
def shared_golden() -> Golden:
    """Migrate a cluster at the first call in this process. It is deleted when the process ends."""
    golden = Golden()
    atexit.register(golden.__exit__)
    return golden.__enter__()


def insert_template(running: Services, template: Mapping[str, str]) -> None:
    with running.connect() as connection:
        connection.execute(
            "INSERT INTO batches_emailtemplate (key, name, subject, html, text, is_default, updated_at)"
            " VALUES (%(key)s, %(name)s, %(subject)s, %(html)s, %(text)s, false, now())",
            template,
        )


def base_environment(folder: Path) -> dict[str, str]:
    """Return the environment that every command of a stack needs, without the services of the caller."""
    kept = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "LANG", "TMPDIR")}
    return kept | {"DATA_DIR": str(folder), "SECRET_KEY": "only-for-chaos", "PYTHONUNBUFFERED": "1"}


def run_command(arguments: Sequence[str], *, environment: Mapping[str, str], seconds: float = COMMAND_SECONDS) -> str:
    """Run ``manage.py`` and return its standard output.

    Raises:
        RuntimeError: the command failed. The message contains its standard error.
    """
    argv = [sys.executable, "manage.py", *arguments]
    done = subprocess.run(argv, cwd=ROOT, env=dict(environment), capture_output=True, text=True, timeout=seconds)
    if done.returncode:
        raise RuntimeError(f"manage.py {arguments[0]} ended with status {done.returncode}.\n{done.stderr[-4000:]}")
    return done.stdout


class Stack:
    """Everything that one trial needs. Start it with ``with Stack(golden, ...) as stack``."""

    def __init__(
        self,
        golden: Golden,
        *,
        behaviour: Behaviour | None = None,
        environment: Mapping[str, str] | None = None,
        has_proxy: bool = False,
        has_small_disk: bool = False,
        keep_raw: bool = False,
        email_url: str = "smtp://127.0.0.1:{port}",
        second: Behaviour | None = None,
        fsync: bool = True,
    ) -> None:
        self.golden, self.fsync = golden, fsync
        self.folder = Path(tempfile.mkdtemp(prefix="emailbatch-stack-"))
        self.folder.chmod(0o755)
        self.smtp = RunningServer(behaviour, keep_raw=keep_raw)
        # It listens first, so that it has a port even if it refuses connections from then on.
        self.second = RunningServer(dataclasses.replace(second, refuse=False), keep_raw=keep_raw) if second else None
        """Another relay: that of EMAIL_URL_SECOND."""
        self.second_behaviour = second
        self.extra_environment = environment or {}
        self.has_proxy = has_proxy
        self.has_small_disk = has_small_disk
        self.email_url = email_url
        self.workers: list[Worker] = []
        self.exits = contextlib.ExitStack()

    def __enter__(self) -> Self:
        with self.exits:
            self.exits.callback(shutil.rmtree, self.folder, ignore_errors=True)
            self.golden.copy_to(self.folder)
            self.services = Services(self.folder, fsync=self.fsync)
            self.exits.callback(self.services.stop_all)
            if self.has_small_disk:
                self.services.use_small_disk()
            self.services.start_postgres()
            insert_template(self.services, TEMPLATE)
            self.services.start_redis()
            self.exits.enter_context(self.smtp)
            if self.second is not None and self.second_behaviour is not None:
                self.exits.enter_context(self.second)
                self.second.become(self.second_behaviour)
            self.environment = self._make_environment()
            self.exits.callback(self.kill_workers)
            self.exits = self.exits.pop_all()
        return self

    def __exit__(self, *exc: object) -> None:
        self.exits.close()

    def _make_environment(self) -> dict[str, str]:
        environment = base_environment(self.folder)
        environment["EMAIL_URL"] = self.email_url.format(port=self.smtp.port)
        environment["SSL_CERT_FILE"] = str(self.smtp.certificate)
        if self.second is not None:
            environment["EMAIL_URL_SECOND"] = self.second.url
        if self.has_proxy:
            socket_path = addresses.database_socket_dir(self.folder) / ".s.PGSQL.5432"
            self.proxy = self.exits.enter_context(RunningProxy(socket_path, is_postgres=True))
            environment["DATABASE_URL"] = f"postgres://postgres@127.0.0.1:{self.proxy.port}/emailbatch?sslmode=disable"
        return environment | dict(self.extra_environment)

    def set_reply_rules(self, rules: str) -> None:
        """Give the workers a site's own reply rules, as TOML. Empty: it has none."""
        if rules:
            path = self.folder / "reply_rules.toml"
            path.write_text(rules)
            self.environment["SEND_REPLY_RULES"] = str(path)

    @property
    def disk(self) -> SmallDisk:
        """PostgreSQL's small disk. It exists only with ``has_small_disk``."""
        assert self.services.disk is not None
        return self.services.disk

    # --- Workers ---------------------------------------------------------------------------------------

    def start_worker(self, *, environment: Mapping[str, str] | None = None, wait: bool = True) -> Worker:
        """Start one more worker. By default, wait until it is registered in Redis."""
        before = self.worker_count() if wait else 0
        log = self.folder / f"worker-{len(self.workers)}.log"
        worker = Worker(environment=self.environment | dict(environment or {}), log=log)
        self.workers.append(worker)
        if wait:
            wait_until(
                lambda: self.worker_count() > before or worker.has_ended(),
                seconds=START_SECONDS,
                what="a worker to register",
            )
            if worker.has_ended():
                worker.is_expected_to_end = True
                raise RuntimeError(f"A worker ended at once.\n{worker.read_log()}")
        return worker

    def start_workers(self, count: int) -> None:
        """Start several workers at the same time, and wait until all are registered in Redis."""
        started = [self.start_worker(wait=False) for _ in range(count)]
        wait_until(
            lambda: self.worker_count() >= count or any(worker.has_ended() for worker in started),
            seconds=START_SECONDS,
            what=f"{count} workers to register",
        )
        for worker in started:
            if worker.has_ended():
                raise RuntimeError(f"A worker ended at once.\n{worker.read_log()}")

    def worker_count(self) -> int:
        with contextlib.closing(self.services.redis()) as client:
            return int(client.scard("rq:workers"))

    def worker_births(self) -> list[datetime.datetime]:
        """Return when each registered worker started, by the worker's own clock."""
        with contextlib.closing(self.services.redis()) as client:
            keys: set[bytes] = client.smembers("rq:workers")  # type: ignore[assignment]
            births: list[bytes] = [client.hget(key, "birth") for key in keys]  # type: ignore[misc]
        return [datetime.datetime.fromisoformat(each.decode()) for each in births]

    def kill_workers(self) -> None:
        for worker in self.workers:
            worker.kill_group()

    def stop_workers(self) -> None:
        """Ask all workers to stop, and kill the workers that do not."""
        for worker in self.workers:
            worker.terminate()
        for worker in self.workers:
            with contextlib.suppress(subprocess.TimeoutExpired):
                worker.wait(seconds=15)
        self.kill_workers()

    # --- Batches ---------------------------------------------------------------------------------------

    def send_batch(self, path: Path, *, template: str = TEMPLATE_KEY) -> int:
        """Load a file and start its job, as a user would. Return the id of the batch."""
        output = run_command(["sendbatch", str(path), "--template", template, "--json"], environment=self.environment)
        return int(json.loads(output)["batchId"])

    @contextlib.contextmanager
    def sending_batch(self, path: Path) -> Iterator[subprocess.Popen[bytes]]:
        """Run the process that loads a file and starts its job, so that a trial can kill it in the middle."""
        argv = [sys.executable, "manage.py", "sendbatch", str(path), "--template", TEMPLATE_KEY, "--json"]
        with subprocess.Popen(argv, cwd=ROOT, env=self.environment, stdout=DEVNULL, stderr=DEVNULL) as process:
            try:
                yield process
            finally:
                process.kill()

    @contextlib.contextmanager
    def web(self) -> Iterator[Web]:
        """Run a web server that takes uploads, so that a trial can kill it in the middle of one."""
        with Web(environment=self.environment, log=self.folder / "web.log") as web:
            wait_until(web.is_up, seconds=START_SECONDS, what="the web server to answer")
            yield web

    def logs(self) -> Iterator[str]:
        """Yield the end of each worker's log."""
        for worker in self.workers:
            yield worker.read_log()
