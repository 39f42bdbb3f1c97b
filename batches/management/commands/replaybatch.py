"""``manage.py replaybatch BATCH_ID``: send a part of an ended batch again, or to those who have not got it."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandError, CommandParser

from batches.jobs import creation, lifecycle
from batches.management import waiting
from batches.management.command import ActingCommand
from batches.models import Batch, JobKind
from batches.permissions import NotPermitted

WHICH = {
    JobKind.FAILED: "Send the failed emails again (default).",
    JobKind.UNKNOWN: "Send the unknown emails again. Some recipients may get it twice.",
    JobKind.UNSENT: "Send to those who have not got it: the failed and the cancelled. With --unknown, the unknown too.",
    JobKind.ALL: "Send all emails again, the sent ones too.",
}


class Command(ActingCommand):
    help = "Send emails of an ended batch again. Exit status 0: they are queued, or with --wait, all of them are sent."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("batch_id", metavar="BATCH_ID", type=int)
        for kind, meaning in WHICH.items():
            parser.add_argument(f"--{kind.value}", dest="kinds", action="append_const", const=kind, help=meaning)
        parser.add_argument(
            "--sender", metavar="S", help="Another sender's key or address. Left out: the sender of the last job."
        )
        waiting.add_approver(parser)
        waiting.add_arguments(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        batch = Batch.objects.filter(pk=options["batch_id"]).first()
        if batch is None:
            raise CommandError(f"There is no batch {options['batch_id']}. See the batches at /batches/.")
        try:
            which, include_unknown = choose_kind(options["kinds"] or [JobKind.FAILED])
            job = creation.replay_batch(
                batch,
                which=which,
                user=None,
                include_unknown=include_unknown,
                sender=options["sender"],
                approved_by=waiting.find_approver(options["approved_by"]),
            )
        except (lifecycle.JobRefused, NotPermitted) as exc:
            raise CommandError(str(exc)) from exc
        waiting.report(job, wait=options["wait"], as_json=options["json"], stdout=self.stdout, stderr=self.stderr)


def choose_kind(named: list[JobKind]) -> tuple[JobKind, bool]:
    """Return the kind of the replay, and whether the unknown are included. Only --unsent can have --unknown beside it.

    Raises:
        CommandError: The options contradict each other.
    """
    kinds = set(named)
    if kinds == {JobKind.UNSENT, JobKind.UNKNOWN}:
        return JobKind.UNSENT, True
    if len(kinds) > 1:
        raise CommandError("Choose one of --failed, --unknown, --unsent and --all; or --unsent with --unknown.")
    return named[0], False
