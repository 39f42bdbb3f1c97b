"""PostgreSQL array literals. psycopg's own list dumper is much slower."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def array(values: Iterable[object]) -> str:
    """Write an array literal of numbers or plain words."""
    return "{" + ",".join(map(str, values)) + "}"


def text_array(values: Sequence[str]) -> str:
    """Write an array literal of any text (PostgreSQL 18, section 8.15.6)."""
    quoted = '","'.join(values)
    if "\\" in quoted or quoted.count('"') != 2 * quoted.count('","'):
        quoted = '","'.join(value.replace("\\", "\\\\").replace('"', '\\"') for value in values)
    return '{"' + quoted + '"}' if values else "{}"
