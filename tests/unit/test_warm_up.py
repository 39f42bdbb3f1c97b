"""A web process has loaded its pages before the first request, and the garbage collector does not look at them."""

from __future__ import annotations

import subprocess
import sys

from tests.project_files import PROJECT_DIR

LOOK = """
import gc
import emailbatch.asgi
from django.template import engines
from django.urls import get_resolver
print(gc.get_freeze_count(), len(gc.get_objects()))
"""


def test_what_a_web_process_keeps_is_frozen_when_it_starts() -> None:
    done = subprocess.run([sys.executable, "-c", LOOK], cwd=PROJECT_DIR, capture_output=True, text=True, check=True)
    frozen, others = map(int, done.stdout.split())
    assert frozen > 200_000
    assert others < frozen / 10
