"""Each command of our services in compose.yaml, run exactly as written there, with the services of this test run."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis

from emailbatch.localstack import addresses
from emailbatch.localstack.probes import http_answers
from emailbatch.localstack.processes import die_with_parent
from tests.compose_file import PROJECT_DIR, REQUIRED, read_compose

UNSUBSCRIBE_KEY = "q3Vt-8ZcLw1nYe5uRk7bHs2dXj9gFm4pTa6oNiPvKyQxBzUlCrEhGdMfSj0W"


@pytest.fixture
def variables() -> dict[str, str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    return {**REQUIRED, "BIND": "127.0.0.1", "PORT": str(port)}


@pytest.fixture
def environment(variables: dict[str, str], data_dir: Path) -> dict[str, str]:
    """The environment of the containers, except the addresses of the services, which are those of this test run."""
    declared = read_compose(variables)["services"]["web"]["environment"]
    services = {
        "DATABASE_URL": addresses.database_url(data_dir).replace("/emailbatch?", "/postgres?"),
        "REDIS_URL": addresses.redis_url(data_dir),
    }
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    given = {name: str(value) for name, value in declared.items()}
    given["UNSUBSCRIBE_KEYS"] = UNSUBSCRIBE_KEY  # as the file .env gives it, which our containers read
    return {"PATH": path, "PYTHONUNBUFFERED": "1", **given, **services}


@pytest.fixture
def running(
    request: pytest.FixtureRequest,
    variables: dict[str, str],
    environment: dict[str, str],
    migrated: str,
    tmp_path: Path,
) -> Iterator[subprocess.Popen[bytes]]:
    """The process of the service that the parameter names."""
    with (tmp_path / "service.log").open("wb") as log:
        process = subprocess.Popen(
            read_compose(variables)["services"][request.param]["command"],
            env=environment,
            cwd=PROJECT_DIR,
            stdout=log,
            stderr=log,
            preexec_fn=die_with_parent(signal.SIGKILL),
        )
    yield process
    process.kill()
    process.wait(timeout=20)


@pytest.fixture
def migrated(variables: dict[str, str], environment: dict[str, str]) -> str:
    """The output of the migrate service, after it has succeeded."""
    command = read_compose(variables)["services"]["migrate"]["command"]
    result = subprocess.run(command, env=environment, cwd=PROJECT_DIR, capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stderr
    return result.stdout + result.stderr


def wait_until_true(condition: Callable[[], object], *, seconds: float = 30) -> bool:
    deadline = time.monotonic() + seconds
    while not (holds := condition()) and time.monotonic() < deadline:
        time.sleep(0.05)
    return bool(holds)


def test_migrate_finds_no_issue_when_run_as_in_its_container(migrated: str) -> None:
    assert "no issues" in migrated


@pytest.mark.parametrize("running", ["web"], indirect=True)
def test_web_answers_and_stops_when_run_as_in_its_container(
    running: subprocess.Popen[bytes], variables: dict[str, str], environment: dict[str, str]
) -> None:
    assert wait_until_true(lambda: http_answers(host="127.0.0.1", port=int(variables["PORT"])))
    probe = subprocess.run(
        [sys.executable, "docker/healthcheck.py"], env=environment, cwd=PROJECT_DIR, capture_output=True, text=True
    )
    assert probe.returncode == 0, probe.stderr
    running.terminate()
    assert running.wait(timeout=30) in (0, -signal.SIGTERM)


@pytest.mark.parametrize("running", ["worker"], indirect=True)
def test_worker_registers_and_stops_when_run_as_in_its_container(
    running: subprocess.Popen[bytes], environment: dict[str, str]
) -> None:
    with redis.Redis.from_url(environment["REDIS_URL"]) as client:
        assert wait_until_true(lambda: running.pid in read_worker_pids(client))
    running.terminate()
    assert running.wait(timeout=30) == 0


def read_worker_pids(client: redis.Redis) -> list[int]:
    """Return the PIDs of the registered workers. Other tests may have left workers in this Redis."""
    keys: set[bytes] = client.smembers("rq:workers")  # type: ignore[assignment]
    return [int(pid) for key in keys if (pid := client.hget(key, "pid"))]
