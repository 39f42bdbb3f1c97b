"""Collect the messages for translation, as Django does, with those of ``batches.sentences``."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser
from django.core.management.commands import makemessages

FOR_RECIPIENTS = ("./batches/web/unsubscribe.py", "./templates/unsubscribe/")
"""Where the sentences are that recipients read. They have more languages than the other pages."""


class Command(makemessages.Command):
    help = "Collect the sentences that are marked for translation into locale/."
    xgettext_options = [*makemessages.Command.xgettext_options, "--keyword=sentence", "--keyword=plural_sentence:1,2"]

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--for-recipients", action="store_true", help="Only what recipients read.")

    def handle(self, *args: Any, **options: Any) -> None:
        self.is_for_recipients = options["for_recipients"]
        super().handle(*args, **options)

    def find_files(self, root: str) -> list[makemessages.TranslatableFile]:
        files: list[makemessages.TranslatableFile] = super().find_files(root)
        return [each for each in files if not self.is_for_recipients or each.path.startswith(FOR_RECIPIENTS)]
