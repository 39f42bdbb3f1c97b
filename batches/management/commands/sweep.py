"""``manage.py sweep``: run the sweep once, as the workers do every few seconds."""

from __future__ import annotations

import time
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from batches.jobs.sweep import sweep

WAIT_SECONDS = 10.0
"""A worker's sweep takes milliseconds. A worker that holds the lock for this long hangs."""


class Command(BaseCommand):
    help = "Start due jobs, reap the lanes of dead workers, enqueue free lanes, and finish jobs that are over."

    def handle(self, *args: Any, **options: Any) -> None:
        deadline = time.monotonic() + WAIT_SECONDS
        while (report := sweep()).was_busy:
            if time.monotonic() > deadline:
                raise CommandError(f"{report} Try again, or look for a worker that hangs.")
            time.sleep(0.05)
        self.stdout.write(str(report))
