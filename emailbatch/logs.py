"""Writes log records as lines for people, with the fields of a record after its message as ``key=value``.

A record enters. A line leaves, with the ids of users, batches, jobs and lanes, and without any address, token, or row
of the database. This formatter is the last door of every log line of every process, tracebacks included.
"""

from __future__ import annotations

import logging
import re
from datetime import datetime
from typing import Any, ClassVar

from django.utils.functional import empty

from batches.redaction import redact

CONTROLS = {code: f"\\x{code:02x}" for code in (*range(0x09), *range(0x0B, 0x20), *range(0x7F, 0xA0))} | {
    code: f"\\u{code:04x}" for code in (0x2028, 0x2029)
}
"""What a terminal or a viewer of logs would obey, and not show: each becomes the text of its escape."""

ROW_OF_ERROR = re.compile(
    r"""
    ^(\s*(?:DETAIL|CONTEXT|STATEMENT|QUERY|WHERE|LINE\ \d+):)(?!\ \(not\ logged\)).*
    (?:\n(?!\s*(?:[A-Z]+:|File\ |Traceback|During\ |The\ above)).*)*  # a value may have line breaks
    """,
    re.MULTILINE | re.VERBOSE,
)
"""What PostgreSQL adds to an error: the row, the line of a COPY or the statement, with the values of a recipient."""


class LineFormatter(logging.Formatter):
    """A formatter that appends the fields which a call passed in ``extra``, in this order, if they are set."""

    FIELDS: ClassVar = ("action", "user", "batch", "job", "lane")

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:
        """Return the time with its distance from UTC (RFC 3339), because machines may have different time zones."""
        return datetime.fromtimestamp(record.created).astimezone().isoformat(sep=" ", timespec="milliseconds")

    def formatMessage(self, record: logging.LogRecord) -> str:
        # Not in format(): the fields belong to the line of the message, and a traceback follows it.
        if not hasattr(record, "user"):
            record.user = find_user_id(getattr(record, "request", None))  # Django's own records of a request have it
        fields = [f"{name}={value}" for name in self.FIELDS if (value := getattr(record, name, None)) is not None]
        return " ".join([clean(super().formatMessage(record)), *fields])

    def format(self, record: logging.LogRecord) -> str:
        # What follows a line break is indented, so that no value that somebody sent begins a record of its own.
        return clean(super().format(record)).translate(CONTROLS).replace("\n", "\n    ")


def clean(text: str) -> str:
    """Return a text for operators without addresses, tokens, and the rows that PostgreSQL quotes in its errors."""
    return redact(ROW_OF_ERROR.sub(r"\1 (not logged)", text))


def find_user_id(request: Any) -> int | None:
    """Return the id of the user of a request, if something has read that user. Never reads the database."""
    user = getattr(request, "user", None) if request is not None else None
    wrapped = getattr(user, "_wrapped", user)  # Django's user is lazy: to look at it would be a query
    return None if wrapped is None or wrapped is empty else getattr(wrapped, "pk", None)
