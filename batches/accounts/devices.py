"""Know a device on which a user has signed in before, by a signed cookie.

A known device has its own count of guesses. So a stranger's guesses never keep the user's own devices out.
"""

from __future__ import annotations

import hashlib
import secrets
import unicodedata
from typing import Any

from django.conf import settings
from django.contrib.auth.models import User
from django.core import signing
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from batches.audit_signals import USERNAME_MAX_CHARS

PATH = "/accounts/"
DAYS = 180
NAMES_MAX = 20
"""The most accounts that one device is known for. The oldest is forgotten."""

_SALT = "batches.accounts.devices"


def normalise_name(name: str) -> str:
    """Return one form for all spellings of a name that Django looks up alike, and for all cases.

    Django looks a name up in its form NFKC, in which full-width and other styles of a letter are the same letter. A
    longer text than a name can be is cut first: the form of 160,000 accents takes half a minute, in which nothing else
    runs in this process.
    """
    return unicodedata.normalize("NFKC", User.normalize_username(name.strip()[:USERNAME_MAX_CHARS]).casefold())


def digest_name(name: str) -> str:
    return hashlib.sha256(normalise_name(name).encode("utf-8", "surrogatepass")).hexdigest()[:32]


def cookie_name() -> str:
    """Return the cookie's name. A browser takes the prefix over https only (RFC 6265bis, section 4.1.3)."""
    return "__Secure-known_device" if settings.SESSION_COOKIE_SECURE else "known_device"


def find_device(request: HttpRequest, name: str) -> str | None:
    """Return the id of the device if this user has signed in on it, or None."""
    found = _read(request)
    return str(found["id"]) if digest_name(name) in found["names"] else None


def remember_device(request: HttpRequest, response: HttpResponseBase, name: str) -> None:
    """Let the device be known for this user."""
    found = _read(request)
    digest = digest_name(name)
    names = [*[known for known in found["names"] if known != digest][-(NAMES_MAX - 1) :], digest]
    response.set_cookie(
        cookie_name(),
        signing.dumps({"id": found["id"], "names": names}, salt=_SALT),
        max_age=DAYS * 86400,
        path=PATH,
        secure=settings.SESSION_COOKIE_SECURE,
        httponly=True,
        samesite="Lax",
    )


def _read(request: HttpRequest) -> dict[str, Any]:
    try:
        found = signing.loads(request.COOKIES.get(cookie_name(), ""), salt=_SALT, max_age=DAYS * 86400)
        return {"id": str(found["id"]), "names": list(found["names"])}
    except (signing.BadSignature, KeyError, TypeError):
        return {"id": secrets.token_urlsafe(16), "names": []}
