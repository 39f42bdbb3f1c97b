"""What ``check --deploy`` says of keys that could be guessed, of services in the clear, and of uncounted proxies."""

from __future__ import annotations

import secrets
import string
from pathlib import Path

import pytest
from pytest_django.fixtures import Settings

from batches import deployment_checks as checks
from tests.unit.test_checks import deployment, manage

__all__ = ["deployment"]

RANDOM = "R4uJ9_xkQ2mVb7TzLw0sYfHcN8gDp3EaXiK5oU1tZr-6CqWhGjBvMdSnPyIe"


def found_ids() -> list[str | None]:
    found = [
        *checks.check_secret_key(None),
        *checks.check_encryption(None),
        *checks.check_redis_password(None),
        *checks.check_proxy_count(None),
        *checks.check_webhook_secret(None),
        *checks.check_unsubscribe_links(None),
    ]
    return [message.id for message in found]


@pytest.mark.parametrize(
    "key",
    [
        *("abc", "x" * 60, "abcdefghij" * 6, "0123456789" * 5, "aB3" * 20, string.ascii_letters + string.digits),
        *("django-insecure-" + RANDOM, "changeme" * 8, "this is my very secret key for the mail server please"),
        *("changeme-changeme-changeme-2026-changeme-x1", "Correct-Horse-Battery-Staple-Correct-Horse-7"),
        *(
            RANDOM[:39],
            "secretsecretsecretsecretsecretsecretsecretsecre1",
            "only-for-the-test-run-but-long-enough-for-it",
        ),
    ],
)
def test_key_is_refused_when_it_could_be_guessed(deployment: Settings, key: str) -> None:
    deployment.SECRET_KEY = key
    assert found_ids() == [checks.WEAK_SECRET_KEY]
    assert key not in str(checks.check_secret_key(None)[0])


@pytest.mark.parametrize("length", range(30, 60))
def test_key_is_accepted_when_it_was_made_at_random(deployment: Settings, length: int) -> None:
    deployment.SECRET_KEY = secrets.token_urlsafe(length)
    assert found_ids() == []


@pytest.mark.parametrize(
    "url",
    [
        *("postgres://u:p@database.example/name", "postgres://u:p@10.0.0.5/name?sslmode=prefer"),
        "postgres://u:p@localhost/name?hostaddr=10.0.0.5",
    ],
)
def test_database_is_named_when_others_on_the_way_could_read(deployment: Settings, url: str) -> None:
    deployment.DATABASE_URL = url
    assert found_ids() == [checks.IN_THE_CLEAR]
    assert ":p@" not in str(checks.check_encryption(None)[0])


@pytest.mark.parametrize(
    "url",
    [
        *("postgres://u:p@localhost/name", "postgres://u:p@127.0.0.1/name", "postgres://u:p@[::1]:5432/name"),
        *("postgres:///name", "postgres://u@/name?host=/run/postgresql", "postgres://u:p@db.example/n?sslmode=require"),
        *("postgres://u:p@db.example/n?sslmode=verify-full", "postgres://u:p@postgres:5432/n"),
    ],
)
def test_database_is_not_named_when_nobody_is_on_the_way(deployment: Settings, url: str) -> None:
    deployment.PRIVATE_HOSTS = ["postgres"]
    deployment.DATABASE_URL = url
    assert found_ids() == []


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("redis://redis.example:6379/0", [checks.IN_THE_CLEAR, checks.REDIS_WITHOUT_PASSWORD]),
        ("redis://:hush@redis.example:6379/0", [checks.IN_THE_CLEAR]),
        ("rediss://redis.example", [checks.REDIS_WITHOUT_PASSWORD]),
        ("redis://valkey:6379/0", [checks.REDIS_WITHOUT_PASSWORD]),
        ("redis://:hush@valkey:6379/0", []),
        ("rediss://:hush@redis.example", []),
        ("redis://localhost:6379/0", []),
        ("redis://127.0.0.53", []),
        ("unix:///run/redis.sock", []),
    ],
)
def test_redis_is_named_when_others_could_read_it_or_use_it(
    deployment: Settings, url: str, expected: list[str]
) -> None:
    deployment.PRIVATE_HOSTS = ["valkey"]
    deployment.REDIS_URL = url
    assert found_ids() == expected


@pytest.mark.parametrize(
    ("url", "is_named"),
    [
        *(("smtp://user:pw@relay.example", True), ("smtp://relay.example", True), ("SMTP://192.0.2.7:25", True)),
        *(("smtp://localhost:25", False), ("smtp+tls://u:p@relay.example", False), ("smtp+ssl://relay.example", False)),
        *(("smtp+unix:///run/relay.sock", False), ("smtp://mailpit:1025", False)),
    ],
)
def test_relay_is_named_when_mail_leaves_in_the_clear(deployment: Settings, url: str, is_named: bool) -> None:
    deployment.PRIVATE_HOSTS = ["mailpit"]
    deployment.EMAIL_URL = url
    assert found_ids() == [checks.IN_THE_CLEAR] * is_named
    deployment.EMAIL_URL, deployment.RELAY_URLS = "", {"second": url}
    assert [message.msg.split()[0] for message in checks.check_encryption(None)] == ["EMAIL_URL_SECOND"] * is_named


@pytest.mark.parametrize(
    ("url", "is_named"),
    [
        *(("imap://ann:hush@mail.example", True), ("lmtp://0.0.0.0:2525", True), ("smtp://10.0.0.5:25", True)),
        *(("imap+ssl://ann:hush@mail.example", False), ("imap+tls://ann:hush@mail.example", False), ("", False)),
        *(("lmtp://127.0.0.1:2525", False), ("imap://ann:hush@[::1]:143", False), ("lmtp://returns:2525", False)),
    ],
)
def test_door_for_returns_is_named_when_mail_passes_in_the_clear(
    deployment: Settings, url: str, is_named: bool
) -> None:
    deployment.PRIVATE_HOSTS = ["returns"]
    deployment.RETURNS_URL = url
    assert found_ids() == [checks.IN_THE_CLEAR] * is_named
    assert "hush" not in str(checks.check_encryption(None))


@pytest.mark.parametrize(
    ("secrets_", "is_named"),
    [
        ([], False),
        (["provider:a-long-and-random-password"], False),
        (["provider:short"], True),
        (["a-long-and-random-password-without-a-user"], True),
        (["provider:a-long-and-random-password", "other:short"], True),
    ],
)
def test_secret_of_webhooks_is_refused_when_it_could_be_guessed(
    deployment: Settings, secrets_: list[str], is_named: bool
) -> None:
    deployment.WEBHOOK_SECRETS = secrets_
    assert found_ids() == [checks.WEAK_WEBHOOK_SECRET] * is_named


def test_proxy_is_named_when_it_is_trusted_and_not_counted(deployment: Settings) -> None:
    deployment.SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    assert found_ids() == [checks.UNCOUNTED_PROXY]
    deployment.TRUSTED_PROXY_COUNT = 1
    assert found_ids() == []
    deployment.TRUSTED_PROXY_COUNT = -1
    assert found_ids() == [checks.BAD_PROXY_COUNT]


@pytest.mark.parametrize(
    ("url", "keys", "expected"),
    [
        ("https://mail.example", [RANDOM, "an old one"], []),
        ("https://MAIL.example:8443/list", [RANDOM], []),
        ("https://news.example", [], [checks.NO_UNSUBSCRIBE_KEY]),
        ("https://news.example", [RANDOM], [checks.UNREACHABLE_LINK]),
        ("http://mail.example", [RANDOM], [checks.UNREACHABLE_LINK]),
        ("", [RANDOM], [checks.UNREACHABLE_LINK]),
        ("https://mail.example", ["short", RANDOM], [checks.WEAK_UNSUBSCRIBE_KEY]),
    ],
)
def test_unsubscribe_link_is_named_when_it_could_not_work(
    deployment: Settings, url: str, keys: list[str], expected: list[str]
) -> None:
    deployment.PUBLIC_URL, deployment.UNSUBSCRIBE_KEYS = url, keys
    found = checks.check_unsubscribe_links(None)
    assert [message.id for message in found] == expected
    assert all("short" not in message.msg for message in found)


def test_nothing_is_said_of_the_local_stack(settings: Settings) -> None:
    settings.SECRET_KEY = "short"
    assert found_ids() == []


def test_migration_is_refused_when_the_key_is_weak(tmp_path: Path) -> None:
    result = manage(tmp_path, {"SECRET_KEY": "abc"}, "check", "--deploy")
    assert result.returncode == 1
    assert checks.WEAK_SECRET_KEY in result.stderr
