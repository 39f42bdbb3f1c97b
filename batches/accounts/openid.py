"""Sign in at an OpenID provider: the addresses that the browser visits, and the claims that come back.

django-allauth carries out the authorization code flow with state and PKCE. This module adds the nonce, checks the ID
token by ``id_tokens``, and believes an address only if the provider has verified it.
"""

from __future__ import annotations

import logging
import time
from typing import Any

from allauth.socialaccount.adapter import get_adapter
from allauth.socialaccount.helpers import render_authentication_error
from allauth.socialaccount.models import SocialToken
from allauth.socialaccount.providers import registry
from allauth.socialaccount.providers.base import AuthProcess
from allauth.socialaccount.providers.oauth2.client import OAuth2Error
from allauth.socialaccount.providers.oauth2.views import OAuth2CallbackView, OAuth2LoginView
from allauth.socialaccount.providers.openid_connect.provider import OpenIDConnectProvider
from allauth.socialaccount.providers.openid_connect.views import OpenIDConnectOAuth2Adapter
from allauth.utils import build_absolute_uri
from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from requests import RequestException

from batches.accounts.id_tokens import IdTokenFault, make_nonce, read_id_token

logger = logging.getLogger(__name__)

MAY_CONNECT_UNTIL = "may_connect_until"
"""The session's key for the time until which the user may connect the account with the provider."""

SUBJECT_MAX_CHARS = 191
"""As long as allauth stores. The standard allows 255 (section 2), and no known provider uses them."""

STORED_CLAIMS = ("sub", "preferred_username", "name", "email", "email_verified", "auth_time")


class OpenIdAdapter(OpenIDConnectOAuth2Adapter):  # type: ignore[misc]  # allauth has no types
    """The provider's side of the flow: its documents, and its tokens."""

    @property
    def openid_config(self) -> dict[str, Any]:
        """Read the provider's discovery document. Its issuer must be ours (OpenID Connect Discovery, section 4.3)."""
        config: dict[str, Any] = super().openid_config
        if str(config.get("issuer", "")).rstrip("/") != settings.OIDC_URL.rstrip("/"):
            raise OAuth2Error("The provider at OIDC_URL says that it is another issuer.")
        return config

    def get_callback_url(self, request: HttpRequest, app: Any) -> str:
        return str(build_absolute_uri(request, reverse("openid_callback")))

    def get_access_token_data(
        self, request: HttpRequest, app: Any, client: Any, pkce_code_verifier: str | None = None
    ) -> dict[str, Any]:
        if not pkce_code_verifier:
            raise OAuth2Error("This sign-in has no PKCE verifier.")
        self._nonce = make_nonce(pkce_code_verifier)
        found: dict[str, Any] = super().get_access_token_data(request, app, client, pkce_code_verifier)
        return found

    def complete_login(self, request: HttpRequest, app: Any, token: SocialToken, **kwargs: Any) -> Any:
        claims = self._read_claims(app, str(kwargs["response"].get("id_token", "")))
        if len(claims["sub"]) > SUBJECT_MAX_CHARS:
            raise OAuth2Error("The provider's subject is longer than can be stored.")
        if "userinfo_endpoint" in self.openid_config:
            more = self._fetch_user_info(token.token)
            if more.get("sub") != claims["sub"]:  # section 5.3.2: else it is another user's
                raise OAuth2Error("The user information is that of another subject.")
            claims = {**more, **claims}
        return self.get_provider().sociallogin_from_response(request, claims)

    def _read_claims(self, app: Any, id_token: str) -> dict[str, Any]:
        with get_adapter().get_requests_session() as session:
            response = session.get(self.openid_config["jwks_uri"])
            response.raise_for_status()
        try:
            return read_id_token(
                id_token,
                keys=response.json(),
                issuer=self.openid_config["issuer"],
                client_id=app.client_id,
                nonce=self._nonce,
            )
        except IdTokenFault as exc:
            raise OAuth2Error(str(exc)) from exc


class OpenIdProvider(OpenIDConnectProvider):  # type: ignore[misc]  # allauth has no types
    """The provider of ``OIDC_URL``. Nothing in the address of a request changes what is asked of it."""

    oauth2_adapter_class = OpenIdAdapter

    def get_login_url(self, request: HttpRequest, **kwargs: Any) -> str:
        return reverse("openid_login")

    def get_callback_url(self) -> str:
        return reverse("openid_callback")

    def get_pkce_params(self) -> dict[str, str]:
        params: dict[str, str] = super().get_pkce_params()
        return {**params, "nonce": make_nonce(params["code_verifier"])}

    def get_redirect_from_request_kwargs(self, request: HttpRequest) -> dict[str, Any]:
        kwargs = super().get_redirect_from_request_kwargs(request)
        may_connect = request.session.get(MAY_CONNECT_UNTIL, 0) > time.time()
        wants = request.GET.get("process") == AuthProcess.CONNECT
        kwargs["process"] = AuthProcess.CONNECT if wants and may_connect else AuthProcess.LOGIN
        kwargs["scope"] = self.get_scope()
        # max_age=0: the provider asks for the password again, and says when in auth_time (section 3.1.2.1).
        kwargs["auth_params"] = {"prompt": "login", "max_age": "0"} if "again" in request.GET else {}
        return dict(kwargs)

    def extract_extra_data(self, data: dict[str, Any]) -> dict[str, Any]:
        """Store few claims, and the groups while they are read."""
        names = (*STORED_CLAIMS, settings.OIDC_GROUPS_CLAIM)
        return {name: data[name] for name in names if name in data}

    def extract_common_fields(self, data: dict[str, Any]) -> dict[str, Any]:
        fields: dict[str, Any] = super().extract_common_fields(data)
        if data.get("email_verified") is not True:
            fields.pop("email", None)
        return fields

    def extract_email_addresses(self, data: dict[str, Any]) -> list[Any]:
        """Leave addresses out: an account is never found by its address."""
        return []


# Not by the app of allauth in INSTALLED_APPS: that would load requests and PyJWT in every worker too.
registry.register(OpenIdProvider)


def sign_in(request: HttpRequest) -> HttpResponse:
    """Send the browser to the provider."""
    return _answer(request, OAuth2LoginView)


def finish(request: HttpRequest) -> HttpResponse:
    """Finish the sign-in with which the browser comes back from the provider."""
    return _answer(request, OAuth2CallbackView)


def sign_in_again(request: HttpRequest) -> HttpResponse:
    """Show the page that asks a user of the provider for a new proof. Its link carries the page to go back to."""
    if not settings.OIDC_URL or not request.user.is_authenticated:
        raise Http404("Nobody has to sign in again here.")
    return render(request, "account/openid_again.html", {"next": request.GET.get("next", "")})


def _answer(request: HttpRequest, view: Any) -> HttpResponse:
    if not settings.OIDC_URL:
        raise Http404("OIDC_URL is not set.")
    adapter = OpenIdAdapter(request, settings.OIDC_PROVIDER_ID)
    try:
        response: HttpResponse = view.adapter_view(adapter)(request)
    except (OAuth2Error, RequestException, KeyError, TypeError, ValueError) as exc:
        # A provider that is away, or whose documents are not as the standards say.
        logger.warning("The OpenID provider can't be used: %s", exc, extra={"action": "openid_fault"})
        response = render_authentication_error(request, adapter.get_provider(), exception=exc)
    return response
