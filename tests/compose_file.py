"""Reads compose.yaml as Compose does, with its variables filled in, for tests."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

PROJECT_DIR = Path(__file__).resolve().parent.parent

REQUIRED = {
    "SECRET_KEY": "Zx8-4_fVtq1nWc7uLk2bYg9sRd5hJm3pQe6aTo0iXvKrNwSyBzUfClGdMhPj",
    "POSTGRES_PASSWORD": "unused",
    "REDIS_PASSWORD": "unused",
    "MAILPIT_PASSWORD": "unused",
    "ALLOWED_HOSTS": "mail.example,127.0.0.1",
}
"""The variables that .env must set."""


class VariableMissing(Exception):
    """A required variable is unset. The message is the one in the file."""


def read_compose(variables: dict[str, str], *files: str) -> dict[str, Any]:
    """Parse compose.yaml, with further files over it, and fill in the variables, as Compose does.

    ${NAME}, ${NAME:-default}, ${NAME-default}, ${NAME:?message} and ${NAME?message} are understood.
    """
    merged: dict[str, Any] = {}
    for name in ("compose.yaml", *files):
        merged = _merge(merged, _fill(yaml.safe_load((PROJECT_DIR / name).read_text()), variables))
    return merged


def _merge(first: Any, second: Any) -> Any:
    if isinstance(first, dict) and isinstance(second, dict):
        return first | {key: _merge(first.get(key), value) for key, value in second.items()}
    return second


def _fill(node: Any, variables: dict[str, str]) -> Any:
    if isinstance(node, dict):
        return {key: _fill(value, variables) for key, value in node.items()}
    if isinstance(node, list):
        return [_fill(item, variables) for item in node]
    return (
        re.sub(r"(?<!\$)\$\{(\w+)(:-|:\?|-|\?)?([^}]*)\}", lambda m: _value(m, variables), node).replace("$$", "$")
        if isinstance(node, str)
        else node
    )


def _value(found: re.Match[str], variables: dict[str, str]) -> str:
    name, operator, rest = found.groups()
    if variables.get(name) or (operator in ("-", "?") and name in variables):
        return variables[name]
    if operator in (":?", "?"):
        raise VariableMissing(rest)
    return rest or ""
