"""Find the user of an API request: by a bearer token, or by a session with its CSRF token."""

from __future__ import annotations

from django.conf import settings
from django.contrib.auth.models import User
from django.http import HttpRequest
from ninja.security import APIKeyCookie, HttpBearer
from ninja.utils import check_csrf

from batches import credentials, throttling
from batches.api.errors import ApiError
from batches.models import ApiToken


class BearerToken(HttpBearer):
    """``Authorization: Bearer TOKEN``. ``manage.py createapitoken`` makes the token."""

    def __call__(self, request: HttpRequest) -> User | None:
        token = credentials.parse_bearer(request.headers.get("Authorization", ""))
        return self.authenticate(request, token) if token is not None else None

    def authenticate(self, request: HttpRequest, token: str) -> User:
        user = ApiToken.objects.find_user(token)
        if user:
            request.user = user
            return user
        # Only failures are counted, so that the wrong tokens of others never delay a right one.
        if throttling.is_throttled(request.META.get("REMOTE_ADDR", "")):
            raise ApiError(
                429,
                f"Your address sent too many wrong tokens. Wait {throttling.THROTTLE_SECONDS} seconds, then try again.",
                retryAfterSeconds=throttling.THROTTLE_SECONDS,
            )
        raise ApiError(401, "This token is unknown. Make a new one with 'manage.py createapitoken USER'.")


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
