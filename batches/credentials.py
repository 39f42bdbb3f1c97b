"""Find out who is knocking, by session or by bearer token: for the API, the event streams and the sockets alike.

Credentials go in, a user comes out. What that user may see is for the querysets (``Batch.objects.visible_to``).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie
from importlib import import_module
from typing import Any, Self

from django.conf import settings
from django.contrib.auth import get_user
from django.contrib.auth.models import User
from django.http import HttpRequest

from batches.models import ApiToken


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
