"""What the pages of an account need to know. Each value is read only if a template asks for it."""

from __future__ import annotations

from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest

from batches import factors
from batches.accounts.passkeys import has_passkey_host


def account(request: HttpRequest) -> dict[str, bool | Callable[[], bool]]:
    """Return values for templates, which call what can be called."""
    return {
        "has_openid": bool(settings.OIDC_URL),
        "has_passkey_host": lambda: has_passkey_host(request),
        "factor_wanted": lambda: request.user.is_authenticated and factors.lacks_required_factor(request.user),
    }
