"""compose.yaml as Compose reads it: variables filled in, for the tests that hold it to what it says."""

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
"""The least that .env must hold."""


class VariableMissing(Exception):
    """A variable that the file requires is unset; the message is the file's own."""


def read_compose(variables: dict[str, str]) -> dict[str, Any]:
    """Parse the file, then fill in ${NAME}, ${NAME:-default} and ${NAME:?message}, in this order, as Compose does."""
    filled = _fill(yaml.safe_load((PROJECT_DIR / "compose.yaml").read_text()), variables)
    assert isinstance(filled, dict)
    return filled


def _fill(node: Any, variables: dict[str, str]) -> Any:
    if isinstance(node, dict):
        return {key: _fill(value, variables) for key, value in node.items()}
    if isinstance(node, list):
        return [_fill(item, variables) for item in node]
    return (
        re.sub(r"\$\{(\w+)(:-|:\?)?([^}]*)\}", lambda m: _value(m, variables), node) if isinstance(node, str) else node
    )


def _value(found: re.Match[str], variables: dict[str, str]) -> str:
    name, operator, rest = found.groups()
    if variables.get(name):
        return variables[name]
    if operator == ":?":
        raise VariableMissing(rest)
    return rest or ""
