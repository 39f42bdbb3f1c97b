"""Let in the users of the OpenID provider, with the groups that its claim names. Without a group nobody is let in."""

from __future__ import annotations

import logging
from typing import Any

from allauth.core.exceptions import ImmediateHttpResponse
from allauth.socialaccount.adapter import DefaultSocialAccountAdapter
from allauth.socialaccount.providers.base import AuthError, AuthProcess
from django.conf import settings
from django.contrib.auth.models import Group, User
from django.http import HttpRequest
from django.shortcuts import render

from batches import audit
from batches.accounts.guesses import is_recorded_openid_fault
from batches.models import AuditAction

logger = logging.getLogger(__name__)

NO_GROUP = (
    "{provider} knows you, but none of your groups there may use this site. Ask your administrator to add you to one "
    "of them, then sign in again."
)


def find_groups(claims: dict[str, Any]) -> list[Group]:
    """Return the groups of this site that the claim names (``OIDC_GROUPS``)."""
    found = claims.get(settings.OIDC_GROUPS_CLAIM, [])
    values = [found] if isinstance(found, str) else found if isinstance(found, list) else []
    names = {
        settings.OIDC_GROUPS[value] for value in values if isinstance(value, str) and value in settings.OIDC_GROUPS
    }
    groups = list(Group.objects.filter(name__in=names).order_by("name"))
    for name in sorted(names - {group.name for group in groups}):
        logger.error("OIDC_GROUPS names the group %r, which does not exist. Make it in the admin.", name)
    return groups


def set_groups(user: User, groups: list[Group]) -> None:
    """Let a user have exactly these groups. A change is written down by ``audit_signals``."""
    user.groups.set(groups)


class OpenIdUsers(DefaultSocialAccountAdapter):  # type: ignore[misc]  # allauth has no types
    """Makes a user at the first sign-in, and never takes an account that exists: not by address, not by name."""

    def is_open_for_signup(self, request: HttpRequest, sociallogin: Any) -> bool:
        return True  # pre_social_login has refused everybody without a group

    def pre_social_login(self, request: HttpRequest, sociallogin: Any) -> None:
        """Set the groups of a user who exists. Refuse without a group.

        Raises:
            ImmediateHttpResponse: with the page that says why.
        """
        claims = sociallogin.account.extra_data
        sociallogin.email_addresses = []
        groups = find_groups(claims)
        # Those that the claim no longer names are gone at once, for the user's open sessions and tokens too. But a
        # user who only connects an account keeps what an administrator gave.
        if sociallogin.is_existing and sociallogin.state.get("process") != AuthProcess.CONNECT:
            set_groups(sociallogin.user, groups)
        if not groups:
            user = sociallogin.user if sociallogin.is_existing else None
            audit.record(AuditAction.SIGN_IN, user, is_refused=True, reason="no group", provider=settings.OIDC_NAME)
            reason = NO_GROUP.format(provider=settings.OIDC_NAME)
            raise ImmediateHttpResponse(render(request, "account/refused.html", {"reason": reason}, status=403))

    def save_user(self, request: HttpRequest, sociallogin: Any, form: Any = None) -> User:
        user: User = super().save_user(request, sociallogin, form)
        set_groups(user, find_groups(sociallogin.account.extra_data))
        return user

    def on_authentication_error(
        self, request: HttpRequest, provider: Any, error: Any = None, exception: Any = None, extra_context: Any = None
    ) -> None:
        if error == AuthError.CANCELLED:
            return
        logger.warning("A sign-in by OpenID failed: %s", exception or error, extra={"action": "openid_refused"})
        if is_recorded_openid_fault(request):
            audit.record(AuditAction.SIGN_IN, is_refused=True, reason="OpenID sign-in not valid")
