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
        "unsubscribe_keys": "Qw3-8_rTzPlm6NbVc5XsYa1hGf9kJd2uEo7iKtSxCvBnMqWeRtYuIoPaSdFg",
        "database_url": "postgres://emailbatch:hush@postgres:5432/emailbatch",
        "redis_url": "redis://:hush@valkey:6379/0",
        "email_url": "smtp+tls://ann:hush@relay.example:587",
        "returns_url": "imap+ssl://ann:hush@mail.example/INBOX",
        "postgres_password": "hush",
        "redis_password": "hush",
        "mailpit_login": "mailpit:hush",
    }
    for name, content in contents.items():
        (tmp_path / name).write_text(f"{content}\n")
    unset = dict.fromkeys(("SECRET_KEY", "POSTGRES_PASSWORD", "REDIS_PASSWORD", "MAILPIT_PASSWORD"), "")
    compose = read_compose({**REQUIRED, **unset}, "compose.secrets.yaml")
    assert set(compose["secrets"]) == set(contents)
    for service in ("migrate", "web", "worker", "returns"):
        given = compose["services"][service]
        wanted = {"secret_key", "unsubscribe_keys", "database_url"} | (
            {"redis_url", "email_url"} if service != "migrate" else set()
        )
        wanted |= {"returns_url"} if service == "returns" else set()
        assert set(given["secrets"]) == wanted, "each container has only its own secrets"
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
    for service, secret in (
        ("postgres", "postgres_password"),
        ("valkey", "redis_password"),
        ("mailpit", "mailpit_login"),
    ):
        assert compose["services"][service]["secrets"] == [secret]
        values = list(compose["services"][service]["environment"].values())
        assert f"/run/secrets/{secret}" in values
        assert not [value for value in values if "unused" in str(value) or "hush" in str(value)]


@pytest.mark.parametrize("name", ["migrate", "web", "worker", "returns", "postgres", "valkey", "mailpit"])
def test_container_has_least_rights(name: str) -> None:
    service = read_compose(REQUIRED)["services"][name]
    assert service["read_only"] is True
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["cap_drop"] == ["ALL"]
    assert set(service.get("cap_add", [])) <= {"CHOWN", "DAC_OVERRIDE", "FOWNER", "SETGID", "SETUID"}
    assert service["pids_limit"] <= 512
    assert re.fullmatch(r"\d+[mg]", service["mem_limit"])
    assert not service.get("privileged")
    assert service.get("tmpfs") or service["volumes"], "a place to write in"


def test_only_postgres_adds_capabilities_and_only_the_machine_itself_reaches_a_page() -> None:
    services = read_compose(REQUIRED)["services"]
    assert [name for name, service in services.items() if service.get("cap_add")] == ["postgres"]
    ports = {name: service["ports"] for name, service in services.items() if service.get("ports")}
    assert set(ports) == {"web", "mailpit", "returns"}
    assert all(port.startswith("127.0.0.1:") for each in ports.values() for port in each)
    assert services["mailpit"]["environment"]["MP_UI_AUTH"] == "mailpit:unused"


def test_valkey_asks_for_a_password_that_no_command_line_shows(tmp_path: Path) -> None:
    valkey = read_compose(REQUIRED)["services"]["valkey"]
    assert "unused" not in str(valkey["command"])
    script = valkey["command"][2].replace("/run/valkey", str(tmp_path)).replace("exec valkey-server", "echo")
    for name, environment in (("plain", {"REDIS_PASSWORD": "hush"}), ("file", {"REDIS_PASSWORD_FILE": "secret"})):
        (tmp_path / "secret").write_text("hush\n")
        subprocess.run(["sh", "-c", script], env={"PATH": os.environ["PATH"], **environment}, cwd=tmp_path, check=True)
        assert (tmp_path / "valkey.conf").read_text() == "requirepass hush\n", name
        assert (tmp_path / "valkey.conf").stat().st_mode & 0o077 == 0
        (tmp_path / "valkey.conf").unlink()
    addresses = read_compose(REQUIRED)["services"]["worker"]["environment"]
    assert addresses["REDIS_URL"] == "redis://:unused@valkey:6379/0"


def test_image_and_compose_do_not_name_their_server() -> None:
    assert "--no-server-name" in read_compose(REQUIRED)["services"]["web"]["command"]
    assert "--no-server-name" in (PROJECT_DIR / "Dockerfile").read_text()


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
    assert "--appendonly yes" in compose["services"]["valkey"]["command"][-1]


def test_image_has_what_the_commands_need() -> None:
    allowed = {line[1:] for line in (PROJECT_DIR / ".dockerignore").read_text().split() if line.startswith("!")}
    copied = re.findall(r"^COPY (?!--)(.*) \S+$", (PROJECT_DIR / "Dockerfile").read_text(), re.MULTILINE)
    wanted = {source for line in copied for source in line.split()}
    assert wanted == allowed
    assert all((PROJECT_DIR / source).exists() for source in wanted)
