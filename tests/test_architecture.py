"""Rules about the whole code base that a reader could not check by eye, as tests."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import settings
from django.core.management import call_command
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver

from batches.models import JobPriority
from emailbatch.localstack import stack

PROJECT_DIR = Path(__file__).resolve().parent.parent

OPEN_TO_ALL = {
    "accounts/login/",  # the way in
    "accounts/logout/",  # and the way out, which whoever has no session has taken
    "admin/login/",
    "admin/logout/",
    "api/docs",  # says what can be asked, and has no data
    "api/openapi.json",
    "api/health",  # asked by load balancers, tells counts only
}
"""The only addresses that answer somebody who is not signed in."""

EXAMPLES = {"int": "1", "str": "x", "slug": "x", "path": "x", "uuid": "7c9e6679-7425-40de-944b-e07fc1f90ae7"}


def sources(*folders: str) -> Iterator[tuple[str, str]]:
    """Path and text of every Python file of these folders, relative to the project."""
    for folder in folders:
        for path in sorted((PROJECT_DIR / folder).rglob("*.py")):
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


@pytest.mark.django_db
def test_no_migration_is_missing_when_models_are_compared() -> None:
    call_command("makemigrations", "--check", "--dry-run", verbosity=1)


def test_every_priority_has_a_queue_that_the_workers_serve() -> None:
    served = stack.WORKER_QUEUES
    assert set(JobPriority.values) == set(settings.RQ_QUEUES) == set(served)
    compose = (PROJECT_DIR / "compose.yaml").read_text()
    assert f'"rqworker", {", ".join(f"{chr(34)}{name}{chr(34)}" for name in served)}]' in compose


def test_only_intake_copies_into_tables() -> None:
    paths = [path for folder in ("batches", "emailbatch") for path in (PROJECT_DIR / folder).rglob("*.*")]
    copying = {
        str(path.relative_to(PROJECT_DIR))
        for path in paths
        if path.suffix in {".py", ".sql"}
        and re.search(r"\bCOPY\s+\w+\s*\(|\.copy\(\s*[\"']?COPY", path.read_text("utf-8"))
    }
    assert copying == {"batches/intake/statements.sql"}


def test_only_progress_publishes() -> None:
    publishing = {path for path, text in sources("batches", "emailbatch") if "group_send" in text}
    assert publishing == {"batches/progress.py"}


def test_statuses_are_written_in_one_place_only() -> None:
    literal = re.compile(
        r"status\w*\s*(?:=|==|!=|:)\s*[\"'](?:pending|sending|processing|completed|cancelled|suppressed)[\"']"
    )
    writing = {
        path for path, text in sources("batches", "emailbatch") if literal.search(text) and "/migrations/" not in path
    }
    assert writing == set()


def addresses_of(patterns: list[URLPattern | URLResolver], prefix: str = "") -> Iterator[str]:
    for pattern in patterns:
        route = prefix + example_of(str(pattern.pattern))
        if isinstance(pattern, URLResolver):
            yield from addresses_of(pattern.url_patterns, route)
        else:
            yield route


def example_of(route: str) -> str:
    """An address that a route matches."""
    route = re.sub(r"<(?:(\w+):)?\w+>", lambda found: EXAMPLES[found[1] or "str"], route)
    return re.sub(r"\(\?P<\w+>[^)]*\)", "x", route).strip("^$").replace("\\Z", "").replace("\\", "")


def is_refused(client: Client, address: str) -> bool:
    """Whether a stranger's request is turned away, by whichever method the address takes."""
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
