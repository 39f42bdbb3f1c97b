"""The base of the commands that act: what they do is in the audit under the command and the operating system's user."""

from __future__ import annotations

import os
import pwd
from contextlib import AbstractContextManager
from typing import Any

from django.core.management.base import BaseCommand

from batches import audit


class ActingCommand(BaseCommand):
    """A command whose acts are written down. Commands that only read, and the sweep, need it not."""

    def execute(self, *args: Any, **options: Any) -> str | None:
        with acting_as_operator(self.__class__.__module__.rpartition(".")[2]):
            return super().execute(*args, **options)


def acting_as_operator(command: str) -> AbstractContextManager[None]:
    """Let every entry in this context name a command and the operating system's user."""
    return audit.acting_as(audit.Actor(name=find_system_user(), via=f"command {command}"))


def find_system_user() -> str:
    """Return the name of the operating system's user who runs this process, or its number if it has no name."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # a container may run as a number that its system does not know
        return str(os.getuid())
