"""Every variable of the environment that holds a secret can be read from a file."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

PROJECT_DIR = Path(__file__).resolve().parent.parent.parent
SECRET = re.compile(r"SECRET|PASSWORD|PASSWD|TOKEN|CREDENTIAL|_KEYS?\b|(DATABASE|REDIS|EMAIL|RETURNS)_URL|DSN")
NO_SECRET: set[str] = set()
"""Variables whose name looks like one of a secret and that hold none."""
READERS = {"str", "int", "float", "bool", "list", "choice", "get", "getenv", "url", "json", "dict"}


def read_names() -> Iterator[tuple[str, str, str]]:
    """Yield each variable that the code reads by its name: the file, the method, and the name."""
    for path in (*PROJECT_DIR.glob("emailbatch/**/*.py"), *PROJECT_DIR.glob("batches/**/*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            yield from ((str(path.relative_to(PROJECT_DIR)), *found) for found in _names_in(node))


def _names_in(node: ast.AST) -> Iterator[tuple[str, str]]:
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.args:
        name = node.args[0]
        is_reader = node.func.attr in READERS | {"secret"} and _is_environment(node.func.value)
        if is_reader and isinstance(name, ast.Constant) and isinstance(name.value, str):
            yield node.func.attr, name.value
    if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant) and _is_environment(node.value):
        yield "[]", str(node.slice.value)


def _is_environment(node: ast.expr) -> bool:
    text = ast.unparse(node)
    return text in ("env", "Environment()", "os", "os.environ", "environ", "self.ENVIRON", "env.ENVIRON")


def test_secrets_are_found_where_the_code_reads_them() -> None:
    secret = {name for _, method, name in read_names() if method == "secret"}
    assert secret >= {"SECRET_KEY", "DATABASE_URL", "REDIS_URL", "EMAIL_URL", "DJANGO_SUPERUSER_PASSWORD"}


def test_every_variable_that_holds_a_secret_can_be_a_file() -> None:
    plain = {(file, name) for file, method, name in read_names() if method != "secret" and SECRET.search(name)}
    assert {(file, name) for file, name in plain if name not in NO_SECRET} == set()
