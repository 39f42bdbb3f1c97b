"""Find the user of a request or a websocket, by a session or by a bearer token. Make and revoke tokens.

Credentials enter, a user leaves. Which batches that user may see is decided by ``Batch.objects.visible_to``.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from http.cookies import CookieError, SimpleCookie
from importlib import import_module
from typing import Any, Self

from django.conf import settings
from django.contrib.auth import get_user
from django.contrib.auth.models import User
from django.db import transaction
from django.http import HttpRequest
from django.utils import timezone

from batches import audit, factors, session_limits
from batches.models import ApiToken, AuditAction, TokenScope
from batches.models.token import ApiTokenQuerySet, digest_token

TOKEN_DAYS = 365
"""How long a token holds if nobody says otherwise."""

TOKEN_MAX_DAYS = 3650
"""The longest time that a token with an end may hold."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """The session key and the bearer token of a request or a websocket, kept so that the user can be found again."""

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
        """Read them from the scope of an ASGI connection."""
        return cls(
            bearer=parse_bearer(find_header(scope["headers"], b"authorization")),
            session_key=_find_cookie(find_header(scope["headers"], b"cookie"), settings.SESSION_COOKIE_NAME),
        )

    def find_user(self, *, scope: TokenScope = TokenScope.READ) -> User | None:
        """Read the active user from the database, or None. With a wrong token the session is not considered.

        Args:
            scope: What a token must be allowed to do. A session has every scope.
        """
        if self.bearer is not None:
            return ApiToken.objects.find_user(self.bearer, scope=scope)
        if not self.session_key:
            return None
        request = HttpRequest()
        request.session = import_module(settings.SESSION_ENGINE).SessionStore(self.session_key)
        user = get_user(request)
        if not isinstance(user, User) or not user.is_active:
            return None
        is_over = session_limits.is_over(request.session, now=timezone.now())
        return None if is_over or factors.lacks_required_factor(user) else user

    def find_sender(self) -> User | None:
        """Read the active user who may ask to send with these credentials. Whether the user may is a permission."""
        return self.find_user(scope=TokenScope.SEND)


def make_token(
    user: User, *, name: str, scopes: Iterable[TokenScope] = tuple(TokenScope), expires_at: datetime | None = None
) -> str:
    """Make an API token, write that down, and return the token. It can't be read again later."""
    with transaction.atomic():
        token = ApiToken.objects.issue(user, name=name, scopes=scopes, expires_at=expires_at)
        made = ApiToken.objects.select_related("user").get(digest=digest_token(token))
        audit.record(
            AuditAction.TOKEN_MAKE,
            made,
            user=user.pk,
            scopes=list(made.scopes),
            expires=expires_at.date().isoformat() if expires_at else None,
        )
    return token


def revoke_tokens(tokens: ApiTokenQuerySet) -> int:
    """Delete tokens, so that they hold no longer, and write that down. Returns how many there were."""
    with transaction.atomic():
        revoked = list(tokens.select_for_update().order_by("pk"))
        for token in revoked:
            audit.record(AuditAction.TOKEN_REVOKE, token, user=token.user_id)
        ApiToken.objects.filter(pk__in=[token.pk for token in revoked]).delete()
    return len(revoked)


def parse_bearer(header: str) -> str | None:
    """The token of an ``Authorization: Bearer TOKEN`` header (RFC 6750 section 2.1), or None."""
    scheme, _, token = header.partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None


def find_header(headers: Iterable[tuple[bytes, bytes]], name: bytes) -> str:
    """The first header with this lower-case name in an ASGI scope, or an empty string."""
    return next((value.decode("latin-1") for key, value in headers if key.lower() == name), "")


def _find_cookie(header: str, name: str) -> str | None:
    try:
        cookie = SimpleCookie(header).get(name)
    except CookieError:
        return None
    return cookie.value if cookie else None
