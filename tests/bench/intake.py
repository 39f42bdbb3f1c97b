"""Measure intake: rows a second beside psql's \\copy of the same rows, memory at two sizes, and each choice for rows
that share an address.

The two loaders take turns on one database, and the medians of one run are compared.
"""

from __future__ import annotations

import json
import os
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from emailbatch.localstack import addresses
from emailbatch.localstack.services import postgres_folder
from tests import services

ROWS = 1_000_000
ROWS_SMALL = 100_000
ROUNDS = 3
FIRST_NAMES = ("Anna", "Jörg", "Łukasz", "Mary-Jane", "Øyvind", "François", "Chloé", "Bob", "Иван", "Zoë")
CITIES = ("London", "Köln", "Paris", "New York", "São Paulo", "Oslo", "Rome", "Kraków")


def measure(rows: int = ROWS, rounds: int = ROUNDS) -> dict[str, Any]:
    """Start a database, load the same rows in both ways in turn, print the result and return it."""
    running = services.Services()
    running.start()
    try:
        running.wait()
        result = _Bench(running.data_dir).run(rows, rounds)
    finally:
        running.stop()
    print(json.dumps(result, indent=2))  # noqa: T201
    return result


def write_upload(path: Path, rows: int) -> None:
    """Write a file with three merge fields. Of a hundred rows, one is bad and one is a duplicate."""
    chance = random.Random(rows)
    with path.open("w", encoding="utf-8", newline="") as file:
        file.write("email,first_name,company,city\r\n")
        for number in range(rows):
            address = f"user.{number}@mail{number % 997}.example.com"
            if number % 100 == 37:
                address = f"user.{number}(at)example.com"
            elif number % 100 == 73:
                address = f"USER.{number - 50}@mail{(number - 50) % 997}.example.com"
            company = f'"Acme {number % 5000}, Ltd"'
            file.write(f"{address},{chance.choice(FIRST_NAMES)},{company},{chance.choice(CITIES)}\r\n")


class _Bench:
    """One database, and the programs that load it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._socket = str(addresses.database_socket_dir(folder))
        self._environment = os.environ | {"DATA_DIR": str(folder), "SECRET_KEY": "only-for-the-benchmark"}
        for name in ("DATABASE_URL", "REDIS_URL", "EMAIL_URL"):
            self._environment.pop(name, None)

    def run(self, rows: int, rounds: int) -> dict[str, Any]:
        self._psql("CREATE DATABASE emailbatch", database="postgres")
        self._python("manage.py", "migrate", "--verbosity", "0")
        large, small, ready = (self._folder / name for name in ("large.csv", "small.csv", "ready.txt"))
        write_upload(large, rows)
        write_upload(small, ROWS_SMALL)
        memory_small = self._import(small)["peak_megabytes"]
        imports: list[dict[str, Any]] = []
        others: dict[str, list[float]] = {"each": [], "together": []}
        copies: list[float] = []
        for _ in range(rounds):
            imports.append(self._import(large))
            self._psql(f"\\copy (SELECT batch_id, row, address, fields FROM batches_email ORDER BY row) TO '{ready}'")  # noqa: S608  a path of this bench
            copies.append(self._copy(ready))
            for shared, seconds in others.items():
                seconds.append(self._import(large, shared)["seconds"])
        import_seconds = statistics.median(run["seconds"] for run in imports)
        copy_seconds = statistics.median(copies)
        return {
            "rows": rows,
            "counts": {name: imports[0][name] for name in ("total", "rejected", "duplicate")},
            "import_rows_per_second": round(rows / import_seconds),
            "copy_rows_per_second": round(imports[0]["total"] / copy_seconds),
            "import_to_copy_ratio": round(copy_seconds / import_seconds, 3),
            "import_seconds": [round(run["seconds"], 2) for run in imports],
            "import_seconds_of_choices": {shared: round(statistics.median(runs), 2) for shared, runs in others.items()},
            "copy_seconds": [round(seconds, 2) for seconds in copies],
            "peak_megabytes": statistics.median(run["peak_megabytes"] for run in imports),
            "peak_megabytes_100k": memory_small,
        }

    def _import(self, path: Path, shared: str = "first") -> dict[str, Any]:
        """Import a file in a new process, into empty tables."""
        self._psql("TRUNCATE batches_batch CASCADE", "CHECKPOINT")
        result: dict[str, Any] = json.loads(self._python("-m", "tests.bench.intake_child", str(path), shared))
        return result

    def _copy(self, ready: Path) -> float:
        """Return the seconds that psql takes for the rows of the last import, into the same table, emptied again."""
        self._psql("DELETE FROM batches_rejectedrow", "TRUNCATE batches_email CASCADE", "CHECKPOINT")
        return _timed(lambda: self._psql(f"\\copy batches_email (batch_id, row, address, fields) FROM '{ready}'"))

    def _psql(self, *commands: str, database: str = "emailbatch") -> None:
        argv = [str(postgres_folder() / "bin" / "psql"), "-X", "-q", "-v", "ON_ERROR_STOP=1"]
        argv += ["-h", self._socket, "-U", "postgres", "-d", database]
        environment = os.environ | {"PGOPTIONS": "-c client_min_messages=warning"}
        subprocess.run(
            [*argv, *(part for command in commands for part in ("-c", command))], check=True, env=environment
        )

    def _python(self, *arguments: str) -> str:
        argv = [sys.executable, *arguments]
        return subprocess.run(argv, check=True, stdout=subprocess.PIPE, text=True, env=self._environment).stdout


def _timed(action: Callable[[], object]) -> float:
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


if __name__ == "__main__":
    measure()
