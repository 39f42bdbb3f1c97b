"""The system checks, and what an operator sees of them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from pytest_django.fixtures import Settings

from batches import checks
from emailbatch.localstack.addresses import local_secret_key

PROJECT_DIR = Path(__file__).resolve().parent.parent.parent
PRODUCTION = {
    "DATABASE_URL": "postgres://user:password@database.example/emailbatch?sslmode=verify-full",
    "REDIS_URL": "rediss://:password@redis.example:6379/0",
    "EMAIL_URL": "smtp+tls://user:password@relay.example:587",
    "SECRET_KEY": "Zx8-4_fVtq1nWc7uLk2bYg9sRd5hJm3pQe6aTo0iXvKrNwSyBzUfClGdMhPj",
    "ALLOWED_HOSTS": "mail.example",
    "UNSUBSCRIBE_KEYS": "Qw3-8_rTzPlm6NbVc5XsYa1hGf9kJd2uEo7iKtSxCvBnMqWeRtYuIoPaSdFg",
}


@pytest.fixture
def deployment(settings: Settings) -> Settings:
    """The settings of a deployment whose checks find nothing."""
    for name in ("STACK", "DATABASE", "REDIS", "INBOX"):
        setattr(settings, f"IS_LOCAL_{name}", False)
    for name, value in PRODUCTION.items():
        setattr(settings, name, value)
    settings.ALLOWED_HOSTS = ["mail.example"]
    settings.PUBLIC_URL, settings.UNSUBSCRIBE_KEYS = "https://mail.example", [PRODUCTION["UNSUBSCRIBE_KEYS"]]
    settings.SEND_BACKEND = ""
    settings.RELAY_URLS, settings.RELAY_OAUTH, settings.STRAY_OAUTH_VARIABLES = {}, {}, []
    settings.BOUNCE_ADDRESS = "bounce@news.example"
    settings.RETURNS_URL, settings.RETURNS_OAUTH, settings.WEBHOOK_SECRETS = "", {}, []
    settings.DEBUG = False
    settings.PRIVATE_HOSTS, settings.TRUSTED_PROXY_COUNT, settings.SECURE_PROXY_SSL_HEADER = [], 0, None
    return settings


def found_ids() -> set[str | None]:
    """The ids of everything that the project's own checks find."""
    found = [
        *checks.check_deployment(None),
        *checks.check_sending(None),
        *checks.check_default_sender(None),
        *checks.check_addresses(None),
        *checks.check_relay_names(None),
        *checks.check_returns(None),
        *checks.check_services(None),
    ]
    return {message.id for message in found}


def manage(tmp_path: Path, changes: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run manage.py with the variables of a deployment. Each call costs a second: use it for what needs a process."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    return subprocess.run(
        [sys.executable, str(PROJECT_DIR / "manage.py"), *arguments],
        env={**kept, "DATA_DIR": str(tmp_path), **PRODUCTION, **changes},
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_nothing_is_found_when_a_deployment_is_configured(tmp_path: Path) -> None:
    result = manage(tmp_path, {}, "check", "--deploy", "--fail-level", "WARNING")
    assert result.returncode == 0, result.stderr
    assert not list(tmp_path.iterdir()), "a deployment must not make a local key"


def test_each_fault_is_printed_once_when_manage_meets_it(tmp_path: Path) -> None:
    wrong = {"EMAIL_URL": "smpt://user:s3cr3t@relay.example", "DATABASE_URL": "postgres://user:s3cr3t@:x/name"}
    result = manage(tmp_path, wrong, "check")
    assert result.returncode == 1
    assert result.stderr.count(checks.BAD_ADDRESS) == 2
    assert "EMAIL_URL begins with smpt://" in result.stderr
    assert "DATABASE_URL has a port" in result.stderr
    assert "Traceback" not in result.stderr
    assert "s3cr3t" not in result.stdout + result.stderr


@pytest.mark.parametrize("command", ["up", "rqworker"])
def test_command_refuses_to_start_when_an_address_is_wrong(tmp_path: Path, command: str) -> None:
    result = manage(tmp_path, {"REDIS_URL": "redis//redis.example"}, command)
    assert result.returncode == 1
    assert "REDIS_URL has no scheme." in result.stderr
    assert "Traceback" not in result.stderr
    assert not list(tmp_path.iterdir()), "nothing may be started or created before the checks"


def test_command_prints_one_sentence_when_a_number_is_wrong(tmp_path: Path) -> None:
    result = manage(tmp_path, {"SEND_LANES": "many"}, "rqworker")
    assert result.returncode == 1
    assert result.stderr == "SEND_LANES is 'many'. Set it to a whole number.\n"


def test_web_process_refuses_to_start_when_an_address_is_wrong(tmp_path: Path) -> None:
    code = "import emailbatch.asgi"
    result = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "DATA_DIR": str(tmp_path), **PRODUCTION, "EMAIL_URL": "smpt://relay.example"},
        cwd=PROJECT_DIR,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert result.returncode == 1
    assert result.stderr == "EMAIL_URL begins with smpt://. Write smtp://, smtp+tls:// or smtp+ssl://.\n"


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("SECRET_KEY", "", checks.NO_SECRET_KEY),
        ("ALLOWED_HOSTS", ["*"], checks.ANY_HOST),
        ("ALLOWED_HOSTS", ["mail.example", "*"], checks.ANY_HOST),
        ("ALLOWED_HOSTS", [], checks.NO_HOST),
        ("DEBUG", True, checks.DEBUG_ON),
        ("SEND_ON_CRASH", "Hold", checks.BAD_SENDING),
        ("DEFAULT_FROM_EMAIL", "a@example.org, b@example.org", checks.BAD_SENDER),
        ("SEND_WINDOW", 0, checks.BAD_SENDING),
        ("SEND_MAX_ATTEMPTS", -1, checks.BAD_SENDING),
        ("SEND_STOP_ABOVE", float("nan"), checks.BAD_SENDING),
        ("SEND_CANARY_SECONDS", -1.0, checks.BAD_SENDING),
        ("SEND_CANARY_SECONDS", float("nan"), checks.BAD_SENDING),
        ("SEND_CANARY_SECONDS", float("inf"), checks.BAD_SENDING),  # PostgreSQL can't add it to a time
        ("SEND_CANARY_SECONDS", 1e12, checks.BAD_SENDING),
        ("DATABASE_URL", "postgress://database.example/name", checks.BAD_ADDRESS),
        ("REDIS_URL", "redis://:6379", checks.BAD_ADDRESS),
        ("EMAIL_URL", "smpt://relay.example", checks.BAD_ADDRESS),
        ("RELAY_URLS", {"second": "smpt://relay.example"}, checks.BAD_ADDRESS),
        ("RELAY_URLS", {"m365": "smtp+tls://ann@relay.example?oauth=microsoft"}, checks.BAD_ADDRESS),
        ("EMAIL_URL", "smtp://ann@relay.example", checks.BAD_ADDRESS),
        ("RELAY_OAUTH", {"default": {"CLIENT_ID": "one"}}, checks.BAD_ADDRESS),
        ("RELAY_URLS", {"": "smtp://relay.example"}, checks.BAD_RELAY_NAME),
        ("RELAY_URLS", {"my-relay": "smtp://relay.example"}, checks.BAD_RELAY_NAME),
        ("RELAY_URLS", {"file": "smtp://relay.example"}, checks.BAD_RELAY_NAME),
        ("RELAY_URLS", {"default": "smtp://relay.example"}, checks.BAD_RELAY_NAME),
        ("STRAY_OAUTH_VARIABLES", ["EMAIL_OAUTH_M356_CLIENT_ID"], checks.BAD_RELAY_NAME),
        ("BOUNCE_ADDRESS", "bounce", checks.BAD_RETURNS),
        ("BOUNCE_ADDRESS", "Returns <bounce@news.example>", checks.BAD_RETURNS),
        ("BOUNCE_ADDRESS", "bounce@münchen.example", checks.BAD_RETURNS),
        ("BOUNCE_ADDRESS", f"{'b' * 40}@news.example", checks.BAD_RETURNS),
        ("RETURNS_URL", "imaps://ann:hush@mail.example", checks.BAD_RETURNS),
        ("RETURNS_URL", "imap+ssl://mail.example/INBOX", checks.BAD_RETURNS),
        ("RETURNS_URL", "imap+ssl://ann@mail.example/INBOX?oauth=microsoft", checks.BAD_RETURNS),
        ("IS_LOCAL_DATABASE", True, checks.EMBEDDED_SERVICE),
        ("IS_LOCAL_REDIS", True, checks.EMBEDDED_SERVICE),
        ("IS_LOCAL_INBOX", True, checks.EMBEDDED_SERVICE),
    ],
)
def test_setting_is_named_when_a_deployment_has_it_wrong(
    deployment: Settings, name: str, value: object, expected: str
) -> None:
    assert found_ids() == set()
    setattr(deployment, name, value)
    assert found_ids() == {expected}


@pytest.mark.parametrize(
    ("url", "oauth"),
    [
        ("imap+ssl://ann:hush@mail.example/INBOX", {}),
        ("lmtp://127.0.0.1:2525", {}),
        (
            "imap+ssl://ann@mail.example?oauth=other",
            {"CLIENT_ID": "1", "CLIENT_SECRET": "2", "TOKEN_URL": "https://a.example"},
        ),
    ],
)
def test_door_for_returns_is_accepted_when_it_is_complete(
    deployment: Settings, url: str, oauth: dict[str, str]
) -> None:
    deployment.RETURNS_URL, deployment.RETURNS_OAUTH = url, oauth
    assert found_ids() == set()


def test_client_of_the_mailbox_is_named_when_its_address_has_none(deployment: Settings) -> None:
    deployment.RETURNS_URL = "imap+ssl://ann:hush@mail.example/INBOX"
    deployment.RETURNS_OAUTH = {"CLIENT_ID": "one"}
    [found] = checks.check_returns(None)
    assert found.msg.startswith("RETURNS_OAUTH_* is set, but RETURNS_URL has no ?oauth=.")


def test_addresses_are_not_checked_when_the_services_are_local(deployment: Settings) -> None:
    deployment.IS_LOCAL_REDIS = True
    deployment.REDIS_URL = "unix:///a folder with spaces/redis.sock"
    deployment.SEND_BACKEND = "example.Backend"
    deployment.EMAIL_URL = ""
    assert checks.check_addresses(None) == []


def test_default_relay_is_not_missed_when_there_are_further_ones(deployment: Settings) -> None:
    deployment.EMAIL_URL, deployment.RELAY_URLS = "", {"second": "smtp://relay.example"}
    assert found_ids() == set()


def test_each_relays_fault_names_its_variable_and_no_password(deployment: Settings) -> None:
    deployment.RELAY_URLS = {
        "second": "smpt://ann:hush@relay.example",
        "m365": "smtp+tls://ann:hush@relay.example?oauth=microsoft",
        "third": "smtp://ann:hush@relay.example:0",
    }
    messages = [message.msg for message in checks.check_addresses(None)]
    assert [message.split()[0] for message in messages[:2]] == ["EMAIL_URL_SECOND", "EMAIL_URL_M365"]
    assert "The port in EMAIL_URL_THIRD" in messages[2]
    assert "hush" not in " ".join(messages)


def test_key_of_a_service_account_is_refused_when_it_is_none(deployment: Settings) -> None:
    deployment.RELAY_URLS = {"workspace": "smtp+tls://ann@relay.example?oauth=google"}
    deployment.RELAY_OAUTH = {"workspace": {"SERVICE_ACCOUNT": '{"client_email": "a", "private_key": "hush"}'}}
    (message,) = [message.msg for message in checks.check_addresses(None)]
    assert message.startswith("The private key in EMAIL_OAUTH_WORKSPACE_SERVICE_ACCOUNT cannot be read.")
    assert "hush" not in message


def test_local_inbox_is_not_used_when_a_further_relay_is_set(tmp_path: Path) -> None:
    url = "smtp+tls://relay.example"
    result = manage(
        tmp_path, {"EMAIL_URL": "", "EMAIL_URL_SECOND": url}, "check", "--deploy", "--fail-level", "WARNING"
    )
    assert result.returncode == 0, result.stderr


def test_deployment_is_complete_when_its_secrets_are_in_files(tmp_path: Path) -> None:
    files: dict[str, str] = {}
    for name in ("SECRET_KEY", "DATABASE_URL", "REDIS_URL", "EMAIL_URL"):
        (tmp_path / name).write_text(PRODUCTION[name] + "\n")
        files |= {name: "", f"{name}_FILE": str(tmp_path / name)}
    result = manage(tmp_path, files, "check", "--deploy", "--fail-level", "WARNING")
    assert result.returncode == 0, result.stderr


def test_debug_page_shows_no_secret_of_a_setting(tmp_path: Path) -> None:
    code = (
        "import django; django.setup()\n"
        "from django.views.debug import get_default_exception_reporter_filter as found\n"
        "print(found().get_safe_settings())"
    )
    secrets = {
        "SECRET_KEY": "s3cr3t",
        "DATABASE_URL": "postgres://user:s3cr3t@database.example/name",
        "REDIS_URL": "redis://:s3cr3t@redis.example",
        "EMAIL_URL": "smtp://user:s3cr3t@relay.example",
        "EMAIL_URL_SECOND": "smtp://user:s3cr3t@relay.example",
        "EMAIL_URL_THIRD": "smtp+tls://user@relay.example?oauth=google",
        "EMAIL_OAUTH_THIRD_SERVICE_ACCOUNT": '{"client_email": "a", "private_key": "s3cr3t"}',
    }
    result = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "DATA_DIR": str(tmp_path), **PRODUCTION, **secrets},
        cwd=PROJECT_DIR,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert result.returncode == 0, result.stderr
    assert "RELAY_URLS" in result.stdout
    assert "s3cr3t" not in result.stdout


def test_key_is_made_once_when_the_stack_is_local(tmp_path: Path) -> None:
    key = local_secret_key(tmp_path)
    assert len(key) >= 50
    assert (tmp_path / "secret_key").stat().st_mode & 0o777 == 0o600
    assert local_secret_key(tmp_path) == key
