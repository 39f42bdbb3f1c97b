"""``manage.py purge [--older-than DAYS]``: remove the personal data of what is older than some days."""

from __future__ import annotations

import sys
from typing import Any

from django.conf import settings
from django.core.management.base import CommandError, CommandParser
from django.utils import timezone

from batches import audit
from batches.management.command import ActingCommand
from batches.models import AuditAction
from batches.people import purge

EVERYTHING = "--older-than 0 removes the addresses of every batch that has ended, and every draft."


class Command(ActingCommand):
    help = "Remove addresses, merge fields and replies of old batches. The counts stay. May be stopped and run again."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--older-than",
            metavar="DAYS",
            type=int,
            help="Left out: RETENTION_DAYS. 0 is everything that has ended, and every draft.",
        )

        parser.add_argument("--yes", action="store_true", help="With --older-than 0: do not ask.")

    def handle(self, *args: Any, **options: Any) -> None:
        days = options["older_than"]
        if days is not None and days < 0:
            raise CommandError("The number of days can't be negative. Use 0 for everything that has ended.")
        if days == 0 and not options["yes"]:
            self._ask()
        if days is None and settings.RETENTION_DAYS > 0:
            days = settings.RETENTION_DAYS
        if days is None and settings.AUDIT_RETENTION_DAYS <= 0:
            raise CommandError("RETENTION_DAYS is not set. Set it, or say --older-than DAYS.")
        if days is not None:
            self.stdout.write(str(purge(days)))
        self._purge_audit()

    def _ask(self) -> None:
        """Ask before everything goes.

        Raises:
            CommandError: The answer is not yes, or there is nobody who could answer.
        """
        if not sys.stdin.isatty():
            raise CommandError(f"{EVERYTHING} Add --yes if that is what you want.")
        self.stdout.write(f"{EVERYTHING} That can't be undone. Write yes to go on:")
        self.stdout.flush()
        if sys.stdin.readline().strip().lower() != "yes":
            raise CommandError("Nothing was removed.")

    def _purge_audit(self) -> None:
        """Delete what is older than AUDIT_RETENTION_DAYS, whatever --older-than is: the audit has its own time."""
        try:
            deleted = audit.purge_old(timezone.now())
        except audit.RetentionRefused as exc:
            raise CommandError(str(exc)) from exc
        if deleted:
            audit.record(AuditAction.PURGE, days=settings.AUDIT_RETENTION_DAYS, removed={"audit entries": deleted})
            self.stdout.write(f"Entries of the audit removed: {deleted:,}.")
