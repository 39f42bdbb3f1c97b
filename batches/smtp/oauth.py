"""How a relay's access tokens are requested: the OAuth client of one EMAIL_URL with ``?oauth=``.

The values of EMAIL_OAUTH_* enter, and a client leaves, or a sentence that says which variable is missing. The request
itself is in ``token_endpoint``. No message, ``repr`` or log contains a secret.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from urllib.parse import quote, urlsplit

CLIENT_VARIABLES = (
    "CLIENT_ID",
    "CLIENT_SECRET",
    "TENANT",
    "REFRESH_TOKEN",
    "SERVICE_ACCOUNT",
    "SCOPE",
    "TOKEN_URL",
)
"""The ends of the variables EMAIL_OAUTH_<NAME>_*. Each may also be read from a file."""

MICROSOFT, GOOGLE, OTHER = "microsoft", "google", "other"
PROVIDERS = (MICROSOFT, GOOGLE, OTHER)
"""The values of ``?oauth=``."""

MICROSOFT_TOKEN_URL = "https://login.microsoftonline.com/{tenant}/oauth2/v2.0/token"  # noqa: S105  (an address)
GOOGLE_TOKEN_URL = "https://oauth2.googleapis.com/token"  # noqa: S105  (an address)
GOOGLE_SCOPE = "https://mail.google.com/"
MICROSOFT_APPLICATION_SCOPE = "https://outlook.office365.com/.default"
MICROSOFT_USER_SCOPE = "https://outlook.office.com/SMTP.Send offline_access"


class OAuthSettingsError(ValueError):
    """The variables of a relay's OAuth client cannot be used. The message is a sentence without any of their values."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ServiceAccount:
    """The key of a Google service account, with which a request signs itself (RFC 7523)."""

    email: str
    private_key: str = field(repr=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class OAuthClient:
    """What a request for an access token needs.

    With a service account, the request is signed with its key (RFC 7523). With a refresh token it is a refresh (RFC
    6749 section 6), otherwise a request with client credentials (section 4.4).
    """

    user: str
    """The mailbox that the token is for."""
    token_url: str
    client_id: str
    client_secret: str = field(repr=False)
    refresh_token: str = field(default="", repr=False)
    service_account: ServiceAccount | None = None
    scope: str
    variables: str
    """The beginning of its variables, for sentences: ``EMAIL_OAUTH_M365_``."""

    @property
    def endpoint_host(self) -> str:
        return urlsplit(self.token_url).hostname or ""


def make_client(provider: str, values: Mapping[str, str], *, user: str, variables: str) -> OAuthClient:
    """Make the client of one relay.

    Args:
        provider: one of ``PROVIDERS``.
        values: the values of the relay's variables, by the end of their names (``CLIENT_VARIABLES``).
        user: the user name in EMAIL_URL.
        variables: the beginning of the variables' names.

    Raises:
        OAuthSettingsError: a variable is missing or cannot be used.
    """
    service_account = _read_service_account(values, variables)
    if provider == GOOGLE and not (service_account or values.get("REFRESH_TOKEN")):
        raise OAuthSettingsError(
            f"Google needs {variables}REFRESH_TOKEN with a client, or {variables}SERVICE_ACCOUNT. Set one of them."
        )
    if not service_account:
        _refuse_missing(values, ("CLIENT_ID",), variables)
    # A public client (RFC 6749 section 2.1), such as an installed program, has no secret.
    if not (service_account or values.get("REFRESH_TOKEN")):
        _refuse_missing(values, ("CLIENT_SECRET",), variables)
    return OAuthClient(
        user=user,
        token_url=_find_token_url(provider, values, variables),
        client_id=values.get("CLIENT_ID", ""),
        client_secret=values.get("CLIENT_SECRET", ""),
        refresh_token=values.get("REFRESH_TOKEN", ""),
        service_account=service_account,
        scope=values.get("SCOPE") or _find_scope(provider, values, is_signed=service_account is not None),
        variables=variables,
    )


def _refuse_missing(values: Mapping[str, str], needed: tuple[str, ...], variables: str) -> None:
    for name in needed:
        if not values.get(name):
            raise OAuthSettingsError(f"{variables}{name} is not set. Set it, or name a file in {variables}{name}_FILE.")


def _find_token_url(provider: str, values: Mapping[str, str], variables: str) -> str:
    if given := values.get("TOKEN_URL"):
        return _check_token_url(given, variables)
    if provider == GOOGLE:
        return GOOGLE_TOKEN_URL
    needed = "TENANT" if provider == MICROSOFT else "TOKEN_URL"
    _refuse_missing(values, (needed,), variables)
    return MICROSOFT_TOKEN_URL.format(tenant=quote(values["TENANT"], safe=""))


def _check_token_url(url: str, variables: str) -> str:
    """Refuse an address to which a secret must not go: anything without TLS, except on this machine."""
    fault = OAuthSettingsError(f"{variables}TOKEN_URL must be an address like https://login.example.org/token")
    try:
        parts = urlsplit(url)
        is_usable = bool(parts.hostname) and parts.port != 0 and parts.username is None
    except ValueError:
        raise fault from None
    if not is_usable or not (parts.scheme == "https" or (parts.scheme == "http" and is_loopback(parts.hostname or ""))):
        raise fault
    return url


def is_loopback(host: str) -> bool:
    """Say whether a host is this machine."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _find_scope(provider: str, values: Mapping[str, str], *, is_signed: bool) -> str:
    if provider == MICROSOFT:
        return MICROSOFT_USER_SCOPE if values.get("REFRESH_TOKEN") else MICROSOFT_APPLICATION_SCOPE
    # A refresh at Google keeps the scope that the user allowed, and names none.
    return GOOGLE_SCOPE if provider == GOOGLE and is_signed else ""


def _read_service_account(values: Mapping[str, str], variables: str) -> ServiceAccount | None:
    """Read the JSON file that Google gives for a service account's key."""
    text = values.get("SERVICE_ACCOUNT", "")
    if not text:
        return None
    try:
        account = json.loads(text)
        return ServiceAccount(email=str(account["client_email"]), private_key=str(account["private_key"]))
    except (ValueError, KeyError, TypeError, RecursionError):  # from None: Python's own error shows the text
        raise OAuthSettingsError(
            f"{variables}SERVICE_ACCOUNT is not the JSON key of a service account. Name the file that Google gave in "
            f"{variables}SERVICE_ACCOUNT_FILE."
        ) from None
