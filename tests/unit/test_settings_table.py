"""The tables of docs/settings.md list exactly the variables that the code reads."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

PROJECT_DIR = Path(__file__).resolve().parent.parent.parent
SETTINGS = PROJECT_DIR / "emailbatch" / "settings.py"
TABLES = PROJECT_DIR / "docs" / "settings.md"

PARSERS = {"str", "secret", "bool", "int", "float", "list", "choice", "time_zone"}
"""The methods of ``emailbatch.environment.Environment`` that read a variable."""

OF_MAKE = {"PORT", "WORKERS"}
"""The variables that the Makefile reads from its command line."""


def table(heading: str) -> dict[str, str]:
    """Return the rows below a heading: the name of each variable, and the cell after it."""
    section = TABLES.read_text().split(f"\n## {heading}\n")[1].split("\n## ")[0]
    rows = re.findall(r"^\| `([A-Z_]+)` \| ([^|]+) \|", section, re.MULTILINE)
    assert len(rows) == len(dict(rows)), "A variable is in the table twice."
    return dict(rows)


def calls(tree: ast.AST) -> Iterator[ast.Call]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.Call))


def env_calls() -> Iterator[tuple[str, ast.expr | None]]:
    """Yield name and default of each variable that settings.py reads."""
    for call in calls(ast.parse(SETTINGS.read_text())):
        function = call.func
        if isinstance(function, ast.Name) and function.id == "env":
            pytest.fail(f"Line {call.lineno} of settings.py reads a variable without a type.")
        if not (isinstance(function, ast.Attribute) and isinstance(function.value, ast.Name)):
            continue
        if function.value.id != "env":
            continue
        assert function.attr in PARSERS, f"This test does not know env.{function.attr}(): add it to PARSERS."
        name = call.args[0]
        assert isinstance(name, ast.Constant) and isinstance(name.value, str)
        yield name.value, next((each.value for each in call.keywords if each.arg == "default"), None)


def shown(default: ast.expr | None) -> str:
    """Return a constant default as the table shows it; empty for a computed or empty default."""
    if not isinstance(default, ast.Constant) or default.value in ("", None):
        return ""
    text = str(default.value)
    return f"`{text.lower() if isinstance(default.value, bool) else text}`"


def read_outside_settings() -> set[str]:
    """Return the variables that programs and compose.yaml read without settings.py."""
    pattern = re.compile(r"(?:os\.environ|Environment\(\))(?:\.secret\(|\.get\(|\.setdefault\(|\[)\s*[\"']([A-Z_]+)")
    folders = [PROJECT_DIR / name for name in ("batches", "emailbatch", "docker")]
    sources = [path for folder in folders for path in folder.rglob("*.py")] + [PROJECT_DIR / "manage.py"]
    found = {name for path in sources for name in pattern.findall(path.read_text())}
    return found | set(re.findall(r"\$\{([A-Z_]+)", (PROJECT_DIR / "compose.yaml").read_text()))


def test_table_has_each_variable_once_when_compared_with_settings() -> None:
    assert set(table("Variables")) == {name for name, _ in env_calls()}


def test_table_shows_the_same_defaults_when_compared_with_settings() -> None:
    rows = table("Variables")
    wrong = {name: rows[name] for name, default in env_calls() if not rows[name].startswith(shown(default))}
    assert wrong == {}


def test_second_table_has_the_rest_when_compared_with_programs_and_compose() -> None:
    rest = read_outside_settings() - set(table("Variables"))
    assert set(table("Variables of single commands")) == rest | OF_MAKE
