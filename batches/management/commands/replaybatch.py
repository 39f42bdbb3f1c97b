"""``manage.py replaybatch BATCH_ID``: send the failed, the unknown or all emails of an ended batch again."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from batches.jobs import creation, lifecycle
from batches.management import waiting
from batches.models import Batch, JobKind


class Command(BaseCommand):
    help = "Send a part of an ended batch again. Exit status 0: it is queued, or with --wait, sent to all of that part."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("batch_id", metavar="BATCH_ID", type=int)
        which = parser.add_mutually_exclusive_group()
        which.add_argument(
            "--failed", dest="which", action="store_const", const=JobKind.FAILED, help="Those that failed (default)."
        )
        which.add_argument(
            "--unknown", dest="which", action="store_const", const=JobKind.UNKNOWN, help="Those nobody knows of."
        )
        which.add_argument(
            "--all", dest="which", action="store_const", const=JobKind.ALL, help="All, those that got it too."
        )
        waiting.add_arguments(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        batch = Batch.objects.filter(pk=options["batch_id"]).first()
        if batch is None:
            raise CommandError(f"There is no batch {options['batch_id']}. See the batches at /batches/.")
        try:
            job = creation.replay_batch(batch, which=options["which"] or JobKind.FAILED, user=None)
        except lifecycle.JobRefused as exc:
            raise CommandError(str(exc)) from exc
        waiting.report(job, wait=options["wait"], as_json=options["json"], stdout=self.stdout, stderr=self.stderr)
