"""Runs a daphne for one test or one module, with the database and the Redis of the tests."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from http.client import HTTPConnection
from pathlib import Path

import psutil
from django.conf import settings
from django.contrib.auth.models import User
from django.db import connection

from batches.models import ApiToken
from emailbatch.localstack import addresses
from tests import services

PROJECT_DIR = Path(__file__).resolve().parent.parent.parent
READY_SECONDS = 30
FAIL_BEFORE_TRUNCATE = "-c deadlock_timeout=50ms"
"""A page's last reading may meet the TRUNCATE at the end of a test. Then the reading fails and not the TRUNCATE, which
looks for a deadlock after a second (PostgreSQL's default)."""


@dataclass(frozen=True, kw_only=True)
class WebServer:
    """A running daphne and a token for it."""

    process: psutil.Process
    port: int
    bearer: str = ""

    def open(self) -> HTTPConnection:
        return HTTPConnection("127.0.0.1", self.port, timeout=60)

    def get(self, path: str) -> tuple[int, bytes]:
        with closing(self.open()) as client:
            client.request("GET", path, headers={"Authorization": self.bearer})
            response = client.getresponse()
            return response.status, response.read()


@contextmanager
def run_daphne(user: User, folder: Path, **environment: str) -> Iterator[WebServer]:
    """Run daphne for one test, with a bearer token of this user. The test needs ``transaction=True``."""
    with start_daphne(folder, **environment) as started:
        yield replace(started, bearer=make_bearer(user))


@contextmanager
def start_daphne(folder: Path, **environment: str) -> Iterator[WebServer]:
    """Run daphne, without a token. A module may share it: then each of its tests makes the token of its own user."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    test_database = connection.settings_dict["NAME"]
    database = addresses.database_url(services.running.data_dir).replace("/emailbatch?", f"/{test_database}?")
    own = {"DATABASE_URL": database, "REDIS_URL": settings.REDIS_URL, "DATA_DIR": str(folder)}
    own["PGOPTIONS"] = FAIL_BEFORE_TRUNCATE
    argv = [sys.executable, "-m", "daphne", "-b", "127.0.0.1", "-p", str(port), "emailbatch.asgi:application"]
    log_path = folder / "daphne.log"
    with log_path.open("wb") as log:
        process = subprocess.Popen(argv, cwd=PROJECT_DIR, env=os.environ | own | environment, stdout=log, stderr=log)
    server = WebServer(process=psutil.Process(process.pid), port=port)
    try:
        deadline = time.monotonic() + READY_SECONDS
        while not _answers(server):
            assert process.poll() is None and time.monotonic() < deadline, log_path.read_text()
            time.sleep(0.05)
        yield server
    finally:
        process.terminate()
        process.wait(timeout=20)


def make_bearer(user: User) -> str:
    return f"Bearer {ApiToken.objects.issue(user)}"


def _answers(server: WebServer) -> bool:
    try:
        return server.get("/api/health")[0] == 200
    except OSError:
        return False
