"""One request to a token endpoint: an OAuth client enters, and an access token leaves.

An endpoint that gives none raises a TokenError, whose sentence says what to do. It contains no token and no secret,
whatever the endpoint answers.
"""

from __future__ import annotations

import base64
import http.client
import json
import re
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from email.message import Message
from typing import IO, Any
from urllib.parse import quote, quote_plus, urlencode

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from batches.smtp.oauth import OAuthClient, ServiceAccount, is_loopback

TIMEOUT_SECONDS = 10
"""How long the endpoint may stay silent."""

ANSWER_MAX_BYTES = 65_536

ANSWER_MAX_SECONDS = 20
"""How long a request may take in all. Less than RENEWAL_MAX_SECONDS, after which another process renews."""

ASSUMED_LIFE_SECONDS = 300.0
"""The life of a token whose answer names none. RFC 6749 section 5.1 only recommends that it does."""

WAIT_MAX_SECONDS = 900.0
"""The longest wait that an endpoint's Retry-After may ask for."""

ASSERTION_SECONDS = 3600
"""How long a signed request is valid, which is the most that Google allows."""

# The characters of a bearer token (RFC 6750 section 2.1), and those of others that are in use. A control character
# would end the SASL message, and a line break the command.
_TOKEN = re.compile(r"[\x21-\x7e]+")

_SECRET_FIELDS = ("client_secret", "refresh_token", "assertion")
"""The fields of a request that no message may repeat."""

_AADSTS = re.compile(r"AADSTS\d{4,9}")

_CLOCK = re.compile("iat and exp")
"""Google's words about the times in a signed request (RFC 7519 section 4.1)."""

# Microsoft's codes and OAuth's errors (RFC 6749 section 5.2), and what a person does about each. The first that the
# answer contains is used. {v} is the beginning of the relay's variables.
_ADVICE = {
    "AADSTS7000222": "The client secret has expired. Make a new one and set {v}CLIENT_SECRET.",
    "AADSTS7000215": "The client secret is wrong. Set {v}CLIENT_SECRET to its value, not to its ID.",
    "AADSTS7000112": "The application is disabled in the tenant. Enable it there.",
    "AADSTS700016": "The application is not in this tenant. Check {v}CLIENT_ID and {v}TENANT.",
    "AADSTS90002": "The tenant does not exist. Check {v}TENANT.",
    "AADSTS900023": "The tenant is not a name or an ID. Check {v}TENANT.",
    "AADSTS700082": "The refresh token was not used for too long. Sign in again and set {v}REFRESH_TOKEN.",
    "AADSTS70008": "The refresh token has expired. Sign in again and set {v}REFRESH_TOKEN.",
    "AADSTS50173": "The password was changed since. Sign in again and set {v}REFRESH_TOKEN.",
    "AADSTS65001": "Nobody has consented to the application. An administrator of the tenant has to grant it.",
    "AADSTS50076": "The sign-in needs a second factor. Sign in again and set {v}REFRESH_TOKEN.",
    "AADSTS53003": "A conditional access policy of the tenant blocks it. Its administrator has to allow it.",
    "AADSTS70011": "The scope is wrong. Check {v}SCOPE.",
    "iat and exp": "The clock of this machine is wrong. Set it.",
    "invalid_client": "The client is unknown, or its secret is wrong. Check {v}CLIENT_ID and {v}CLIENT_SECRET.",
    "invalid_grant": "The refresh token or the key is revoked or expired. Sign in again and set {v}REFRESH_TOKEN, or "
    "make a new key.",
    "unauthorized_client": "The client may not request tokens in this way. Allow it, with the scope of SMTP, where the "
    "client is registered.",
    "invalid_scope": "The scope is wrong. Check {v}SCOPE.",
    "access_denied": "The account's administrator does not allow it. Allow the client where it is registered.",
    "unsupported_grant_type": "The endpoint does not know this kind of request. Check {v}TOKEN_URL.",
}


class TokenError(Exception):
    """The token endpoint gave no token. The message is a sentence without any secret."""

    def __init__(self, message: str, *, wait_seconds: float | None = None) -> None:
        super().__init__(message)
        self.wait_seconds = wait_seconds


@dataclass(frozen=True, kw_only=True, slots=True)
class Grant:
    """An endpoint's answer. ``life_seconds`` counts from before the request, so it is never too long."""

    access_token: str = field(repr=False)
    life_seconds: float
    refresh_token: str = field(default="", repr=False)
    """A new refresh token, if the endpoint replaced the one that was used."""


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """Follow no redirect: the secret must not go to an address that nobody has set."""

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Message, newurl: str
    ) -> None:
        return None


def request_token(client: OAuthClient, *, refresh_token: str = "") -> Grant:
    """Request an access token. This blocks: call it in a thread.

    ``refresh_token`` replaces the client's own, if the endpoint gave a newer one before.

    Raises:
        TokenError: there is none. Its message says what to do.
    """
    begun_at = time.monotonic()
    form = _make_form(client, refresh_token or client.refresh_token)
    # S310: the address was checked when the client was made, so it is https, or http on this machine.
    request = urllib.request.Request(  # noqa: S310
        client.token_url,
        data=urlencode(form).encode(),
        headers={"Accept": "application/json", "User-Agent": "emailbatch"},
    )
    proxies = [urllib.request.ProxyHandler({})] if is_loopback(client.endpoint_host) else []
    opener = urllib.request.build_opener(_NoRedirects, *proxies)
    try:
        with opener.open(request, timeout=TIMEOUT_SECONDS) as response:
            answer = _read_answer(response, until=begun_at + ANSWER_MAX_SECONDS)
    except urllib.error.HTTPError as exc:
        with exc:
            raise _explain_refusal(client, exc, form=form) from None  # from None: a traceback could show the request
    except (OSError, ValueError, http.client.HTTPException) as exc:
        raise TokenError(_explain_outage(client, exc)) from None
    return _read_grant(client, answer, seconds=time.monotonic() - begun_at)


def _read_answer(response: http.client.HTTPResponse, *, until: float) -> bytes:
    """Read the body, at most until this time of ``time.monotonic``, however slowly it comes.

    Raises:
        TimeoutError: it had not ended by then.
    """
    answer = b""
    while len(answer) < ANSWER_MAX_BYTES and (piece := response.read1(ANSWER_MAX_BYTES)):
        answer += piece
        if time.monotonic() > until:
            raise TimeoutError
    return answer


def _make_form(client: OAuthClient, refresh_token: str) -> dict[str, str]:
    if client.service_account is not None:
        grant = "urn:ietf:params:oauth:grant-type:jwt-bearer"
        return {"grant_type": grant, "assertion": _sign(client, client.service_account)}
    form = {"client_id": client.client_id, "client_secret": client.client_secret, "scope": client.scope}
    if refresh_token:
        form |= {"grant_type": "refresh_token", "refresh_token": refresh_token}
    else:
        form |= {"grant_type": "client_credentials"}
    return {name: value for name, value in form.items() if value}


def _sign(client: OAuthClient, account: ServiceAccount) -> str:
    """Return the signed assertion (RFC 7523 section 2.1, a JSON Web Token with RS256)."""
    now = int(time.time())
    claims = {
        "iss": account.email,
        "sub": client.user,
        "scope": client.scope,
        "aud": client.token_url,
        "iat": now,
        "exp": now + ASSERTION_SECONDS,
    }
    signed = b".".join(_encode(json.dumps(part).encode()) for part in ({"alg": "RS256", "typ": "JWT"}, claims))
    signature = read_key(client, account).sign(signed, padding.PKCS1v15(), hashes.SHA256())
    return b".".join((signed, _encode(signature))).decode()


def read_key(client: OAuthClient, account: ServiceAccount) -> rsa.RSAPrivateKey:
    """Return the key of a service account.

    Raises:
        TokenError: it is none.
    """
    try:
        key = load_pem_private_key(account.private_key.encode(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, rsa.RSAPrivateKey):
        raise TokenError(
            f"The private key in {client.variables}SERVICE_ACCOUNT cannot be read. Make a new JSON key at Google."
        )
    return key


def _encode(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def _read_grant(client: OAuthClient, answer: bytes, *, seconds: float) -> Grant:
    fields = _read_fields(answer)
    access_token = fields.get("access_token")
    if not isinstance(access_token, str) or not _TOKEN.fullmatch(access_token):
        raise TokenError(
            f"The token endpoint {client.endpoint_host} answered without an access token. "
            f"Check {client.variables}TOKEN_URL."
        )
    refresh_token = fields.get("refresh_token")
    return Grant(
        access_token=access_token,
        life_seconds=_read_seconds(fields.get("expires_in"), otherwise=ASSUMED_LIFE_SECONDS) - seconds,
        refresh_token=refresh_token if isinstance(refresh_token, str) else "",
    )


def _read_fields(answer: bytes) -> dict[str, Any]:
    try:
        fields = json.loads(answer)
    except (ValueError, RecursionError):
        return {}
    return fields if isinstance(fields, dict) else {}


def _read_seconds(value: object, *, otherwise: float) -> float:
    """Read a number of seconds, which some endpoints write as text."""
    try:
        seconds = float(str(value))
    except ValueError:
        return otherwise
    return seconds if 0 < seconds < 1e9 else otherwise  # not NaN either


def _explain_refusal(client: OAuthClient, exc: urllib.error.HTTPError, *, form: dict[str, str]) -> TokenError:
    try:
        fields = _read_fields(exc.read(ANSWER_MAX_BYTES))
    except (OSError, http.client.HTTPException):
        fields = {}
    host, error = client.endpoint_host, str(fields.get("error") or "")
    if exc.code == 429 or exc.code >= 500 or error in ("temporarily_unavailable", "server_error"):
        wait = exc.headers.get("Retry-After")
        wait_seconds = min(_read_seconds(wait, otherwise=0), WAIT_MAX_SECONDS) or None
        message = f"The token endpoint {host} gives no token now (HTTP {exc.code}). It is asked again."
        return TokenError(message, wait_seconds=wait_seconds)
    if exc.code in (301, 302, 303, 307, 308):
        return TokenError(f"The token endpoint {host} redirects. Set {client.variables}TOKEN_URL to the new address.")
    detail = " ".join(str(fields.get("error_description") or "").split())
    known = (error, *_AADSTS.findall(detail), *_CLOCK.findall(detail))
    named = next((name for name in _ADVICE if name in known), "")
    reason = " ".join(dict.fromkeys(filter(None, (_show(error, form), *_AADSTS.findall(detail)[:1]))))
    reason = reason or f"HTTP {exc.code}"
    # A text of the endpoint's own is shown only where we have no better one.
    advice = _ADVICE[named].format(v=client.variables) if named else _show(detail, form)
    advice = advice or f"Check {client.variables}TOKEN_URL and the values beside it."
    return TokenError(f"The token endpoint {host} refused us ({reason}). {advice}")


def _show(text: str, form: dict[str, str]) -> str:
    """Return a text of the endpoint for a sentence: short, in one line, and without any secret that it repeats.

    The secrets are those of the form that was sent, the newest refresh token among them, as they are and as sent.
    """
    for secret in filter(None, (form.get(name) for name in _SECRET_FIELDS)):
        for written in (secret, quote_plus(secret), quote(secret, safe="")):
            text = text.replace(written, "***")
    return re.sub(r"[^\x20-\x7e]", "?", text)[:200]


def _explain_outage(client: OAuthClient, exc: Exception) -> str:
    host, cause = client.endpoint_host, getattr(exc, "reason", exc)
    if isinstance(cause, TimeoutError):
        return f"The token endpoint {host} does not answer. Check that this machine may reach it."
    reason = cause.strerror if isinstance(cause, OSError) and cause.strerror else type(cause).__name__
    return f"The token endpoint {host} can't be reached: {reason}. Check that this machine may reach it."
