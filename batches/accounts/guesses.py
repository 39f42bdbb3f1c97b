"""Limit guesses of passwords and codes: per name, per address, per address over many names, and per known device.

A form checks a secret inside ``guessing``. The attempt is counted before the check. The answer of a limit is the same
for a name that exists and for one that does not.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum

from django.core.exceptions import ValidationError
from django.http import HttpRequest

from batches import audit, throttling
from batches.accounts.devices import digest_name, find_device
from batches.audit_signals import find_named
from batches.client_address import find_counted_address
from batches.models import AuditAction
from batches.throttling import Counter, Limit

DAY = 86400
PER_NAME = Limit(name="name", free_count=10, forget_seconds=DAY)
PER_DEVICE = Limit(name="device", free_count=10, longest_wait_seconds=900, forget_seconds=DAY)
PER_ADDRESS = Limit(name="address", free_count=50, longest_wait_seconds=900, forget_seconds=3600)
OPENID_PER_ADDRESS = Limit(name="openid", free_count=20, longest_wait_seconds=900, forget_seconds=3600)
NAMES_PER_ADDRESS = Limit(name="names", free_count=20, forget_seconds=3600, counts_members=True)


class Secret(StrEnum):
    """What is guessed. Each has its own counts."""

    PASSWORD = "password"  # noqa: S105  (a kind)
    CODE = "code"


class TooManyGuesses(Exception):
    """Too many attempts were wrong. This one was not checked."""

    http_status = 429

    def __init__(self, wait_seconds: int) -> None:
        super().__init__(f"There were too many wrong attempts. Wait {say_wait(wait_seconds)}, then try again.")
        self.wait_seconds = wait_seconds


def say_wait(seconds: int) -> str:
    """Say a wait in whole minutes: ``"a minute"``, ``"15 minutes"``."""
    minutes = -(-seconds // 60)
    return "a minute" if minutes <= 1 else f"{minutes} minutes"


@contextmanager
def guessing(request: HttpRequest, *, name: str, secret: Secret) -> Iterator[None]:
    """Check a secret inside this context: count the attempt first, and uncount it if no ValidationError is raised.

    Raises:
        TooManyGuesses: the secret must not be checked now.
    """
    counters = _counters(request, name, secret)
    taken = throttling.take(counters)
    if taken.wait_seconds:
        raise TooManyGuesses(taken.wait_seconds)
    try:
        yield
    except ValidationError:
        if taken.is_last_free:
            _record_limit(name, secret)
        raise
    throttling.uncount(counters)


def is_recorded_openid_fault(request: HttpRequest) -> bool:
    """Count a sign-in by OpenID that failed, and tell whether it is written down.

    Nothing was guessed, but anybody can open the address to which the provider leads, with whatever is in it.
    """
    counter = Counter(limit=OPENID_PER_ADDRESS, key=_counted_address(request))
    return not throttling.take([counter]).wait_seconds


def _counted_address(request: HttpRequest) -> str:
    return find_counted_address(request.META.get("REMOTE_ADDR", ""), request.META.get("HTTP_X_FORWARDED_FOR", ""))


def _counters(request: HttpRequest, name: str, secret: Secret) -> list[Counter]:
    digest = digest_name(name)
    # A session that is signed in, and a known device, are counted for themselves. A stranger has neither.
    own = request.session.session_key if request.user.is_authenticated else find_device(request, name)
    if own:
        return [Counter(limit=PER_DEVICE, key=f"{secret}:{own}:{digest}")]
    address = _counted_address(request)
    return [
        Counter(limit=PER_NAME, key=f"{secret}:{digest}"),
        Counter(limit=PER_ADDRESS, key=address),
        Counter(limit=NAMES_PER_ADDRESS, key=address, member=digest),
    ]


def _record_limit(name: str, secret: Secret) -> None:
    # A name of no user is not written down: people type passwords and addresses into the wrong field.
    user = find_named(name.strip())
    audit.record(AuditAction.SIGN_IN, user, is_refused=True, reason="too many wrong attempts", secret=str(secret))
