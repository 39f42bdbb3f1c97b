"""Rules about the whole code base, which no reader could check by eye."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TypeGuard

import pytest
from django.conf import settings
from django.core.management import call_command
from django.db.models import TextChoices
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver

from batches.models import JobPriority, choices
from batches.outcomes import Outcome
from emailbatch.localstack import stack

PROJECT_DIR = Path(__file__).resolve().parent.parent

OPEN_TO_ALL = {
    "accounts/login/",  # the way in
    "accounts/logout/",  # the way out; a client without a session is signed out already
    "accounts/two-factor/authenticate/",  # after the password; without one it leads to the way in
    "accounts/two-factor/webauthn/login/",  # signs in with a passkey
    "accounts/openid/cancelled/",  # leads back to the way in
    "admin/logout/",
    "language/",  # chooses the language of this browser, on the sign-in page too
    "words/x-x.js",  # the sentences of the scripts in a language
    "join/x/x/",  # sets the first password, by a signed link of an invitation
    "api/health",  # for load balancers; it shows counts only
}
"""The only addresses that answer a client who is not signed in."""

MODULE_MAX_LINES = 400
FUNCTION_MAX_LINES = 45

EXAMPLES = {"int": "1", "str": "x", "slug": "x", "path": "x", "uuid": "7c9e6679-7425-40de-944b-e07fc1f90ae7"}


def sources(*folders: str) -> Iterator[tuple[str, str]]:
    """Yield path, relative to the project, and text of every file of Python or SQL in these folders."""
    for folder in folders:
        for path in sorted((PROJECT_DIR / folder).rglob("*.*")):
            if path.suffix in (".py", ".sql"):
                yield str(path.relative_to(PROJECT_DIR)), path.read_text()


def test_imports_point_downwards_when_linted() -> None:
    linted = subprocess.run(
        [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"],
        cwd=PROJECT_DIR,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert linted.returncode == 0, linted.stdout


def test_modules_and_functions_are_short() -> None:
    texts = {path: text for path, text in sources("batches", "emailbatch", "tests") if "/migrations/" not in path}
    long_modules = {path: lines for path, text in texts.items() if (lines := len(text.splitlines())) > MODULE_MAX_LINES}
    long_functions = {
        f"{path}: {node.name}": lines
        for path, text in texts.items()
        if path.endswith(".py")
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (lines := (node.end_lineno or 0) - node.lineno + 1) > FUNCTION_MAX_LINES
    }
    assert (long_modules, long_functions) == ({}, {})


@pytest.mark.django_db
def test_no_migration_is_missing_when_models_are_compared() -> None:
    call_command("makemigrations", "--check", "--dry-run", verbosity=1)


def test_every_priority_has_a_queue_that_the_workers_serve() -> None:
    served = stack.WORKER_QUEUES
    assert set(JobPriority.values) == set(settings.RQ_QUEUES) == set(served)
    compose = (PROJECT_DIR / "compose.yaml").read_text()
    assert f'"rqworker", {", ".join(f"{chr(34)}{name}{chr(34)}" for name in served)}]' in compose


def test_only_intake_copies_into_tables() -> None:
    copying = {
        path
        for path, text in sources("batches", "emailbatch")
        if re.search(r"^COPY \w+ \(|\.copy\(\s*[\"']?COPY", text, re.MULTILINE)
    }
    assert copying == {"batches/intake/statements.sql"}


def test_sql_folds_letters_in_the_same_way_on_every_database() -> None:
    """Under a Turkish collation, for example, the small letter of I is another one than Python's."""
    folding = [line for path, text in sources("batches") if path.endswith(".sql") for line in text.splitlines()]
    folding = [line for line in folding if re.search(r"\b(?:lower|upper)\(", line)]
    assert folding
    assert [line for line in folding if 'COLLATE "pg_c_utf8"' not in line] == []


def test_only_progress_publishes() -> None:
    publishing = {path for path, text in sources("batches", "emailbatch") if "group_send" in text}
    assert publishing == {"batches/progress.py"}


ENUMS: list[type[TextChoices]] = [Outcome]
ENUMS += [each for each in vars(choices).values() if isinstance(each, type) and issubclass(each, TextChoices)]
WORDS = {str(value) for enum in ENUMS for value in enum.values}
"""The values of all choices and outcomes. Code writes ``EmailStatus.SENT`` and SQL ``{sent}`` instead."""

HOLDERS = re.compile(r"(?:^|_)(?:status(?:es)?|state|outcome|kind|source|priority|policy|on_crash)$")
"""The names of fields, variables and parameters that have such a value."""

QUOTED = rf"""["'](?:{"|".join(sorted(WORDS))})["']"""
LITERALS = {
    ".sql": re.compile(QUOTED),
    ".js": re.compile(rf"[=!]==?\s*{QUOTED}|{QUOTED}\s*[=!]==?|case\s+{QUOTED}|includes\({QUOTED}"),
    ".html": re.compile(rf"[=!]=\s*{QUOTED}|{QUOTED}\s*[=!]="),
    ".py": re.compile(rf"(?:status|state|outcome|kind)\w*\s*(?:=|<>|!=|IN)\s*\(?{QUOTED}"),  # SQL inside a string
}
ALLOWED = {
    "batches/models/choices.py",  # the place where they are defined
    "batches/outcomes.py",  # the same for outcomes
    "batches/models/sql/__init__.py",  # names the part {interrupted} of the statements
    "emailbatch/settings.py",  # reads a default before any model can be imported
}


def status_literals(path: str, text: str) -> list[str]:
    """Return the literals of a file that are a value of a choice, where the value of a choice is meant."""
    suffix = Path(path).suffix
    text = re.sub(r"--[^\n]*", "", text) if suffix == ".sql" else text
    found = LITERALS[suffix].findall(text)
    if suffix == ".py":
        found += [node.value for place in status_places(ast.parse(text)) for node in ast.walk(place) if is_word(node)]
    return found


def is_word(node: ast.AST) -> TypeGuard[ast.Constant]:
    return isinstance(node, ast.Constant) and node.value in WORDS


def status_places(tree: ast.AST) -> Iterator[ast.AST]:
    """Yield the expressions of a module that are compared with, or given to, something that holds a status."""
    for node in ast.walk(tree):
        match node:
            case ast.Compare(left=left, comparators=[*others]):
                sides = [left, *others]
                yield from (side for side in sides if any(map(holds_status, sides)) and not holds_status(side))
            case ast.keyword(arg=str(name), value=value) if HOLDERS.search(name):
                yield value
            case ast.Assign(targets=[target], value=value) if holds_status(target):
                yield value
            case ast.AnnAssign(target=target, value=ast.expr() as value) if holds_status(target):
                yield value
            case ast.arguments(args=args, defaults=defaults, kwonlyargs=names, kw_defaults=kw_defaults):
                pairs = [*zip(args[::-1], defaults[::-1], strict=False), *zip(names, kw_defaults, strict=True)]
                yield from (default for each, default in pairs if default and HOLDERS.search(each.arg))


def holds_status(node: ast.AST) -> bool:
    name = node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""
    return bool(HOLDERS.search(name.lower()))


def test_choices_are_written_as_literals_in_one_place_only() -> None:
    paths = [
        path
        for folder in ("batches", "emailbatch", "templates", "static")
        for path in (PROJECT_DIR / folder).rglob("*.*")
        if path.suffix in LITERALS and "migrations" not in path.parts
    ]
    assert {path.suffix for path in paths} == set(LITERALS)
    writing = {
        str(path.relative_to(PROJECT_DIR)): literals
        for path in paths
        if (literals := status_literals(path.name, path.read_text()))
    }
    assert {path: literals for path, literals in writing.items() if path not in ALLOWED} == {}


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("a.py", "if email.status == 'sent': pass"),
        ("a.py", "if job.status in ('queued', 'paused'): pass"),
        ("a.py", "Email.objects.filter(status='unknown')"),
        ("a.py", "batch.status = 'draft'"),
        ("a.py", "def send(priority: str = 'high'): pass"),
        ("a.py", "SQL = \"SELECT 1 WHERE status = 'suppressed'\""),
        ("a.py", "if settings.SEND_ON_CRASH == 'hold': pass"),
        ("a.sql", "UPDATE batches_email SET status = 'failed'"),
        ("a.html", '{% if batch.status == "paused" %}'),
        ("a.js", 'if (now.status === "completed") stop();'),
    ],
)
def test_literal_is_found_when_a_choice_is_written_out(path: str, text: str) -> None:
    assert status_literals(path, text)


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("a.py", "count = snapshot['sent']"),
        ("a.py", "if email.status == EmailStatus.SENT: pass"),
        ("a.sql", "-- the status 'failed'\nUPDATE batches_email SET status = {failed}"),
        ("a.html", '<dd data-count="sent">'),
        ("a.js", 'form.set("draft", "true")'),
    ],
)
def test_no_literal_is_found_when_a_word_is_something_else(path: str, text: str) -> None:
    assert not status_literals(path, text)


def addresses_of(patterns: list[URLPattern | URLResolver], prefix: str = "") -> Iterator[str]:
    for pattern in patterns:
        route = prefix + example_of(str(pattern.pattern))
        if isinstance(pattern, URLResolver):
            yield from addresses_of(pattern.url_patterns, route)
        else:
            yield route


def example_of(route: str) -> str:
    """Return an address that a route matches."""
    route = re.sub(r"<(?:(\w+):)?\w+>", lambda found: EXAMPLES[found[1] or "str"], route)
    return re.sub(r"\(\?P<\w+>[^)]*\)", "x", route).strip("^$").replace("\\Z", "").replace("\\", "")


def is_refused(client: Client, address: str) -> bool:
    """Return whether the address refuses a client who is not signed in, for each method that it accepts."""
    answers = [client.get(f"/{address}"), client.post(f"/{address}")]
    known = [answer for answer in answers if answer.status_code != 405]
    return all(
        answer.status_code in (401, 403, 404)
        or (answer.status_code == 302 and "login/?next=" in answer.headers["Location"])
        for answer in known
    )


@pytest.mark.django_db
def test_every_address_needs_a_login_but_for_those_listed() -> None:
    client = Client(raise_request_exception=True)
    open_ones = {address for address in addresses_of(get_resolver().url_patterns) if not is_refused(client, address)}
    assert open_ones == OPEN_TO_ALL
