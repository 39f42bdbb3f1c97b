"""The wait that a reply states: lengths and times, in the forms and languages in which relays write them."""

from __future__ import annotations

import time
from email.utils import formatdate

import pytest

from batches.smtp.stated_waits import find_stated_wait


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("try again in 12 minutes", 720),
        ("Please retry after 30 seconds.", 30),
        ("retry in 45s", 45),
        ("You are blocked for 2 hours", 7200),
        ("please wait at least 5 min", 300),
        ("the quota will reset in 1.5 hours", 5400),
        ("try again in 90 hours", 86400),
        ("try again in 0 seconds", 1),
        ("try again in 43 minutes 12 seconds", 2592),
        ("Try again in 1 hour and 30 minutes", 5400),
        ("Retry in 1h30m", 5400),
        ("retry in 1,5 hours", 5400),
        ("Please retry in 00:10:00", 600),
        ("retry in 5-10 minutes", 600),
        ("retry after 2 days", 86400),
        ("retry after 90000ms", 90),
        ("Retry-After: 120", 120),
        ("try again in one minute", 60),
        ("try again in an hour", 3600),
        ("Bitte versuchen Sie es in 5 Minuten erneut", 300),
        ("Veuillez réessayer dans 15 minutes", 900),
        ("Intente de nuevo en 20 minutos", 1200),
        ("try again after 2099-10-05T19:22:44Z", 86400),
        ("suspended until 2099-10-05 19:22:44 +02:00", 86400),
        ("try again after 2099-10-05 19:22:44", None),
        ("your last retry was 5 minutes ago", None),
        ("100 messages in 60 minutes are allowed, try again later", None),
        ("try again: 400 recipients per 24 hours", None),
        ("try again with 5 mails", None),
        ("delayed 5 months", None),
        ("try again later", None),
        ("limit of 400 recipients per 24 hours", None),
        ("try again after Sun, 05 Oct 2025 19:22:44 UTC", None),
        ("try again after Sun, 99 Foo 2025 19:22:44 UTC", None),
    ],
)
def test_stated_wait_is_read(text: str, seconds: float | None) -> None:
    assert find_stated_wait(text) == seconds


def test_stated_time_is_read_when_it_is_to_come() -> None:
    stated = formatdate(time.time() + 600, usegmt=True)
    seconds = find_stated_wait(f"recipient limit exceeded, try again after {stated}")
    assert seconds is not None
    assert 590 < seconds <= 600


def test_long_text_takes_no_time() -> None:
    """A relay chooses the text. Each takes under a millisecond; a second would show an expression that explodes."""
    began = time.perf_counter()
    for piece in ("again a ", "try 1h,", "retry ", "1 h ", "again 1 ", "1", "a"):
        find_stated_wait((piece * 500)[:500])
    assert time.perf_counter() - began < 1
