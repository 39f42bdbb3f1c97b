"""The local stack as a user meets it: real processes, which are started, killed and stopped in every usual way."""

from __future__ import annotations

import os
import pwd
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg
import pytest
import redis

from emailbatch.localstack import addresses
from emailbatch.localstack.permissions import postgres_uid
from tests.acceptance.stack import (
    RunningStack,
    launch_stack,
    processes_of,
    running_stack,
    stack_environment,
    wait_until,
)
from tests.chaos.stack import Golden

SECOND_START_SECONDS = 10
"""Of processor time, in all programs together. A busy machine lets a start wait for it, and does not add to it."""
ORDINARY_USER = "daemon"
LONG_NAME = "a-folder-with-a-rather-long-name-" * 3


@pytest.fixture
def folder() -> Iterator[Path]:
    """A DATA_DIR outside pytest's own folders, because root opens the folders above it with o+x."""
    made = Path(tempfile.mkdtemp(prefix="emailbatch-up-"))
    yield made
    shutil.rmtree(made, ignore_errors=True)


@pytest.fixture
def migrated(folder: Path, golden: Golden) -> Path:
    """A DATA_DIR whose database is migrated already, for a test that a real first start would only slow down."""
    golden.copy_to(folder)
    return folder


def is_page_there(stack: RunningStack) -> bool:
    with urllib.request.urlopen(f"{stack.url}accounts/login/", timeout=10) as answer:  # noqa: S310
        return b"Sign in" in answer.read()


def processor_seconds(stack: RunningStack) -> float:
    """Return the processor time that a stack has used since it was started."""
    up = psutil.Process(stack.process.pid)
    return sum(sum(each.cpu_times()[:4]) for each in (up, *up.children(recursive=True)))


def assert_nothing_left(folder: Path) -> None:
    deadline = time.monotonic() + 10
    while (left := processes_of(folder)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert left == []


def test_second_start_is_quick_and_keeps_the_data_when_the_first_was_stopped_with_ctrl_c(folder: Path) -> None:
    first = launch_stack(folder, workers=2, environment={"DJANGO_SUPERUSER_PASSWORD": ""})
    first.wait_until_ready()
    assert is_page_there(first)
    assert sorted(first.pids()) == ["inbox", "postgres", "valkey", "web", "worker.1", "worker.2"]
    assert "sign in as admin with password " in first.log
    templates = first.manage(
        "shell",
        "-v",
        "0",
        "-c",
        ("from batches.models import EmailTemplate as T; print(*T.objects.values_list('key', 'is_default'))"),
    )
    assert templates.stdout.strip() == "('welcome_email', True)"
    assert first.stop(signal.SIGINT) == 0
    assert_nothing_left(folder)

    with running_stack(folder) as second:
        assert processor_seconds(second) < SECOND_START_SECONDS
        assert is_page_there(second)
        assert "password" not in second.log.partition("Ready:")[2].partition("\n")[0]
    assert_nothing_left(folder)


def test_workers_stop_before_the_services_when_asked_to_stop(migrated: Path) -> None:
    with running_stack(migrated, workers=1) as stack:
        stack.wait_for_workers(1)
        watched = {name: psutil.Process(pid) for name, pid in stack.pids().items()}
        stack.process.send_signal(signal.SIGTERM)
        ended: list[str] = []
        while len(ended) < len(watched):
            ended += [name for name, process in watched.items() if name not in ended and not process.is_running()]
            assert stack.process.poll() is None or len(ended) == len(watched)
        order = [ended.index(name) for name in ("worker.1", "web", "postgres")]
        assert order == sorted(order)
        assert stack.process.wait(timeout=30) == 0


def test_program_comes_back_when_it_is_killed(migrated: Path) -> None:
    with running_stack(migrated) as stack:
        stack.wait_for_workers(1)
        for name in ("worker.1", "web", "inbox", "valkey", "postgres"):
            kill_and_wait_for_the_next(stack, name)
            wait_until(lambda: is_page_there(stack), within_seconds=20, what="the page answered")
        wait_until(
            lambda: stack.manage("migrate", "--check", check=False).returncode == 0,
            within_seconds=30,
            what="the database answered",
        )


def kill_and_wait_for_the_next(stack: RunningStack, name: str) -> None:
    before = stack.pids()[name]
    os.kill(before, signal.SIGKILL)
    wait_until(lambda: stack.pids().get(name, before) != before, within_seconds=20, what=f"{name} was restarted")
    assert f"{name.ljust(8)} | It was ended by SIGKILL." in stack.log


def test_next_start_works_when_the_supervisor_was_killed(migrated: Path) -> None:
    first = launch_stack(migrated, workers=2)
    first.wait_until_ready()
    first.wait_for_workers(2)
    first.process.kill()
    first.process.wait(timeout=10)
    with running_stack(migrated) as second:
        assert is_page_there(second)
    assert_nothing_left(migrated)


def test_next_start_ends_remaining_processes_when_one_was_frozen_and_its_parent_killed(migrated: Path) -> None:
    first = launch_stack(migrated)
    first.wait_until_ready()
    first.wait_for_workers(1)
    valkey = psutil.Process(first.pids()["valkey"])
    valkey.suspend()  # a stopped process does not receive the signal of its parent's death
    first.process.kill()
    first.process.wait(timeout=10)
    with running_stack(migrated) as second:
        assert re.search(r"Ended the processes that an earlier run left: .*valkey", second.log)
        assert not valkey.is_running() or valkey.status() == psutil.STATUS_ZOMBIE
    assert_nothing_left(migrated)


def test_start_works_when_the_old_postgres_pid_belongs_to_another_process(migrated: Path) -> None:
    with running_stack(migrated, workers=0):
        lock = (migrated / "postgres" / "postmaster.pid").read_text()
    _, rest = lock.split("\n", 1)
    user = postgres_uid()
    sleeper = subprocess.Popen(["sleep", "120"], user=user)
    try:
        (migrated / "postgres" / "postmaster.pid").write_text(f"{sleeper.pid}\n{rest}")
        with running_stack(migrated, workers=0) as stack:
            assert is_page_there(stack)
    finally:
        sleeper.kill()
        sleeper.wait()


def test_start_works_when_the_data_folder_has_a_long_path(folder: Path) -> None:
    deep = folder / LONG_NAME / LONG_NAME
    with running_stack(deep) as stack:
        assert is_page_there(stack)
        assert stack.manage("migrate", "--check").returncode == 0
    shutil.rmtree(addresses.socket_dir(deep))
    shutil.rmtree(addresses.database_socket_dir(deep))
    assert_nothing_left(folder)


def test_start_is_refused_when_the_port_is_taken(folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        stack = launch_stack(folder, port=port)
        assert stack.process.wait(timeout=30) == 1
    assert f"Port {port} cannot be used" in stack.log
    assert f"make up PORT={port + 1}" in stack.log
    assert "Traceback" not in stack.log
    assert_nothing_left(folder)


def test_start_is_refused_when_another_stack_runs_on_the_same_folder(migrated: Path) -> None:
    with running_stack(migrated, workers=0) as first:
        second = launch_stack(migrated)
        assert second.process.wait(timeout=30) == 1
        assert f"already running on {migrated} (process {first.process.pid})" in second.log
        assert "Traceback" not in second.log
        assert is_page_there(first)


def test_only_unset_services_are_started_when_some_are_given(folder: Path, data_dir: Path) -> None:
    given = {
        "DATABASE_URL": addresses.database_url(data_dir).replace("/emailbatch?", "/postgres?"),
        "REDIS_URL": addresses.redis_url(data_dir),
    }
    with running_stack(folder, workers=0, environment=given) as stack:
        assert sorted(stack.pids()) == ["inbox", "web"]
        assert is_page_there(stack)


@pytest.mark.parametrize(
    ("command", "service"),
    [
        (["migrate"], "database"),
        (["shell", "-v", "0", "-c", "import batches.models as m; m.Batch.objects.count()"], "database"),
        (["rqworker", "high", "default"], "Redis"),
        (["changepassword", "admin"], "database"),
    ],
)
def test_command_says_what_to_do_when_no_service_is_running(folder: Path, command: list[str], service: str) -> None:
    idle = RunningStack(
        process=subprocess.Popen(["true"]),
        data_dir=folder,
        environment=stack_environment(folder),
        log_path=folder / "none",
    )
    idle.process.wait()
    result = idle.manage(*command, check=False)
    assert result.returncode == 1
    assert f"The {service} of the local stack is not running for {folder}. Start it with make up" in result.stderr
    assert "Traceback" not in result.stderr


def test_second_terminal_finds_the_services_when_the_stack_runs(migrated: Path) -> None:
    with running_stack(migrated, workers=0) as stack:
        assert stack.manage("migrate", "--check").returncode == 0
        worker = stack.manage("rqworker", "high", "default", "--burst")
        assert worker.returncode == 0
        with redis.Redis.from_url(addresses.redis_url(migrated)) as client:
            assert client.config_get("appendonly") == {"appendonly": "yes"}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_start_works_twice_when_an_ordinary_user_starts_it(folder: Path) -> None:
    # The Python of the tests may be below /root, which an ordinary user cannot enter. So this user keeps one right: to
    # read every file and pass through every folder. To PostgreSQL this is an ordinary user.
    user = pwd.getpwnam(ORDINARY_USER)
    wrapper = ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]
    wrapper += ["--inh-caps=-all,+dac_read_search", "--ambient-caps=-all,+dac_read_search"]
    os.chown(folder, user.pw_uid, user.pw_gid)
    for _ in range(2):
        stack = launch_stack(folder, wrapper=wrapper, environment={"HOME": str(folder)})
        try:
            stack.wait_until_ready()
            assert is_page_there(stack)
            owners = {psutil.Process(pid).uids().real for pid in stack.pids().values()}
            assert owners == {user.pw_uid}
        finally:
            assert stack.stop(signal.SIGTERM) == 0
        assert_nothing_left(folder)


def run_as(user: str, *argv: str) -> subprocess.CompletedProcess[str]:
    """Run a program as another user of this machine, without root's groups and capabilities."""
    wrapper = ["setpriv", f"--reuid={user}", "--clear-groups", "--inh-caps=-all", "--bounding-set=-all"]
    return subprocess.run([*wrapper, *argv], capture_output=True, text=True, timeout=60)


def mark_old(folder: Path) -> None:
    """Make a data folder as version 0.2 left it: all of it belongs to nobody, and everybody on the socket is let in."""
    nobody = pwd.getpwnam("nobody").pw_uid
    cluster = folder / "postgres"
    (cluster / "pg_hba.conf").write_text("local all all trust\n")
    (cluster / "pg_ident.conf").write_text("")
    for path in (cluster, *cluster.rglob("*"), folder / "run", *(folder / "run").rglob("*")):
        os.chown(path, nobody, nobody, follow_symlinks=False)
    shutil.rmtree(folder / "pg")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
@pytest.mark.parametrize("is_old", [False, True])
def test_no_other_user_reaches_the_database_or_the_sockets_when_root_starts_it(folder: Path, is_old: bool) -> None:
    folder.chmod(0o755)
    if is_old:
        with running_stack(folder, workers=0):
            pass
        mark_old(folder)
    with running_stack(folder, workers=0) as stack:
        assert is_page_there(stack)
        assert psutil.Process(stack.pids()["postgres"]).uids().real == postgres_uid()
        assert stack.query("SELECT count(*) FROM auth_user") == [(1,)]
        python = "/usr/bin/python3"
        for user in ("nobody", "daemon"):
            for path in ("pg/.s.PGSQL.5432", "run/redis.sock", "run/smtp.sock"):
                code = f"import socket; socket.socket(socket.AF_UNIX).connect({str(folder / path)!r})"
                assert "PermissionError" in run_as(user, python, "-c", code).stderr, (user, path)
            for path in ("pg", "run", "postgres", "postgres/PG_VERSION", "valkey", "secret_key", "inbox.sqlite3"):
                target = folder / path
                reader = ["ls", f"{target}/."] if target.is_dir() else ["cat", str(target)]
                assert "Permission denied" in run_as(user, *reader).stderr, (user, path)
                assert run_as(user, "mv", str(folder / path), str(folder / "moved")).returncode != 0, (user, path)
        uid = str(postgres_uid())
        assert run_as(uid, "mv", str(folder / "run" / "redis.sock"), str(folder / "pg" / "redis.sock")).returncode != 0
        kept = (folder / "postgres" / "pg_hba.conf").read_text()
        assert kept == "local all all peer map=emailbatch\n"
    assert_nothing_left(folder)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_database_refuses_its_own_user_because_it_did_not_start_the_stack(migrated: Path) -> None:
    migrated.chmod(0o755)
    with running_stack(migrated, workers=0):
        uid, host = postgres_uid(), str(addresses.database_socket_dir(migrated))
        child = os.fork()
        if child == 0:
            os.setgroups([])
            os.setgid(uid or 0)
            os.setuid(uid or 0)
            try:
                psycopg.connect(host=host, user="postgres", dbname="postgres").close()
            except psycopg.OperationalError:
                os._exit(7)
            os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
