"""SIGTERM ends an idle worker, wherever in its program it arrives."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from batches.jobs import queues

PROJECT_DIR = Path(__file__).resolve().parents[3]

PROGRAM = """
import contextlib
import signal
import django
django.setup()
from batches.jobs import queues
from batches.worker import Worker

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

    def check_for_suspension(self, burst):
        super().check_for_suspension(burst)
        self.arrive("before the loop")

Stopped([queues.open_queue("default")], connection=queues.client()).work()
"""


@pytest.mark.parametrize("place", ["before the loop", "cleaning registries", "what is caught", "finaliser"])
def test_idle_worker_ends(place: str) -> None:
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
