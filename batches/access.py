"""Find out who is knocking, by session or by bearer token: for the API, the event streams and the sockets alike.

Credentials go in, a user comes out. What that user may see is for the querysets (``Batch.objects.visible_to``).
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie
from importlib import import_module
from typing import Any, Self, cast

import redis
from django.conf import settings
from django.contrib.auth import get_user
from django.contrib.auth.models import User
from django.http import HttpRequest
from redis.backoff import NoBackoff
from redis.retry import Retry

from batches.models import ApiToken

logger = logging.getLogger(__name__)

FAILURES_A_MINUTE = 30
"""Wrong tokens that one address may send in a minute before it is told to wait."""

THROTTLE_SECONDS = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """What a request or a socket carries to say who it is; kept to ask again later."""

    bearer: str | None
    session_key: str | None

    @classmethod
    def of_request(cls, request: HttpRequest) -> Self:
        return cls(
            bearer=parse_bearer(request.headers.get("Authorization", "")),
            session_key=request.COOKIES.get(settings.SESSION_COOKIE_NAME),
        )

    @classmethod
    def of_scope(cls, scope: dict[str, Any]) -> Self:
        """From the scope of an ASGI connection."""
        return cls(
            bearer=parse_bearer(find_header(scope["headers"], b"authorization")),
            session_key=_find_cookie(find_header(scope["headers"], b"cookie"), settings.SESSION_COOKIE_NAME),
        )

    def find_user(self) -> User | None:
        """The active user, read from the database, or None. A token that is wrong is not made good by a session."""
        if self.bearer is not None:
            return ApiToken.objects.find_user(self.bearer)
        if not self.session_key:
            return None
        request = HttpRequest()
        request.session = import_module(settings.SESSION_ENGINE).SessionStore(self.session_key)
        user = get_user(request)
        return user if isinstance(user, User) and user.is_active else None


def parse_bearer(header: str) -> str | None:
    """The token of an ``Authorization: Bearer TOKEN`` header (RFC 6750 section 2.1), or None."""
    scheme, _, token = header.partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None


def find_header(headers: Iterable[tuple[bytes, bytes]], name: bytes) -> str:
    """The first header of that lower-case name in an ASGI scope, or an empty string."""
    return next((value.decode("latin-1") for key, value in headers if key.lower() == name), "")


def _find_cookie(header: str, name: str) -> str | None:
    try:
        cookie = SimpleCookie(header).get(name)
    except CookieError:
        return None
    return cookie.value if cookie else None


def is_throttled(remote_address: str) -> bool:
    """Count one wrong token of an address; whether it has had too many this minute."""
    return add_failure(remote_address) > FAILURES_A_MINUTE


def add_failure(who: str) -> int:
    """Count one failed attempt; how many there were within THROTTLE_SECONDS of the first.

    Kept in Redis. While Redis is away nobody is throttled: that nobody could sign in would be worse.
    """
    try:
        with _connect() as client:
            pipe = client.pipeline()
            pipe.incr(_failures_key(who))
            pipe.expire(_failures_key(who), THROTTLE_SECONDS, nx=True)
            return int(pipe.execute()[0])
    except redis.RedisError:
        logger.warning("Redis is away, so failed attempts are not counted.", extra={"action": "throttle_skipped"})
        return 0


def count_failures(who: str) -> int:
    """How many attempts have failed of late."""
    try:
        with _connect() as client:
            return int(cast("bytes | None", client.get(_failures_key(who))) or 0)
    except redis.RedisError:
        return 0


def _failures_key(who: str) -> str:
    return f"emailbatch:failures:{who}"


def _connect() -> redis.Redis:
    return redis.Redis.from_url(
        settings.REDIS_URL, socket_timeout=1, socket_connect_timeout=1, retry=Retry(NoBackoff(), 0)
    )
