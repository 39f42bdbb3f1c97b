"""What django-allauth asks the site: who may sign up, how a proof is asked for again, and what an address is."""

from __future__ import annotations

import ipaddress
from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from django.conf import settings
from django.contrib.auth.base_user import AbstractBaseUser
from django.http import HttpRequest, HttpResponse
from django.urls import reverse

from batches import audit
from batches.accounts.proof import has_fresh_proof
from batches.client_address import find_client_address
from batches.models import AuditAction

NO_ADDRESS = "0.0.0.0"  # noqa: S104  (no address of ours: what the list of sessions shows for a Unix socket)


class AccountAdapter(DefaultAccountAdapter):  # type: ignore[misc]  # allauth has no types
    """Nobody signs up. A sign-in counts as a proof for a while, so that a new user can add a factor at once."""

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        return False

    def is_reauthentication_required(self, *, app: str, **kwargs: Any) -> bool:
        return not has_fresh_proof(self.request)

    def get_client_ip(self, request: HttpRequest) -> str:
        address = find_client_address(request.META.get("REMOTE_ADDR", ""), request.META.get("HTTP_X_FORWARDED_FOR", ""))
        try:
            return str(ipaddress.ip_address(address))
        except ValueError:
            return NO_ADDRESS

    def respond_user_inactive(self, request: HttpRequest, user: AbstractBaseUser) -> HttpResponse:
        """Refuse a user who is deactivated, and had the right passkey or comes from the provider."""
        audit.record(AuditAction.SIGN_IN, user, is_refused=True, reason="not active")
        response: HttpResponse = super().respond_user_inactive(request, user)
        return response

    def get_reauthentication_methods(self, user: AbstractBaseUser) -> list[dict[str, Any]]:
        """Offer the provider to a user who signs in there and has neither password nor factor here."""
        methods: list[dict[str, Any]] = super().get_reauthentication_methods(user)
        if methods or not settings.OIDC_URL or not user.is_authenticated:
            return methods
        return [{"id": "openid", "description": f"Sign in with {settings.OIDC_NAME}", "url": reverse("openid_again")}]
