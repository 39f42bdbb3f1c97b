"""A small OpenID provider of the tests' own, in a thread. Its answers can be made hostile, one by one.

It serves discovery, keys, tokens, user information, and a page with a link in place of a password. A test without a
browser asks ``authorize`` for the redirect that this page ends with.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
import secrets
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, urlencode, urlsplit

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm

CLIENT_ID = "emailbatch"
CLIENT_SECRET = "the-secret-of-the-client"


@dataclass(kw_only=True)
class OpenIdProvider:
    """Start it with ``with OpenIdProvider(...) as provider``, and let OIDC_URL be ``provider.url``."""

    subject: str = "subject-1"
    claims: dict[str, Any] = field(default_factory=lambda: {"groups": ["mailers"]})
    """More claims of the user."""
    changes: dict[str, Any] = field(default_factory=dict)
    """Claims of the ID token that differ from the right ones. None leaves one out."""
    userinfo: dict[str, Any] = field(default_factory=dict)
    """Values of the user information that differ from those of the ID token."""
    algorithm: str = "RS256"
    key: Any = None
    """What signs the token, if it is not the published key."""
    key_id: str | None = "key-1"
    issuer: str = ""
    """What discovery says, if it is not the address."""
    requests: list[str] = field(default_factory=list)
    forms: list[dict[str, str]] = field(default_factory=list)
    """What the token endpoint was sent."""

    def __enter__(self) -> Self:
        self._key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self._codes: dict[str, dict[str, str]] = {}
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._make_handler())
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def authorize(self, location: str) -> str:
        """Return the address that the provider redirects to after the user signed in at ``location``."""
        asked = {name: values[0] for name, values in parse_qs(urlsplit(location).query).items()}
        code = secrets.token_urlsafe()
        self._codes[code] = asked
        return f"{asked['redirect_uri']}?{urlencode({'code': code, 'state': asked['state']})}"

    def public_key(self) -> dict[str, Any]:
        """Return the published key as a JSON Web Key."""
        public: dict[str, Any] = json.loads(RSAAlgorithm.to_jwk(self._key.public_key()))
        return public | {"kid": "key-1", "use": "sig", "alg": "RS256"}

    def make_token(self, nonce: str) -> str:
        now = int(time.time())
        right = {"iss": self.url, "sub": self.subject, "aud": CLIENT_ID, "iat": now, "exp": now + 60, "nonce": nonce}
        claims = {**right, **self.claims, **self.changes}
        headers = {"kid": self.key_id} if self.key_id else {}
        key: Any = None if self.algorithm == "none" else self.key or self._key
        kept = {name: value for name, value in claims.items() if value is not None}
        return jwt.encode(kept, key, algorithm=self.algorithm, headers=headers)

    def _answer(self, path: str, form: dict[str, str]) -> dict[str, Any] | None:
        if path == "/.well-known/openid-configuration":
            ends = ("authorization", "token", "userinfo")
            return {
                "issuer": self.issuer or self.url,
                "jwks_uri": f"{self.url}/keys",
                "token_endpoint_auth_methods_supported": ["client_secret_post"],
                **{f"{end}_endpoint": f"{self.url}/{end}" for end in ends},
            }
        if path == "/keys":
            return {"keys": [self.public_key()]}
        if path == "/userinfo":
            return {"sub": self.subject, **self.claims, **self.userinfo}
        return self._exchange(form) if path == "/token" else None

    def _exchange(self, form: dict[str, str]) -> dict[str, Any] | None:
        self.forms.append(form)
        asked = self._codes.pop(form.get("code", ""), None)
        digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        is_right = asked and asked.get("code_challenge") == challenge and form.get("client_secret") == CLIENT_SECRET
        if not asked or not is_right:
            return None
        return {"access_token": "access", "token_type": "Bearer", "id_token": self.make_token(asked["nonce"])}

    def _make_handler(self) -> type[BaseHTTPRequestHandler]:
        provider = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, format: str, *args: Any) -> None:
                """Print nothing."""

            def do_GET(self) -> None:
                if urlsplit(self.path).path == "/authorization":
                    self.show_page()
                else:
                    self.answer({})

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                self.answer({name: values[0] for name, values in parse_qs(body).items()})

            def show_page(self) -> None:
                """Show the page of the provider. Its link is the user's consent."""
                target = html.escape(provider.authorize(self.path))
                page = f'<!doctype html><title>Town Hall</title><h1>Town Hall</h1><a href="{target}">I am Ann</a>'
                self.send(200, "text/html", page.encode())

            def answer(self, form: dict[str, str]) -> None:
                provider.requests.append(self.path)
                found = provider._answer(urlsplit(self.path).path, form)
                data = json.dumps(found or {"error": "invalid_grant"}).encode()
                self.send(200 if found else 400, "application/json", data)

            def send(self, status: int, kind: str, data: bytes) -> None:
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

        return Handler
