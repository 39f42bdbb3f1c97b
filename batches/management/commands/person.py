"""``manage.py person export|erase ADDRESS``: give out, or remove, everything about one person."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.core.serializers.json import DjangoJSONEncoder
from django.db import transaction

from batches import audit
from batches.management.command import ActingCommand
from batches.models import AuditAction
from batches.people import (
    ErasureRefused,
    NotAnAddress,
    PersonBusy,
    Spelling,
    erase_person,
    export_person,
    find_person,
)
from batches.people.wording import say_erased, say_findings
from batches.suppressions import digest_address


class Command(ActingCommand):
    help = "Give out or remove everything about one person. Exit status 0 only when it is done."

    def add_arguments(self, parser: CommandParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True)
        export = actions.add_parser("export", help="Write everything about a person as JSON.")
        export.add_argument("address", metavar="ADDRESS")
        export.add_argument("--output", type=Path, help="The file to write. Left out: standard output.")
        erase = actions.add_parser("erase", help="Remove everything about a person. The counts stay.")
        erase.add_argument("address", metavar="ADDRESS")
        erase.add_argument("--yes", action="store_true", help="Do not ask.")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            spelling = Spelling.read(options["address"])
        except NotAnAddress as exc:
            raise CommandError(str(exc)) from exc
        if options["action"] == "export":
            self._export(spelling, options["output"])
        else:
            self._erase(spelling, is_asked=not options["yes"])

    def _export(self, spelling: Spelling, output: Path | None) -> None:
        with transaction.atomic():
            audit.record(AuditAction.PERSON_EXPORT, person=digest_address(spelling.stored))
        text = DjangoJSONEncoder(indent=2, ensure_ascii=False).encode(export_person(spelling))
        if output is None:
            self.stdout.write(text)
            return
        try:
            output.touch(mode=0o600)  # nobody else may read it
            output.write_text(text + "\n", encoding="utf-8")
        except OSError as exc:
            raise CommandError(f"{output} can't be written: {exc.strerror}. Name another file.") from exc
        self.stdout.write(f"Written to {output}.")

    def _erase(self, spelling: Spelling, *, is_asked: bool) -> None:
        if is_asked:
            self._ask(spelling)
        try:
            erased = erase_person(spelling)
        except (ErasureRefused, PersonBusy) as exc:
            raise CommandError(str(exc)) from exc
        for sentence in say_erased(erased):
            self.stdout.write(sentence)

    def _ask(self, spelling: Spelling) -> None:
        """Show what is there, and ask whether to remove it.

        Raises:
            CommandError: the answer is not yes, or nobody can answer.
        """
        for sentence in say_findings(find_person(spelling)):
            self.stderr.write(sentence)
        if not sys.stdin.isatty():
            raise CommandError("Nobody can answer here. Add --yes to erase without a question.")
        answer = input(f"Remove everything about {spelling.stored}? This can't be undone. Type yes: ")
        if answer.strip().lower() != "yes":
            raise CommandError("Nothing was removed.")
