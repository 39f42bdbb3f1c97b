"""SIGTERM ends an idle worker, wherever in its program it arrives."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from pathlib import Path

import pytest
import rq

from batches.delivery import stop
from batches.jobs import queues
from batches.worker import Worker

PROJECT_DIR = Path(__file__).resolve().parents[3]

PROGRAM = """
import contextlib
import signal
import django
django.setup()
from batches.jobs import queues
from batches.worker import Worker
from rq.worker import WorkerStatus

class Finaliser:
    def __del__(self):
        signal.raise_signal(signal.SIGTERM)

class Stopped(Worker):
    is_stopped = False

    def arrive(self, place):
        if place == "PLACE" and not self.is_stopped:
            self.is_stopped = True
            signal.raise_signal(signal.SIGTERM)

    def clean_registries(self):
        self.arrive("cleaning registries")
        super().clean_registries()

    def _sweep_if_due(self):
        if "PLACE" == "finaliser" and not self.is_stopped:
            self.is_stopped = True
            Finaliser()
        with contextlib.suppress(Exception):  # as a handler of logging does
            self.arrive("what is caught")
        super()._sweep_if_due()

    def heartbeat(self, *args, **kwargs):
        if "PLACE" == "a sweep that finds no work-horse after a job" and not self.is_stopped:
            self.is_stopped = self._is_sweeping = True
            self.set_state(WorkerStatus.BUSY)
            signal.raise_signal(signal.SIGTERM)
            self._is_sweeping = False
        super().heartbeat(*args, **kwargs)

    def check_for_suspension(self, burst):
        super().check_for_suspension(burst)
        self.arrive("before the loop")

Stopped([queues.open_queue("default")], connection=queues.client()).work()
"""


PLACES = [
    "before the loop",
    "cleaning registries",
    "what is caught",
    "finaliser",
    "a sweep that finds no work-horse after a job",
]


@pytest.mark.parametrize("place", PLACES)
def test_worker_without_a_work_horse_ends(place: str) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM.replace("PLACE", place)],
        env={**os.environ, "PYTHONPATH": str(PROJECT_DIR), "DJANGO_SETTINGS_MODULE": "emailbatch.settings"},
        cwd=PROJECT_DIR,
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert ended.returncode == 0, ended.stderr
    assert "warm shut down requested" in ended.stderr
    assert queues.client().scard("rq:workers") == 0
    assert not queues.client().keys("rq:*maintenance*")


def test_work_horse_is_asked_to_drain_when_the_stop_came_before_it(monkeypatch: pytest.MonkeyPatch) -> None:
    worker = Worker([queues.open_queue("default")], connection=queues.client())
    program = "import time; print('ready', flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as waiting:
        assert waiting.stdout is not None and waiting.stdout.readline() == b"ready\n"

        def fork(worker: Worker, job: object, queue: object) -> None:
            worker._horse_pid = waiting.pid

        monkeypatch.setattr(rq.Worker, "fork_work_horse", fork)
        worker._next_sweep_at = math.inf
        worker._is_stop_due = True  # as a handler leaves it whose exception was caught
        worker.fork_work_horse(object(), object())  # type: ignore[arg-type]
        try:
            assert waiting.wait(timeout=20) == -stop.DRAIN_SIGNAL
        finally:
            waiting.kill()
    worker.register_birth()  # type: ignore[no-untyped-call]
    worker.heartbeat()  # raises nothing while the work-horse drains
    worker._horse_pid = 0
    worker.heartbeat()
    assert worker._stop_requested
