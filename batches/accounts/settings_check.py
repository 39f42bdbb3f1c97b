"""System checks of the settings of signing in. They read settings only."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Sequence
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, register

BAD_OPENID = "batches.E030"
BAD_SESSION_LIMIT = "batches.E031"


@register(Tags.security)
def check_openid(app_configs: Sequence[Any] | None, **kwargs: Any) -> list[CheckMessage]:
    """Refuse an OpenID provider that could not be used, or whose answers anybody could change on the way."""
    return list(_openid_errors()) if settings.OIDC_URL else []


def _openid_errors() -> Iterator[CheckMessage]:
    for name in ("OIDC_CLIENT_ID", "OIDC_CLIENT_SECRET", "OIDC_GROUPS"):
        if not getattr(settings, name):
            yield Error(f"OIDC_URL is set, and {name} is not.", hint="Set it: see docs/signing-in.md.", id=BAD_OPENID)
    parts = urlsplit(settings.OIDC_URL)
    if not parts.hostname or parts.scheme not in ("http", "https"):
        hint = "Write the issuer as the provider states it, such as https://login.example.org/realms/town."
        yield Error("OIDC_URL is not an address.", hint=hint, id=BAD_OPENID)
    elif parts.scheme == "http" and not _is_loopback(parts.hostname):
        hint = "Write https://. Over http, anybody on the way could sign in as anybody."
        yield Error("OIDC_URL is not encrypted.", hint=hint, id=BAD_OPENID)
    if "openid" not in settings.OIDC_SCOPES.split():
        yield Error("OIDC_SCOPES lacks openid.", hint="Add it: OIDC_SCOPES='openid profile email'.", id=BAD_OPENID)


@register(Tags.security)
def check_session_limits(app_configs: Sequence[Any] | None, **kwargs: Any) -> list[CheckMessage]:
    """Refuse sessions and proofs that would be over at once, and a negative limit."""
    seconds = ("SESSION_IDLE_SECONDS", "SESSION_MAX_SECONDS", "REAUTHENTICATE_SECONDS")
    wrong = [name for name in seconds if getattr(settings, name) < 60]
    wrong += [name for name in ("REAUTHENTICATE_ABOVE",) if getattr(settings, name) < 0]
    hint = "Set what is in seconds to 60 or more, and REAUTHENTICATE_ABOVE to 0 or more."
    return [
        Error(f"{name} is {getattr(settings, name)}, which is too small.", hint=hint, id=BAD_SESSION_LIMIT)
        for name in wrong
    ]


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
