"""The plans of queries, and how many blocks they read."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from django.db import connection
from django.db.models import QuerySet

from batches.models import Email

Plan = str

_EXPLAIN = "EXPLAIN (ANALYZE, BUFFERS, TIMING OFF)"


def plan_of_emails(emails: QuerySet[Email]) -> Plan:
    return emails.explain(analyze=True, buffers=True, timing=False)


def plan_of(statement: str, arguments: Mapping[str, Any]) -> Plan:
    """Prepare a statement as the ledger does, run it with these arguments, and give its plan."""
    names = list(dict.fromkeys(re.findall(r"%\((\w+)\)s", statement)))
    numbered = re.sub(r"%\((\w+)\)s", lambda match: f"${names.index(match[1]) + 1}", statement)
    with connection.cursor() as cursor:
        cursor.execute("DEALLOCATE ALL")  # a prepared statement outlives the transaction of its test
        cursor.execute(f"PREPARE planned AS {numbered}")
        values = f"({', '.join(['%s'] * len(names))})" if names else ""
        cursor.execute(f"{_EXPLAIN} EXECUTE planned {values}", [arguments[name] for name in names] or None)
        plan = "\n".join(line for (line,) in cursor.fetchall())
    return plan


def blocks_of(plan: Plan) -> int:
    """Count the blocks that the query read, without those of the planner."""
    total = next(line for line in plan.splitlines() if "Buffers:" in line)
    return sum(map(int, re.findall(r"(?:hit|read)=(\d+)", total)))


def rows_removed_of(plan: Plan) -> int:
    """Count the rows that the query read by index and then had no use for."""
    return sum(map(int, re.findall(r"Rows Removed by Filter: (\d+)", plan)))
