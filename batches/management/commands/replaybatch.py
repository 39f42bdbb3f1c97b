"""``manage.py replaybatch BATCH_ID``: send the failed, the unknown or all emails of an ended batch again."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from batches.jobs import creation, lifecycle
from batches.management import waiting
from batches.models import Batch, JobKind

WHICH = {
    JobKind.FAILED: "Send the failed emails again (default).",
    JobKind.UNKNOWN: "Send the unknown emails again. Some recipients may get it twice.",
    JobKind.ALL: "Send all emails again, the sent ones too.",
}


class Command(BaseCommand):
    help = "Send emails of an ended batch again. Exit status 0: they are queued, or with --wait, all of them are sent."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("batch_id", metavar="BATCH_ID", type=int)
        which = parser.add_mutually_exclusive_group()
        for kind, meaning in WHICH.items():
            which.add_argument(f"--{kind.value}", dest="which", action="store_const", const=kind, help=meaning)
        parser.add_argument(
            "--sender", metavar="S", help="Another sender's key or address. Left out: the sender of the last job."
        )
        waiting.add_arguments(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        batch = Batch.objects.filter(pk=options["batch_id"]).first()
        if batch is None:
            raise CommandError(f"There is no batch {options['batch_id']}. See the batches at /batches/.")
        try:
            job = creation.replay_batch(
                batch, which=options["which"] or JobKind.FAILED, user=None, sender=options["sender"]
            )
        except lifecycle.JobRefused as exc:
            raise CommandError(str(exc)) from exc
        waiting.report(job, wait=options["wait"], as_json=options["json"], stdout=self.stdout, stderr=self.stderr)
