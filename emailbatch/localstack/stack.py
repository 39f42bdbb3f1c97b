"""Runs the local stack: which programs it consists of, and the order in which they start and stop.

A service is started only if its variable is unset. Otherwise it is assumed to run already.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from emailbatch.localstack import addresses, firststart, probes, services
from emailbatch.localstack.register import Register
from emailbatch.localstack.supervisor import Console, Program, Supervised

HOST = "127.0.0.1"

SERVICE_READY_SECONDS = 60
WEB_READY_SECONDS = 60
SAME_REQUEST_SECONDS = 1.0
"""Two signals to stop within this time count as one request."""

WORKER_QUEUES = ("high", "default")
"""The queues, in the order in which a worker empties them."""

UP = "up"


class PortTaken(Exception):
    """The port of the web page is in use. The message says what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The options of one ``up``."""

    data_dir: Path
    project_dir: Path
    port: int
    worker_count: int
    has_database: bool
    """Whether to start the embedded PostgreSQL."""
    has_redis: bool
    has_inbox: bool
    has_returns: bool = False
    """Whether to run the process that takes in what comes back."""
    returns_listener: tuple[str, int] | None = None
    """The host and the port at which that process listens, if it does and the port is known."""
    stop_grace_seconds: float
    """How long a worker or the web process may take to stop before it is killed."""


RULE = "=" * 78
FIRST_STEP = "open that address, sign in, and upload static/samples/sample-list.xlsx."


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """A program, and a question that tells whether it is ready."""

    program: Program
    is_ready: Callable[[], bool]


def run_stack(plan: Plan) -> None:
    """Run until SIGINT, SIGTERM or SIGHUP, then stop everything. Must be called in the main thread.

    Raises:
        AlreadyRunning, PortTaken, FolderRefused, NotReady: the stack could not start, and nothing is left running.
    """
    plan.data_dir.mkdir(parents=True, exist_ok=True)
    with Register(plan.data_dir) as register, _listen(plan.port) as listener:
        asyncio.run(Stack(plan, register=register, listener=listener).run())


@contextlib.contextmanager
def _listen(port: int) -> Iterator[socket.socket]:
    """Open the socket of the web page. This process keeps it, so that it stays open while daphne restarts."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as listener:
        # Without this, the port stays blocked for a minute after the last connection.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((HOST, port))
            listener.listen(512)
        except OSError as exc:
            raise PortTaken(
                f"Port {port} cannot be used ({exc.strerror}). Stop the program that uses it, or choose another port: "
                f"make up PORT={port + 1}."
            ) from exc
        yield listener


class Stack:
    """One run of the local stack."""

    def __init__(self, plan: Plan, *, register: Register, listener: socket.socket) -> None:
        self._port = listener.getsockname()[1]
        self._plan = plan = replace(plan, port=self._port)  # port 0: the system has chosen one
        self._register = register
        self._services = list(embedded_services(plan))
        self._web = Service(
            program=web_program(plan, listener.fileno()),
            is_ready=lambda: probes.http_answers(host=HOST, port=self._port),
        )
        self._workers = [worker_program(plan, number) for number in range(1, plan.worker_count + 1)]
        if plan.has_returns:
            self._workers.append(_manage(plan, "returns", "readreturns"))
        programs = [service.program for service in (*self._services, self._web)] + self._workers
        self._console = Console(names=[UP, *(program.name for program in programs)])
        self._groups: list[list[Supervised]] = []
        self._stop_asked = asyncio.Event()
        self._stop_asked_at = 0.0

    async def run(self) -> None:
        self._obey_signals()
        try:
            await self._unless_stopped(self._start())
            await self._stop_asked.wait()
        finally:
            await self._stop()

    def _obey_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._ask_to_stop)
        if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:  # otherwise nohup started this process
            loop.add_signal_handler(signal.SIGHUP, self._stop_asked.set)

    def _ask_to_stop(self) -> None:
        """Stop in order at the first request. Kill what is left at a later request.

        One Ctrl-C, or one ``kill`` of a group, may arrive twice: once from the terminal and once from make.
        """
        now = asyncio.get_running_loop().time()
        if not self._stop_asked.is_set():
            self._stop_asked_at = now
        elif now - self._stop_asked_at > SAME_REQUEST_SECONDS:
            for group in self._groups:
                for supervised in group:
                    supervised.kill()
        self._stop_asked.set()

    async def _unless_stopped(self, work: Awaitable[None]) -> None:
        """Do this work, and abandon it if a stop is requested."""
        task = asyncio.ensure_future(work)
        asked = asyncio.create_task(self._stop_asked.wait())
        await asyncio.wait({task, asked}, return_when=asyncio.FIRST_COMPLETED)
        asked.cancel()
        if task.done():
            task.result()
        task.cancel()

    async def _start(self) -> None:
        ended = await asyncio.to_thread(self._register.end_leftovers)
        if ended:
            self._say(f"Ended the processes that an earlier run left: {', '.join(ended)}.")
        self._open_folders()
        await self._start_services()
        self._say("Preparing the database. The first time takes up to a minute.")
        sign_in = await asyncio.to_thread(firststart.fill_database)
        await self._start_and_wait([self._web], within_seconds=WEB_READY_SECONDS)
        for worker in self._launch(self._workers):
            await worker.is_born.wait()
        if self._plan.returns_listener is not None:
            host, port = self._plan.returns_listener
            greets = partial(probes.listener_greets, host=host, port=port)
            await probes.wait_for("returns", greets, within_seconds=SERVICE_READY_SECONDS)
        self._say_ready(sign_in)

    def _say_ready(self, sign_in: str) -> None:
        """Say where to go, between two rules, so that a person finds it among the lines of the programs."""
        site = f"http://{HOST}:{self._port}/"
        lines = [RULE, f"Ready: {site} - {sign_in}. Ctrl-C stops everything.", f"Next: {FIRST_STEP}"]
        if self._plan.has_inbox:
            lines.append(f"Mail goes no further than {site}inbox/ until EMAIL_URL names a mail server.")
        lines.append("A second terminal needs the same variables, such as DATA_DIR.")
        self._say("\n".join([*lines, RULE]))

    def _open_folders(self) -> None:
        services.remove_former_sockets(self._plan.data_dir)
        if not self._plan.has_database:
            return
        opened = services.open_for_postgres(self._plan.data_dir)
        if opened:
            folders = ", ".join(str(folder) for folder in opened)
            user = services.postgres_account()["user"]
            self._say(f"PostgreSQL runs as the user id {user}. It may now pass through (o+x): {folders}.")

    async def _start_services(self) -> None:
        await self._start_and_wait(self._services, within_seconds=SERVICE_READY_SECONDS)
        if self._plan.has_database:
            await asyncio.to_thread(firststart.create_database, self._plan.data_dir)

    async def _start_and_wait(self, wanted: Sequence[Service], *, within_seconds: float) -> None:
        group = self._launch([service.program for service in wanted])
        await asyncio.gather(
            *(
                probes.wait_for(
                    service.program.name, service.is_ready, within_seconds=within_seconds, check=supervised.check
                )
                for service, supervised in zip(wanted, group, strict=True)
            )
        )

    def _launch(self, programs: Sequence[Program]) -> list[Supervised]:
        group = [Supervised(program, console=self._console, register=self._register) for program in programs]
        self._groups.append(group)
        for supervised in group:
            supervised.start()
        return group

    async def _stop(self) -> None:
        """Stop the programs in reverse order: workers finish what is in flight while their services still run."""
        if self._groups:
            self._say("Stopping.")
        while self._groups:
            await asyncio.gather(*(supervised.stop() for supervised in self._groups[-1]))
            self._groups.pop()

    def _say(self, text: str) -> None:
        self._console.say(UP, text)


def embedded_services(plan: Plan) -> Iterator[Service]:
    """Yield the embedded services that the plan asks for."""
    sockets = addresses.database_socket_dir(plan.data_dir)
    if plan.has_database:
        program = Program(
            name="postgres",
            prepare=lambda: services.prepare_postgres(plan.data_dir),
            account=services.postgres_account(),
            folder=plan.data_dir / "postgres",
            stop_signal=signal.SIGINT,  # a fast shutdown: end the sessions, then stop cleanly
            death_signal=signal.SIGINT,
            hushed=(b"the database system is starting up",),  # the answer to the question whether it is ready
        )
        yield Service(program=program, is_ready=lambda: probes.postgres_answers(sockets))
    if plan.has_redis:
        url = addresses.redis_url(plan.data_dir)
        program = Program(
            name="valkey",
            prepare=lambda: services.prepare_valkey(plan.data_dir),
            death_signal=signal.SIGTERM,
            hushed=(b"Memory overcommit must be enabled",),  # for a large Redis: ours keeps notifications only
        )
        yield Service(program=program, is_ready=lambda: probes.redis_answers(url))
    if plan.has_inbox:
        path = addresses.inbox_socket(plan.data_dir)
        yield Service(program=_manage(plan, "inbox", "inbox"), is_ready=lambda: probes.smtp_answers(path))


def web_program(plan: Plan, listener: int) -> Program:
    argv = (sys.executable, "-m", "daphne", "--fd", str(listener), "--no-server-name", "emailbatch.asgi:application")
    return Program(
        name="web",
        prepare=lambda: argv,
        folder=plan.project_dir,
        environment=_environment(plan),
        inherited_files=(listener,),
        grace_seconds=plan.stop_grace_seconds,
    )


def worker_program(plan: Plan, number: int) -> Program:
    return _manage(plan, f"worker.{number}", "rqworker", *WORKER_QUEUES, grace_seconds=plan.stop_grace_seconds)


def _manage(plan: Plan, name: str, *arguments: str, grace_seconds: float = 20) -> Program:
    argv = (sys.executable, str(plan.project_dir / "manage.py"), *arguments)
    return Program(
        name=name,
        prepare=lambda: argv,
        folder=plan.project_dir,
        environment=_environment(plan),
        grace_seconds=grace_seconds,
    )


def _environment(plan: Plan) -> dict[str, str]:
    # A PUBLIC_URL of the user's own is better: links in mails then lead to it.
    public_url = os.environ.get("PUBLIC_URL") or f"http://{HOST}:{plan.port}"
    return {"DATA_DIR": str(plan.data_dir), "PUBLIC_URL": public_url, "PYTHONUNBUFFERED": "1"}
