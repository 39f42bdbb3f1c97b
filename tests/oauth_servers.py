"""A token endpoint, and a relay that accepts its tokens only (aiosmtpd, XOAUTH2), in threads of the test.

The tokens live as long as the test says. Each request and each login is recorded.
"""

from __future__ import annotations

import asyncio
import base64
import json
import secrets
import socketserver
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, Session

from batches.smtp.oauth import OAuthClient, make_client

CLIENT_ID = "the-client"
CLIENT_SECRET = "only-the-endpoint-knows-this-secret"
USER = "news@school.example"
TOKEN_PREFIX = "access-token-"


def make_oauth_client(token_url: str, *, variables: str = "EMAIL_OAUTH_", **changes: str) -> OAuthClient:
    """Make the client that a token endpoint knows. ``changes`` are the ends of further variables, or of the same."""
    values = {"CLIENT_ID": CLIENT_ID, "CLIENT_SECRET": CLIENT_SECRET, "TOKEN_URL": token_url, **changes}
    return make_client("other", values, user=USER, variables=variables)


@dataclass(kw_only=True)
class OAuthServers:
    """Start both with ``with OAuthServers(...) as servers``."""

    life_seconds: float = 3600
    answer: tuple[int, dict[str, str], object] | None = None
    """The endpoint's status, headers and body, if it shall give no token. The body is sent as JSON, or as bytes."""
    rotates: bool = False
    """Whether each refresh token is valid once, and replaced by the next."""
    user: str = USER
    """The one user that the relay knows."""
    repeats: bool = False
    """Whether the relay repeats a token that it refuses."""
    closes_after: int = 0
    """After how many messages the relay closes a connection. 0: never."""
    delay_seconds: float = 0
    """How long the endpoint thinks."""
    requests: list[dict[str, str]] = field(default_factory=list)
    """The forms that the endpoint received."""
    accepted_logins: int = 0
    refused_logins: int = 0
    recipients: Counter[str] = field(default_factory=Counter)
    refresh_token: str = "the-first-refresh-token"
    """The one that is valid now, if they rotate."""

    def __post_init__(self) -> None:
        self._ends_at: dict[str, float] = {}
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        self._endpoint = socketserver.ThreadingTCPServer(("127.0.0.1", 0), self._make_endpoint())
        self._endpoint.daemon_threads = True
        threading.Thread(target=self._endpoint.serve_forever, args=(0.05,), daemon=True).start()
        self._relay = _Relay(_Handler(self), hostname="127.0.0.1", port=0)
        self._relay.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._relay.stop()
        self._endpoint.shutdown()
        self._endpoint.server_close()

    @property
    def token_url(self) -> str:
        return f"http://127.0.0.1:{self._endpoint.server_address[1]}/token"

    @property
    def email_url(self) -> str:
        return f"smtp://{USER.replace('@', '%40')}@127.0.0.1:{self._relay.port}?oauth=other"

    def is_valid(self, token: str) -> bool:
        return time.monotonic() < self._ends_at.get(token, 0)

    def revoke_all(self) -> None:
        """End every token now, although it was to live longer."""
        self._ends_at.clear()

    def give(self, form: dict[str, str]) -> tuple[int, dict[str, str], object]:
        """Answer one request."""
        with self._lock:
            self.requests.append(form)
            if self.answer is not None:
                return self.answer
            if form.get("client_id") != CLIENT_ID or form.get("client_secret") != CLIENT_SECRET:
                return 401, {}, {"error": "invalid_client"}
            answer: dict[str, Any] = {"token_type": "Bearer", "expires_in": self.life_seconds}
            if form.get("grant_type") == "refresh_token" and self.rotates:
                if form["refresh_token"] != self.refresh_token:
                    return 400, {}, {"error": "invalid_grant", "error_description": "It was used before."}
                self.refresh_token = answer["refresh_token"] = secrets.token_urlsafe(20)
            answer["access_token"] = TOKEN_PREFIX + secrets.token_urlsafe(40)
            self._ends_at[answer["access_token"]] = time.monotonic() + self.life_seconds
            return 200, {}, answer

    def _make_endpoint(self) -> type[BaseHTTPRequestHandler]:
        servers = self

        class Endpoint(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                time.sleep(servers.delay_seconds)  # the endpoint's own time, which the client sees as a slow network
                status, headers, content = servers.give({name: values[0] for name, values in parse_qs(body).items()})
                data = content if isinstance(content, bytes) else json.dumps(content).encode()
                self.send_response(status)
                for name, value in {"Content-Type": "application/json", **headers}.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            do_GET = do_POST

            def log_message(self, format: str, *args: Any) -> None: ...

        return Endpoint


class _Relay(Controller):
    def _trigger_server(self) -> None:
        assert isinstance(self.server, asyncio.Server)
        self.port = self.server.sockets[0].getsockname()[1]  # the system has chosen it
        super()._trigger_server()  # type: ignore[no-untyped-call]

    def factory(self) -> SMTP:
        return SMTP(
            self.handler,
            hostname="relay.example",
            auth_require_tls=False,
            auth_exclude_mechanism=["LOGIN", "PLAIN"],
            enable_SMTPUTF8=True,
        )


class _Handler:
    """What aiosmtpd calls for a login and for a message."""

    def __init__(self, servers: OAuthServers) -> None:
        self._servers = servers
        self._counts: dict[Session, int] = {}

    async def auth_XOAUTH2(self, server: SMTP, args: list[str]) -> AuthResult:
        """Read ``user=...^Aauth=Bearer ...^A^A``. A refusal is JSON first, which the client has to answer."""
        user, bearer, *_ = base64.b64decode(args[1]).decode().split("\x01")
        token = bearer.removeprefix("auth=Bearer ")
        if user == f"user={self._servers.user}" and self._servers.is_valid(token):
            self._servers.accepted_logins += 1
            return AuthResult(success=True, auth_data=user)
        self._servers.refused_logins += 1
        challenge = base64.b64encode(json.dumps({"status": "401", "schemes": "bearer"}).encode()).decode()
        await server.push(f"334 {challenge}")
        assert await server._reader.readline() == b"\r\n", "the client must answer with an empty line"
        words = f"Not {args[1]} nor {token}" if self._servers.repeats else "Authentication unsuccessful"
        await server.push(f"535 5.7.3 {words}")
        return AuthResult(success=False, handled=True)

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        if not session.authenticated:
            return "530 5.7.57 Client not authenticated"
        self._servers.recipients.update(envelope.rcpt_tos)
        self._counts[session] = self._counts.get(session, 0) + 1
        if self._counts[session] == self._servers.closes_after:
            assert server.transport is not None
            asyncio.get_running_loop().call_soon(server.transport.close)  # after the reply is written
        return "250 2.0.0 Ok"
