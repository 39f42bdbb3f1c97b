"""The files for a deployment are valid by the Compose specification and consistent with each other."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.compose_file import PROJECT_DIR, REQUIRED, VariableMissing, read_compose


@pytest.mark.parametrize("name", ["compose.yaml", "compose.secrets.yaml"])
def test_compose_file_is_valid_when_compared_with_the_specification(name: str) -> None:
    checked = subprocess.run(
        [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", name],
        cwd=PROJECT_DIR,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert checked.returncode == 0, checked.stdout


@pytest.mark.parametrize("missing", sorted(REQUIRED))
def test_start_is_refused_when_a_required_variable_is_missing(missing: str) -> None:
    with pytest.raises(VariableMissing, match=f"Set {missing} in .env"):
        read_compose({name: value for name, value in REQUIRED.items() if name != missing})


def test_deployment_is_complete_when_its_secrets_are_in_files(tmp_path: Path) -> None:
    contents = {
        "secret_key": REQUIRED["SECRET_KEY"],
        "database_url": "postgres://emailbatch:hush@postgres:5432/emailbatch",
        "email_url": "smtp+tls://ann:hush@relay.example:587",
        "postgres_password": "hush",
    }
    for name, content in contents.items():
        (tmp_path / name).write_text(f"{content}\n")
    compose = read_compose({**REQUIRED, "SECRET_KEY": "", "POSTGRES_PASSWORD": ""}, "compose.secrets.yaml")
    assert set(compose["secrets"]) == set(contents)
    for service in ("migrate", "web", "worker"):
        given = compose["services"][service]
        assert given["secrets"] == ["secret_key", "database_url", "email_url"]
        variables = {name: value.replace("/run/secrets", str(tmp_path)) for name, value in given["environment"].items()}
        result = subprocess.run(
            [sys.executable, "manage.py", "check", "--deploy"],
            env={"PATH": os.environ["PATH"], "DATA_DIR": str(tmp_path / "data"), **variables},
            cwd=PROJECT_DIR,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert "no issues" in result.stdout, result.stderr
    assert compose["services"]["postgres"]["environment"]["POSTGRES_PASSWORD"] == ""


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, "smtp://mailpit:1025"),
        ({"EMAIL_URL": "smtp://relay.example"}, "smtp://relay.example"),
        ({"EMAIL_URL": ""}, ""),
    ],
)
def test_mail_stops_in_mailpit_only_when_email_url_is_not_mentioned(variables: dict[str, str], expected: str) -> None:
    compose = read_compose({**REQUIRED, **variables})
    assert compose["services"]["worker"]["environment"]["EMAIL_URL"] == expected


def test_example_names_every_required_variable() -> None:
    example = (PROJECT_DIR / ".env.example").read_text()
    assert set(re.findall(r"^#?(\w+)=$", example, re.MULTILINE)) >= set(REQUIRED)


def test_each_third_party_service_has_a_health_check_and_keeps_its_data() -> None:
    compose = read_compose(REQUIRED)
    for name in ("postgres", "valkey", "mailpit"):
        assert compose["services"][name]["healthcheck"]["test"]
        assert compose["services"][name]["volumes"][0].split(":")[0] in compose["volumes"]
    assert "--appendonly" in compose["services"]["valkey"]["command"]


def test_image_has_what_the_commands_need() -> None:
    allowed = {line[1:] for line in (PROJECT_DIR / ".dockerignore").read_text().split() if line.startswith("!")}
    copied = re.findall(r"^COPY (?!--)(.*) \S+$", (PROJECT_DIR / "Dockerfile").read_text(), re.MULTILINE)
    wanted = {source for line in copied for source in line.split()}
    assert wanted == allowed
    assert all((PROJECT_DIR / source).exists() for source in wanted)
