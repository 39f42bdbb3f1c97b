"""``manage.py purge [--older-than DAYS]``: remove the personal data of what is older than some days."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.management.base import CommandError, CommandParser

from batches.management.command import ActingCommand
from batches.people import purge


class Command(ActingCommand):
    help = "Remove addresses, merge fields and replies of old batches. The counts stay. May be stopped and run again."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--older-than", metavar="DAYS", type=int, help="Left out: RETENTION_DAYS. 0 is everything that has ended."
        )

    def handle(self, *args: Any, **options: Any) -> None:
        days = options["older_than"]
        if days is None:
            days = settings.RETENTION_DAYS
            if days <= 0:
                raise CommandError("RETENTION_DAYS is not set. Set it, or say --older-than DAYS.")
        if days < 0:
            raise CommandError("The number of days can't be negative. Use 0 for everything that has ended.")
        self.stdout.write(str(purge(days)))
