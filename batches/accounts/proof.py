"""Whether a user proved recently who it is, and how a page asks for the proof again.

A page that sends to many calls ``require_fresh_proof``. If the proof is too old, the user is asked for the password, a
code or a passkey. Then the form that was posted is carried out as it was posted, so nothing typed is lost.
"""

from __future__ import annotations

import time
from typing import Any

from allauth.account.authentication import get_authentication_records
from allauth.core.exceptions import ReauthenticationRequired
from django.conf import settings
from django.http import HttpRequest

OPENID_AUTH_TIME = "openid_auth_time"
"""The session's key for the time at which the OpenID provider asked the user for a password or factor."""

OWN_METHODS = ("password", "mfa")
"""What allauth calls the proofs that were checked here."""


def has_fresh_proof(request: HttpRequest) -> bool:
    """Whether the user of the session entered a password or factor in the last ``REAUTHENTICATE_SECONDS``.

    A sign-in by OpenID Connect counts from the time at which the provider asked for the password. A provider that does
    not say when that was proves nothing.
    """
    if not request.user.is_authenticated:
        return False
    records = get_authentication_records(request, request.user)
    newest = max((_proved_at(request, record) for record in records), default=0.0)
    return time.time() - newest < settings.REAUTHENTICATE_SECONDS


def needs_proof(request: HttpRequest, *, recipient_count: int) -> bool:
    """Whether a send to so many recipients needs a newer proof (``REAUTHENTICATE_ABOVE``, 0 is off)."""
    above = settings.REAUTHENTICATE_ABOVE
    return bool(above) and recipient_count > above and not has_fresh_proof(request)


def require_fresh_proof(request: HttpRequest, *, recipient_count: int) -> None:
    """Go on only with a proof that is new enough for so many recipients. For pages: a POST is continued afterwards.

    The page's address must have no query, because allauth compares the address without one.

    Raises:
        ReauthenticationRequired: allauth's middleware answers it with a redirect to the page that asks.
    """
    if needs_proof(request, recipient_count=recipient_count):
        raise ReauthenticationRequired


def find_proof_refusal(request: HttpRequest, *, recipient_count: int) -> str:
    """Say where to prove it before a send to so many recipients, for a door that can't ask. Empty: no need."""
    if not needs_proof(request, recipient_count=recipient_count):
        return ""
    return (
        f"A send to more than {settings.REAUTHENTICATE_ABOVE:,} recipients needs a new proof that it is you. Enter "
        "your password or a code at /accounts/reauthenticate/, then send the request again."
    )


def require_proof(request: HttpRequest) -> None:
    """Go on only with a new proof, whatever the settings. For what outlives the session, as a token or an erasure.

    Raises:
        ReauthenticationRequired: as above.
    """
    if not has_fresh_proof(request):
        raise ReauthenticationRequired


def remember_openid_proof(request: HttpRequest, claims: dict[str, Any]) -> None:
    """Keep in the session when the provider asked for the password. A time in the future proves nothing."""
    auth_time = claims.get("auth_time")
    is_past = isinstance(auth_time, int | float) and 0 < auth_time <= time.time() + 60
    request.session[OPENID_AUTH_TIME] = auth_time if is_past else 0


def _proved_at(request: HttpRequest, record: dict[str, Any]) -> float:
    if record.get("method") in OWN_METHODS:
        return float(record["at"])
    return float(request.session.get(OPENID_AUTH_TIME, 0))
