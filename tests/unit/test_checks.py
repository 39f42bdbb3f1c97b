"""What a deployment is refused for, asked of manage.py as an operator would."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from batches import checks

PROJECT_DIR = Path(__file__).resolve().parent.parent.parent
PRODUCTION = {
    "DATABASE_URL": "postgres://user:password@database.example/emailbatch",
    "REDIS_URL": "redis://redis.example:6379/0",
    "EMAIL_URL": "smtp+tls://user:password@relay.example:587",
    "SECRET_KEY": "Zx8-4_fVtq1nWc7uLk2bYg9sRd5hJm3pQe6aTo0iXvKrNwSyBzUfClGdMhPj",
    "ALLOWED_HOSTS": "mail.example",
}


def run_check(tmp_path: Path, changes: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    return subprocess.run(
        [sys.executable, str(PROJECT_DIR / "manage.py"), "check", *arguments],
        env={**kept, "DATA_DIR": str(tmp_path), **PRODUCTION, **changes},
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_nothing_is_found_when_a_deployment_is_configured(tmp_path: Path) -> None:
    result = run_check(tmp_path, {}, "--deploy", "--fail-level", "WARNING")
    assert result.returncode == 0, result.stderr
    assert not list(tmp_path.iterdir()), "a deployment must not make a local key"


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"SECRET_KEY": ""}, checks.NO_SECRET_KEY),
        ({"ALLOWED_HOSTS": "*"}, checks.ANY_HOST),
        ({"ALLOWED_HOSTS": "mail.example,*"}, checks.ANY_HOST),
        ({"ALLOWED_HOSTS": ""}, checks.NO_HOST),
        ({"DEBUG": "1"}, checks.DEBUG_ON),
    ],
)
def test_start_is_refused_when_a_deployment_is_unsafe(tmp_path: Path, changes: dict[str, str], expected: str) -> None:
    result = run_check(tmp_path, changes)
    assert result.returncode != 0
    assert expected in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("variable", ["DATABASE_URL", "REDIS_URL", "EMAIL_URL"])
def test_deploy_check_warns_when_a_service_is_embedded(tmp_path: Path, variable: str) -> None:
    result = run_check(tmp_path, {variable: ""}, "--deploy", "--fail-level", "WARNING")
    assert result.returncode != 0
    assert f"{variable} is not set" in result.stderr


def test_key_is_made_once_when_the_stack_is_local(tmp_path: Path) -> None:
    local = dict.fromkeys(PRODUCTION, "")
    assert run_check(tmp_path, local).returncode == 0
    key = (tmp_path / "secret_key").read_text()
    assert len(key) >= 50
    assert (tmp_path / "secret_key").stat().st_mode & 0o777 == 0o600
    assert run_check(tmp_path, local).returncode == 0
    assert (tmp_path / "secret_key").read_text() == key


@pytest.mark.parametrize(
    ("name", "value"), [("SEND_ON_CRASH", "Hold"), ("SEND_WINDOW", "0"), ("SEND_MAX_ATTEMPTS", "-1")]
)
def test_sending_is_refused_when_its_settings_make_no_sense(tmp_path: Path, name: str, value: str) -> None:
    result = run_check(tmp_path, {name: value})
    assert result.returncode == 1
    assert checks.BAD_SENDING in result.stderr
    assert name in result.stderr
