"""``manage.py sweep``: repair everything from Postgres once, as the workers do every few seconds."""

from __future__ import annotations

import time
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from batches.jobs.sweep import sweep

WAIT_SECONDS = 10.0
"""A worker's sweep takes milliseconds: one that holds the lock for longer hangs."""


class Command(BaseCommand):
    help = "Start due jobs, take over from dead workers, ring free lanes, finish jobs that are done."

    def handle(self, *args: Any, **options: Any) -> None:
        deadline = time.monotonic() + WAIT_SECONDS
        while (report := sweep()).was_busy:
            if time.monotonic() > deadline:
                raise CommandError(f"{report} Try again, or look for a worker that hangs.")
            time.sleep(0.05)
        self.stdout.write(str(report))
