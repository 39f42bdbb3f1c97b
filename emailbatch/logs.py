"""Writes log records as lines for people, with the fields of a record after its message as ``key=value``."""

from __future__ import annotations

import logging
from typing import ClassVar


class LineFormatter(logging.Formatter):
    """A formatter that appends the fields which a call passed in ``extra``, in this order, if they are set."""

    FIELDS: ClassVar = ("action", "batch", "job", "lane")

    def formatMessage(self, record: logging.LogRecord) -> str:
        # Not in format(): the fields belong to the line of the message, and a traceback follows it.
        fields = [f"{name}={value}" for name in self.FIELDS if (value := getattr(record, name, None)) is not None]
        return " ".join([super().formatMessage(record), *fields])
