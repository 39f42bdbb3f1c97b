"""The statements of ``statements.sql``. This module runs nothing but ``execute``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from django.db import connection

from batches.models.sql import load

_statements = load(Path(__file__).with_name("statements.sql"))

EMIT = _statements["EMIT"]
EMIT_FAILED = _statements["EMIT_FAILED"]


def execute(statement: str, arguments: Mapping[str, Any]) -> int:
    """Run a statement over Django's connection, and return how many rows it changed."""
    with connection.cursor() as cursor:
        cursor.execute(statement, arguments)
        return int(cursor.rowcount)
