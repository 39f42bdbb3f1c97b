"""The stack that is measured: load a batch, send it through some workers, and read how long it took."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tests.bench import messages
from tests.bench.machine import measure, peak_memory_bytes
from tests.chaos.stack import ROOT, Golden, Stack, insert_template, wait_until
from tests.chaos.workers import Worker

STEP_SECONDS = 600
LINE_LENGTH_OF_ERRORS = 4000
LOOK_SECONDS = 0.25
"""The time between two polls. Each poll takes processor time from the measurement."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Sent:
    """One batch from the start of its job to the last recorded outcome, by the database's clock."""

    per_second: float
    worker_us: float
    """Processor time of the worker and its work-horses, in microseconds per message."""
    postgres_us: float
    """Processor time of PostgreSQL, in microseconds per message."""
    peak_memory_bytes: int
    """The largest peak memory of a work-horse."""
    foreign_cores: float
    """The processor cores that other programs used meanwhile."""
    mean_group: float
    """The mean number of emails that one transaction recorded; 0 if unknown."""


class BenchStack:
    """One stack for a whole run. Each measurement starts its own workers, so that no state is carried over."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        insert_template(stack.services, messages.TEMPLATE)
        insert_template(stack.services, messages.NOT_PLAIN)
        insert_template(stack.services, messages.NEWS)
        with stack.services.connect() as connection:
            connection.execute(
                "UPDATE batches_emailtemplate SET topic_id = (SELECT id FROM batches_topic WHERE key = 'news')"
                " WHERE key = %s",
                [messages.NEWS["key"]],
            )

    def step(self, name: str, *arguments: object, environment: Mapping[str, str] | None = None) -> dict[str, Any]:
        """Run one step of ``tests.bench.steps`` in the environment of this stack, and return its result."""
        argv = [sys.executable, "-m", "tests.bench.steps", name, *map(str, arguments)]
        done = subprocess.run(
            argv,
            cwd=ROOT,
            env=self.stack.environment | dict(environment or {}),
            capture_output=True,
            text=True,
            timeout=STEP_SECONDS,
        )
        if done.returncode:
            raise RuntimeError(f"The step {name} failed.\n{done.stderr[-LINE_LENGTH_OF_ERRORS:]}")
        result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return result

    @contextlib.contextmanager
    def workers(self, count: int, *, environment: Mapping[str, str]) -> Iterator[list[Worker]]:
        """Start workers and wait until they are idle. They are stopped at the end of the context."""
        started = [self.stack.start_worker(environment=environment) for _ in range(count)]
        try:
            yield started
        finally:
            self.stack.stop_workers()
            self.stack.workers.clear()

    def load(self, count: int) -> int:
        """Import a file with ``count`` recipients. Return the id of the draft."""
        path = messages.write_file(self.stack.folder / "bench.csv", count)
        batch_id = int(self.step("load", path)["batch"])
        with self.stack.services.connect() as connection:
            connection.execute("VACUUM ANALYZE batches_email")
            connection.execute("CHECKPOINT")
        return batch_id

    def send(
        self,
        count: int,
        *,
        workers: int,
        environment: Mapping[str, str],
        seconds: float = 120,
        key: str = messages.TEMPLATE_KEY,
    ) -> Sent:
        """Load a batch, then measure its sending alone."""
        batch_id = self.load(count)
        with self.workers(workers, environment=environment) as running:
            trees = {"worker": [each.pid for each in running], "postgres": [self.stack.services.postmaster_pid()]}
            with measure(**trees) as measured:
                self.step("start", batch_id, key, environment=environment)
                peak = self.await_end(batch_id, running, seconds=seconds)
        assert measured.cpu is not None
        took, cycles = self.read_end(batch_id, count)
        return Sent(
            per_second=count / took,
            worker_us=measured.cpu["worker"] / count * 1e6,
            postgres_us=measured.cpu["postgres"] / count * 1e6,
            peak_memory_bytes=peak,
            foreign_cores=measured.foreign_cores,
            mean_group=count / cycles if cycles else 0.0,
        )

    def await_end(self, batch_id: int, running: list[Worker], *, seconds: float) -> int:
        """Wait until the job and its work-horses have ended. Return the largest peak memory of a work-horse."""
        peak = 0

        def is_over() -> bool:
            nonlocal peak
            work_horses = [each for worker in running for each in worker.work_horses()]
            peak = max([peak, *(peak_memory_bytes(each.pid) for each in work_horses)])
            return not work_horses and self.has_ended(batch_id)

        wait_until(is_over, seconds=seconds, what="the batch to be sent", every=LOOK_SECONDS)
        return peak

    def has_ended(self, batch_id: int) -> bool:
        with self.stack.services.connect() as connection:
            row = connection.execute(
                "SELECT completed_at IS NOT NULL FROM batches_emailjob WHERE batch_id = %s", [batch_id]
            ).fetchone()
        return bool(row and row[0])

    def read_end(self, batch_id: int, count: int) -> tuple[float, int]:
        """Return the seconds from the job's start to the last recorded outcome, and how many transactions recorded.

        Raises:
            AssertionError: not every email was sent, so the figures would have no meaning.
        """
        with self.stack.services.connect() as connection:
            row = connection.execute(
                "SELECT extract(epoch FROM max(e.completed_at) - min(j.created_at)), count(*) FILTER (WHERE e.status ="
                " 'sent'), count(DISTINCT e.xmin::text) FROM batches_email e JOIN batches_emailjob j USING (batch_id)"
                " WHERE batch_id = %s",
                [batch_id],
            ).fetchone()
        assert row is not None and row[1] == count, f"{count} loaded, {row and row[1]} sent"
        return float(row[0]), int(row[2])


@contextlib.contextmanager
def open_bench_stack() -> Iterator[BenchStack]:
    """Start a stack for the time of the context."""
    with Golden() as golden, Stack(golden) as stack:
        yield BenchStack(stack)


def run_peer(peer: str, *, port: int, count: int, connections: int = 10) -> dict[str, float]:
    """Run one peer program. Return its messages per second and processor microseconds per message."""
    argv = [sys.executable, "-m", "tests.bench.peers", peer, "--port", str(port), "--count", str(count)]
    done = subprocess.run(
        [*argv, "--connections", str(connections)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=STEP_SECONDS,
    )
    result: dict[str, float] = json.loads(done.stdout)
    return result
