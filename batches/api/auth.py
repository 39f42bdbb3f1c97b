"""Find the user of an API request: by a bearer token, or by a session with its CSRF token.

A request enters. Its user leaves, or a refusal: 401 for a token that does not hold, 403 for one without the scope.
"""

from __future__ import annotations

from django.conf import settings
from django.contrib.auth.models import User
from django.http import HttpRequest
from ninja.security import APIKeyCookie, HttpBearer
from ninja.utils import check_csrf

from batches import audit, credentials, throttling
from batches.api.errors import ApiError
from batches.client_address import find_counted_address
from batches.models import ApiToken, AuditAction, TokenScope

TEMPLATE_ROUTES = "api/templates"
"""What the addresses of templates begin with, as Django's routes write them."""


class BearerToken(HttpBearer):
    """``Authorization: Bearer TOKEN``. The page /accounts/tokens/ makes the token, or ``manage.py createapitoken``."""

    def __call__(self, request: HttpRequest) -> User | None:
        token = credentials.parse_bearer(request.headers.get("Authorization", ""))
        return self.authenticate(request, token) if token is not None else None

    def authenticate(self, request: HttpRequest, token: str) -> User:
        found = ApiToken.objects.find_usable(token)
        if found is None:
            raise _refuse_unknown(request)
        request.user = found.user
        request.api_token_name = found.name  # type: ignore[attr-defined]  # the audit names it
        request.api_token_scopes = found.scopes  # type: ignore[attr-defined]
        require_scope(request, find_scope(request))
        return found.user


def require_scope(request: HttpRequest, scope: TokenScope) -> None:
    """Go on only if the token of a request has a scope. A session has every scope.

    Raises:
        ApiError: 403, the token lacks it.
    """
    scopes = getattr(request, "api_token_scopes", None)
    if scopes is not None and scope.value not in scopes:
        raise ApiError(
            403,
            f"This token may not do this: it lacks the scope '{scope.value}'. "
            "Make a token that has it on the page /accounts/tokens/.",
            scope=scope.value,
        )


def find_scope(request: HttpRequest) -> TokenScope:
    """Return the scope that a token needs for a request: it reads, writes templates, or does anything else."""
    if request.method in ("GET", "HEAD", "OPTIONS"):
        return TokenScope.READ
    route = request.resolver_match.route if request.resolver_match else ""
    return TokenScope.TEMPLATES if route.startswith(TEMPLATE_ROUTES) else TokenScope.SEND


def _refuse_unknown(request: HttpRequest) -> ApiError:
    # Only failures are counted, so that the wrong tokens of others never delay a right one.
    peer, forwarded = request.META.get("REMOTE_ADDR", ""), request.META.get("HTTP_X_FORWARDED_FOR", "")
    if throttling.is_throttled(find_counted_address(peer, forwarded)):
        return ApiError(
            429,
            f"Your address sent too many wrong tokens. Wait {throttling.THROTTLE_SECONDS} seconds, then try again.",
            retryAfterSeconds=throttling.THROTTLE_SECONDS,
        )
    # Written down only below the limit, so that a guesser can't fill the disk with entries.
    audit.record(AuditAction.SIGN_IN, is_refused=True, by="token")
    return ApiError(
        401,
        "This token is unknown, revoked or expired, or its user has a new password. Make a new one on the page "
        "/accounts/tokens/, or with 'manage.py createapitoken USER'.",
    )


class Session(APIKeyCookie):
    """The session cookie of a logged-in user. Requests that change something also need the CSRF token.

    OpenAPI names the security scheme after this class, so a new name would break generated clients.
    """

    param_name = settings.SESSION_COOKIE_NAME

    def __call__(self, request: HttpRequest) -> User | None:
        # The user first: the check of the CSRF token reads the form, and with it a whole upload.
        user = self.authenticate(request, None)
        if user and check_csrf(request):
            raise ApiError(
                403,
                "The CSRF token is missing or wrong. Send the value of the cookie "
                f"'{settings.CSRF_COOKIE_NAME}' in the header 'X-CSRFToken', or reload the page.",
            )
        return user

    def authenticate(self, request: HttpRequest, key: str | None) -> User | None:
        return request.user if isinstance(request.user, User) and request.user.is_active else None
