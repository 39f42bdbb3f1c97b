"""Keep what a user typed into a form whose session had ended, until the same user has signed in again.

A posted form enters, and is stored in the session of the stranger that the user is now. After the sign-in it leaves,
for the same user only: a signed cookie says who used this browser last. Without that cookie nothing is kept, so that a
stranger can fill no table. A form is never carried out by itself.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from django.conf import settings
from django.core import signing
from django.http import HttpRequest, QueryDict
from django.http.response import HttpResponseBase

from batches.throttling import Rate, is_above

MAX_CHARS = 1_000_000
"""The most that is kept. Two bodies of a template are shorter."""

KEPT_SECONDS = 12 * 3600
"""How long a kept form waits for the sign-in: longer than a break, and no longer than a day of work."""

LONG_CHARS = 100_000
"""A form with more characters is a long one."""

FORMS = Rate(name="kept-forms", limit_count=20, window_seconds=KEPT_SECONDS)
LONG_FORMS = Rate(name="kept-long-forms", limit_count=5, window_seconds=KEPT_SECONDS)
"""How many forms are kept for one user: each may lie in a session of its own until it ends. That is 7 MB at most."""

USER_COOKIE_DAYS = 30

_SESSION_KEY = "kept_form"
_SALT = "batches.accounts.kept_forms"
_NOT_KEPT = ("csrfmiddlewaretoken", "password", "secret", "credential")
"""What a field's name has that is not stored: a token is an old one, and nobody's secret belongs into a session."""


@dataclass(frozen=True, kw_only=True, slots=True)
class KeptForm:
    """A form that was posted and not carried out."""

    path: str
    user_id: int
    fields: dict[str, list[str]]
    """Empty: a button without a field, or more than is kept."""
    has_file: bool = False
    """A file was chosen too. It must be chosen again."""
    is_too_long: bool = False
    """Nothing is kept: it was too long, or too many of this user's forms are kept."""
    is_stale_page: bool = False
    """The user had signed in again since the page was opened, so its token was an old one."""

    def query(self) -> QueryDict:
        """Return the fields as a view reads them."""
        query = QueryDict(mutable=True)
        for name, values in self.fields.items():
            query.setlist(name, values)
        return query


def keep_form(request: HttpRequest, *, user_id: int | None = None) -> KeptForm | None:
    """Keep a posted form in the session. Returns None if nobody knows whose it is.

    Args:
        user_id: Whose form it is, if that is known. None: the user whom the cookie names.
    """
    is_stale_page = user_id is not None
    user_id = _last_user(request) if user_id is None else user_id
    if user_id is None:
        return None
    fields = {name: values for name, values in request.POST.lists() if not any(each in name for each in _NOT_KEPT)}
    size = sum(len(name) + len(value) for name, values in fields.items() for value in values)
    is_kept = _has_room(user_id, size)
    kept = KeptForm(
        path=request.path,
        user_id=user_id,
        fields=fields if is_kept else {},
        has_file=bool(request.FILES),
        is_too_long=not is_kept,
        is_stale_page=is_stale_page,
    )
    request.session[_SESSION_KEY] = asdict(kept)
    return kept


def _has_room(user_id: int, size: int) -> bool:
    """Count a form of a user, and tell whether it may be kept. A button without a field needs no room."""
    if size > MAX_CHARS or (size and is_above(FORMS, str(user_id))):
        return False
    return size <= LONG_CHARS or not is_above(LONG_FORMS, str(user_id))


def find_kept_form(request: HttpRequest) -> KeptForm | None:
    """Return the form that is kept for the user of a request. One of another user is forgotten."""
    stored: dict[str, Any] | None = request.session.get(_SESSION_KEY)
    if stored is None or not request.user.is_authenticated:
        return None
    kept = KeptForm(**stored)
    if kept.user_id == request.user.pk:
        return kept
    forget_kept_form(request)
    return None


def has_kept_form(session: Any) -> bool:
    return _SESSION_KEY in session


def forget_kept_form(request: HttpRequest) -> None:
    request.session.pop(_SESSION_KEY, None)


def knows_user(request: HttpRequest) -> bool:
    """Whether the browser says that the user of the request used it last."""
    return _last_user(request) == request.user.pk


def remember_user(request: HttpRequest, response: HttpResponseBase) -> None:
    """Let the browser say later who used it last."""
    response.set_cookie(
        cookie_name(),
        signing.dumps(request.user.pk, salt=_SALT),
        max_age=USER_COOKIE_DAYS * 86400,
        secure=settings.SESSION_COOKIE_SECURE,
        httponly=True,
        samesite="Lax",
    )


def cookie_name() -> str:
    return "__Host-last_user" if settings.SESSION_COOKIE_SECURE else "last_user"


def _last_user(request: HttpRequest) -> int | None:
    try:
        return int(signing.loads(request.COOKIES.get(cookie_name(), ""), salt=_SALT, max_age=USER_COOKIE_DAYS * 86400))
    except (signing.BadSignature, TypeError, ValueError):
        return None
