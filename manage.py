#!/usr/bin/env python
"""Django's command-line entry point for this project."""

import os
import sys


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "emailbatch.settings")
    from django.core.exceptions import ImproperlyConfigured
    from django.core.management import execute_from_command_line

    from emailbatch.localstack.outage import explain

    try:
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
