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
    "ALLOWED_HOSTS": "mail.example,127.0.0.1",
}
"""The variables that .env must set."""


class VariableMissing(Exception):
    """A required variable is unset. The message is the one in the file."""


def read_compose(variables: dict[str, str]) -> dict[str, Any]:
    """Parse the file and fill in ${NAME}, ${NAME:-default}, ${NAME-default} and ${NAME:?message}, as Compose does."""
    filled = _fill(yaml.safe_load((PROJECT_DIR / "compose.yaml").read_text()), variables)
    assert isinstance(filled, dict)
    return filled


def _fill(node: Any, variables: dict[str, str]) -> Any:
    if isinstance(node, dict):
        return {key: _fill(value, variables) for key, value in node.items()}
    if isinstance(node, list):
        return [_fill(item, variables) for item in node]
    return (
        re.sub(r"\$\{(\w+)(:-|:\?|-)?([^}]*)\}", lambda m: _value(m, variables), node)
        if isinstance(node, str)
        else node
    )


def _value(found: re.Match[str], variables: dict[str, str]) -> str:
    name, operator, rest = found.groups()
    if variables.get(name) or (operator == "-" and name in variables):
        return variables[name]
    if operator == ":?":
        raise VariableMissing(rest)
    return rest or ""
