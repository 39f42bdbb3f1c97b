"""Check the ID token of an OpenID provider (OpenID Connect Core 1.0, section 3.1.3.7). A token enters, claims leave.

PyJWT checks the signature, the times, the issuer and the audience. The nonce and the authorised party are checked here.
The signature is always checked, although the token comes over TLS from the provider itself.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from typing import Any

import jwt

ALGORITHMS = frozenset(("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"))
"""Signatures with a public key. Never ``none``, and never HS256, whose key would be the published one."""

CLOCK_LEEWAY_SECONDS = 30
REQUIRED_CLAIMS = ("iss", "sub", "aud", "exp", "iat")


class IdTokenFault(Exception):
    """The token of the provider cannot be believed. The message is for the log."""


def make_nonce(code_verifier: str) -> str:
    """Return the nonce of a sign-in: a digest of its PKCE verifier, which only our session has (RFC 7636)."""
    digest = hashlib.sha256(b"nonce:" + code_verifier.encode()).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def read_id_token(token: str, *, keys: dict[str, Any], issuer: str, client_id: str, nonce: str) -> dict[str, Any]:
    """Return the claims of a token.

    Args:
        keys: the provider's JSON Web Key Set (RFC 7517 section 5).
        nonce: what our request had. The token must repeat it.

    Raises:
        IdTokenFault: the token is forged, expired, of another provider, for another client, or for another sign-in.
    """
    try:
        claims: dict[str, Any] = jwt.decode(
            token,
            key=_find_key(token, keys),
            algorithms=list(ALGORITHMS),
            audience=client_id,
            issuer=issuer,
            leeway=CLOCK_LEEWAY_SECONDS,
            options={"require": list(REQUIRED_CLAIMS)},
        )
    except (jwt.PyJWTError, TypeError, ValueError) as exc:
        raise IdTokenFault(f"The ID token is not valid: {exc}") from exc
    if not hmac.compare_digest(str(claims.get("nonce", "")).encode(), nonce.encode()):
        raise IdTokenFault("The nonce of the ID token is not that of this sign-in.")
    if claims.get("azp", client_id) != client_id:
        raise IdTokenFault("The ID token was issued to another client.")
    if not isinstance(claims["sub"], str) or not claims["sub"]:
        raise IdTokenFault("The ID token names no subject.")
    return claims


def _find_key(token: str, keys: dict[str, Any]) -> jwt.PyJWK:
    """Find the key by its id, or take the only one if the token names none."""
    header = jwt.get_unverified_header(token)
    if header.get("alg") not in ALGORITHMS:
        raise IdTokenFault(f"The ID token is signed with {header.get('alg')!r}, which is not accepted.")
    found = jwt.PyJWKSet.from_dict(keys).keys
    signing = [key for key in found if key.public_key_use in (None, "sig")]
    if header.get("kid") is None and len(signing) == 1:
        return signing[0]
    for key in signing:
        if key.key_id == header.get("kid"):
            return key
    raise IdTokenFault("The ID token is signed with a key that the provider does not publish.")
