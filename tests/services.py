"""A pytest plugin that starts the real PostgreSQL and Valkey of one test run, before Django reads its settings."""

from __future__ import annotations

import atexit
import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import pytest

from emailbatch.localstack import addresses, services
from emailbatch.localstack.permissions import Account
from emailbatch.localstack.processes import die_with_parent


class Services:
    """The embedded PostgreSQL and Valkey of this test run, in a folder that is deleted at the end."""

    def __init__(self) -> None:
        self.data_dir = Path(tempfile.mkdtemp(prefix="emailbatch-test-"))
        atexit.register(shutil.rmtree, self.data_dir, ignore_errors=True)  # also if pytest fails before the first test
        self.processes: list[subprocess.Popen[bytes]] = []

    def start(self, *, fsync: bool = True) -> None:
        """Start both. ``wait`` returns when both answer.

        Without ``fsync``, a commit survives the end of the server and not that of the machine.
        """
        postgres = [*services.prepare_postgres(self.data_dir, sync=False), "-c", f"fsync={'on' if fsync else 'off'}"]
        self.log = (self.data_dir / "services.log").open("wb")
        self._launch(postgres, account=services.postgres_account(), death_signal=signal.SIGINT)
        self._launch(services.prepare_valkey(self.data_dir), account={}, death_signal=signal.SIGTERM)

    def _launch(self, argv: list[str], *, account: Account, death_signal: int) -> None:
        process = subprocess.Popen(
            argv,
            stdout=self.log,
            stderr=self.log,
            cwd="/",
            start_new_session=True,
            preexec_fn=die_with_parent(death_signal),
            **account,
        )
        self.processes.append(process)

    def wait(self) -> None:
        """Wait until both answer, for 30 seconds at most."""
        import psycopg
        import redis

        deadline = time.monotonic() + 30
        while True:
            try:
                with psycopg.connect(
                    host=str(addresses.database_socket_dir(self.data_dir)), user="postgres", dbname="postgres"
                ):
                    redis.Redis.from_url(addresses.redis_url(self.data_dir)).ping()
                    return
            except (psycopg.OperationalError, redis.exceptions.ConnectionError):
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.02)

    def stop(self) -> None:
        """Stop both, and delete the folder."""
        for process, stop_signal in zip(self.processes, (signal.SIGINT, signal.SIGTERM), strict=False):
            process.send_signal(stop_signal)  # SIGTERM would make PostgreSQL wait for every client
        for process in self.processes:
            process.wait(timeout=20)
        self.log.close()
        shutil.rmtree(self.data_dir, ignore_errors=True)


running = Services()
os.environ["DATA_DIR"] = str(running.data_dir)
os.environ["SECRET_KEY"] = "only-for-the-test-run"
for name in list(os.environ):
    if name.startswith(("DATABASE_URL", "REDIS_URL", "EMAIL_URL", "EMAIL_OAUTH_")) or name == "SECRET_KEY_FILE":
        del os.environ[name]


def pytest_configure(config: pytest.Config) -> None:
    running.start(fsync=False)
    running.wait()


def pytest_unconfigure(config: pytest.Config) -> None:
    running.stop()
