"""The usual mistakes in the three addresses: each is named, with what to write, and no password is shown."""

from __future__ import annotations

import pytest

from batches.service_urls import find_database_fault, find_email_fault, find_redis_fault

SECRET = "s3cr3t"


def assert_fault(fault: str | None, *expected: str) -> None:
    assert fault is not None
    assert all(part in fault for part in expected), fault
    assert SECRET not in fault


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        (f"smpt://user:{SECRET}@host", "EMAIL_URL begins with smpt://. Write smtp://, smtp+tls:// or smtp+ssl://."),
        (f"smtps://user:{SECRET}@host", "EMAIL_URL begins with smtps://."),
        (f"user:{SECRET}@host:587", "EMAIL_URL has no scheme."),
        (f"user:{SECRET}@://host", "EMAIL_URL has no scheme."),
        ("smtp://", "EMAIL_URL names no host."),
        (f"smtp://user:{SECRET}@", "EMAIL_URL names no host."),
        (f"smtp+tls://user:{SECRET}@:587", "EMAIL_URL names no host."),
        (f"smtp://user:{SECRET}@host:587x", "The port in EMAIL_URL is not a number from 1 to 65535."),
        (f"smtp://user:{SECRET}@host:70000", "The port in EMAIL_URL"),
        (f"smtp://user:{SECRET}@host:0", "The port in EMAIL_URL"),
        (f"smtp://user:a/{SECRET}@host", "EMAIL_URL has a / in its user name or password. Write it as %2F there."),
        (f"smtp://user:1/{SECRET}@host", "Write it as %2F"),
        (f"smtp://user:a?{SECRET}@host", "Write it as %3F"),
        (f"smtp://user:a#{SECRET}@host", "Write it as %23"),
        (f"smtp://user:a@b/{SECRET}@host", "Write it as %2F"),
        (f"smtp://user:[{SECRET}@host", "Write [ as %5B"),
        (f" smtp://user:{SECRET}@host", "EMAIL_URL contains a space or a line break."),
        (f"smtp://user:{SECRET} @host", "EMAIL_URL contains a space or a line break."),
        (f"smtp://user:{SECRET}@host\n", "EMAIL_URL contains a space or a line break."),
        (f'"smtp://user:{SECRET}@host"', "Write the address without quotation marks."),
        (f"\u201csmtp://user:{SECRET}@host\u201d", "Write the address without quotation marks."),
        ("smtp+unix://", "EMAIL_URL names no socket."),
        ("smtp+unix:///", "EMAIL_URL names no socket."),
        (f"smtp:/user:{SECRET}@host", "EMAIL_URL has one slash after smtp:. Write smtp://,"),
    ],
)
def test_email_url_is_refused_when_it_is_mistyped(url: str, expected: str) -> None:
    assert_fault(find_email_fault(url), expected)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        (f"postgress://user:{SECRET}@host/name", "DATABASE_URL begins with postgress://. Write postgres://"),
        (f"mysql://user:{SECRET}@host/name", "DATABASE_URL begins with mysql://."),
        (f"user:{SECRET}@host/name", "DATABASE_URL has no scheme."),
        (f"postgres://user:{SECRET}@:5432/name", "DATABASE_URL names no host."),
        (f"postgres://user:{SECRET}@host", "DATABASE_URL names no database."),
        (f"postgres://user:{SECRET}@host:54x32/name", "DATABASE_URL has a port"),
        (f"postgres://user:{SECRET}@host:99999/name", "DATABASE_URL has a port"),
        (f"postgres://user:a/{SECRET}@host/name", "Write it as %2F"),
        (f"postgres://user:a?{SECRET}@host/name", "Write it as %3F"),
        (f"postgres://user:{SECRET}@host/name ", "DATABASE_URL contains a space"),
        (f"'postgres://user:{SECRET}@host/name'", "quotation mark"),
        (f"postgres://user:{SECRET}@host/name?sslmod=require", "'sslmod', which PostgreSQL does not know"),
    ],
)
def test_database_url_is_refused_when_it_is_mistyped(url: str, expected: str) -> None:
    assert_fault(find_database_fault(url), expected)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        (f"redi://:{SECRET}@host", "REDIS_URL begins with redi://. Write redis://, rediss:// or unix://."),
        (f"REDIS://:{SECRET}@host", "REDIS_URL begins with REDIS://."),
        (f":{SECRET}@host:6379", "REDIS_URL has no scheme."),
        ("redis://", "REDIS_URL names no host."),
        (f"redis://:{SECRET}@:6379/0", "REDIS_URL names no host."),
        (f"redis://:{SECRET}@host:port/0", "REDIS_URL has a port"),
        (f"redis://:a/{SECRET}@host/0", "Write it as %2F"),
        (f"redis://:{SECRET}@host/ 0", "REDIS_URL contains a space"),
        (f'redis://:{SECRET}@host/0"', "quotation mark"),
        (f"redis://:{SECRET}@host/queue", "REDIS_URL names a database that is not a number."),
        (f"redis://:{SECRET}@host/0?socket_timeout=long", "REDIS_URL has an option that cannot be read."),
        ("unix://", "REDIS_URL names no socket."),
    ],
)
def test_redis_url_is_refused_when_it_is_mistyped(url: str, expected: str) -> None:
    assert_fault(find_redis_fault(url), expected)


@pytest.mark.parametrize(
    "url",
    [
        "smtp://host",
        "smtp://user:pass@word@host:25",  # the last @ ends the password, as every parser reads it
        "smtp+tls://user:p%2Fss@mail.example.org:587",
        "smtp+ssl://user:a:b@[2001:db8::1]:465",
        "smtp+unix:///run/a@b/smtp.sock",
    ],
)
def test_email_url_is_accepted_when_it_can_be_used(url: str) -> None:
    assert find_email_fault(url) is None


@pytest.mark.parametrize(
    "url",
    [
        "postgres://user:password@host:5432/name?sslmode=require",
        "postgresql://user:pass@word@host/name",
        "postgres://user:pa#ss@host/name",
        "postgres:///name",
        "postgres://postgres@/name?host=/run/a@b",
        "postgres://user:password@first:5432,second:5433/name?target_session_attrs=read-write",
        "postgres://user@%2Frun%2Fpostgresql/name",
    ],
)
def test_database_url_is_accepted_when_it_can_be_used(url: str) -> None:
    assert find_database_fault(url) is None


@pytest.mark.parametrize(
    "url",
    [
        "redis://host",
        "redis://:pass@word@host:6379/0",
        "rediss://user:password@host:6380/1",
        "unix:///run/redis.sock?db=1",
    ],
)
def test_redis_url_is_accepted_when_it_can_be_used(url: str) -> None:
    assert find_redis_fault(url) is None
