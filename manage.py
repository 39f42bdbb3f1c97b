#!/usr/bin/env python
"""Django's command-line entry point for this project."""

import os
import sys
from contextlib import AbstractContextManager, nullcontext

COMMANDS_OF_DJANGO = ("changepassword", "createsuperuser", "shell")
"""With them an operator acts. Our own commands name the operator themselves, and all others are the program."""


def name_operator(command: str) -> AbstractContextManager[object]:
    """Return a context in which the audit names the operating system's user, for the commands above."""
    if command not in COMMANDS_OF_DJANGO:
        return nullcontext()
    import django

    django.setup()
    from batches.management.command import acting_as_operator

    return acting_as_operator(command)


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "emailbatch.settings")
    from django.core.exceptions import ImproperlyConfigured
    from django.core.management import execute_from_command_line

    from emailbatch.localstack.outage import explain

    try:
        with name_operator(sys.argv[1] if len(sys.argv) > 1 else ""):
            execute_from_command_line(sys.argv)
    except ImproperlyConfigured as exc:  # a variable that settings.py cannot read: its message is for a person
        sys.exit(str(exc))
    except (Exception, SystemExit) as exc:
        sentence = explain(exc)
        if sentence is None:
            raise
        sys.exit(sentence)


if __name__ == "__main__":
    main()
