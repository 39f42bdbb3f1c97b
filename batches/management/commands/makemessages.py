"""Collect the messages for translation, as Django does, with the sentences of batches.management.collecting."""

from __future__ import annotations

import os
from typing import Any

from django.core.management.base import CommandParser
from django.core.management.commands import makemessages

from batches.management.collecting import collect, is_saying

FOR_RECIPIENTS = ("./batches/web/unsubscribe.py", "./templates/unsubscribe/")
"""Where the sentences are that recipients read. They have more languages than the other pages."""


class BuildFile(makemessages.BuildFile):
    """A file that xgettext reads. A module of ours is read with its unmarked sentences as calls of gettext."""

    @property
    def is_templatized(self) -> bool:
        is_marked = self.domain == "django" and is_saying(self._path)
        return is_marked or bool(super().is_templatized)

    @property
    def _path(self) -> str:
        return os.path.normpath(self.translatable.path)

    def preprocess(self) -> None:
        if not (self._path.endswith(".py") and self.is_templatized):
            super().preprocess()
            return
        with open(self.path, encoding="utf-8") as file:
            source = file.read()
        calls = [f"gettext({message!r})" for _, message, _ in collect(source)]
        with open(self.work_path, "w", encoding="utf-8") as file:
            file.write("\n".join([source, *calls, ""]))


class Command(makemessages.Command):
    help = "Collect the sentences of pages and code into locale/."
    build_file_class = BuildFile
    # A text with a percent sign is no format by itself: "%(name)s" is checked by tests/unit/test_translations.py.

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--for-recipients", action="store_true", help="Only what recipients read.")

    def handle(self, *args: Any, **options: Any) -> None:
        self.is_for_recipients = options["for_recipients"]
        super().handle(*args, **options)

    def find_files(self, root: str) -> list[makemessages.TranslatableFile]:
        files: list[makemessages.TranslatableFile] = super().find_files(root)
        return [each for each in files if not self.is_for_recipients or each.path.startswith(FOR_RECIPIENTS)]
