"""A pytest plugin, loaded before Django's settings: the real PostgreSQL and Valkey of one test run."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

import pytest

from emailbatch.localstack import addresses, services


class Services:
    """An embedded PostgreSQL and Valkey of this test run's own, in a folder that goes when it ends."""

    def __init__(self) -> None:
        self.data_dir = Path(tempfile.mkdtemp(prefix="emailbatch-test-"))
        self.data_dir.chmod(0o755)
        self.processes: list[subprocess.Popen[bytes]] = []

    def start(self) -> None:
        postgres = services.prepare_postgres(self.data_dir)
        self.log = (self.data_dir / "services.log").open("wb")
        for argv, user in ((postgres, services.postgres_uid()), (services.prepare_valkey(self.data_dir), None)):
            self.processes.append(
                subprocess.Popen(argv, stdout=self.log, stderr=self.log, user=user, cwd=self.data_dir, process_group=0)
            )

    def wait(self) -> None:
        import psycopg
        import redis

        deadline = time.monotonic() + 30
        while True:
            try:
                with psycopg.connect(host=str(addresses.socket_dir(self.data_dir)), user="postgres", dbname="postgres"):
                    redis.Redis.from_url(addresses.redis_url(self.data_dir)).ping()
                    return
            except (psycopg.OperationalError, redis.exceptions.ConnectionError):
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.02)

    def stop(self) -> None:
        for process in self.processes:
            process.terminate()
        for process in self.processes:
            process.wait(timeout=20)
        self.log.close()
        shutil.rmtree(self.data_dir, ignore_errors=True)


running = Services()
os.environ["DATA_DIR"] = str(running.data_dir)
os.environ["SECRET_KEY"] = "only-for-the-test-run"
for name in ("DATABASE_URL", "REDIS_URL", "EMAIL_URL"):
    os.environ.pop(name, None)


def pytest_configure(config: pytest.Config) -> None:
    running.start()
    running.wait()


def pytest_unconfigure(config: pytest.Config) -> None:
    running.stop()
