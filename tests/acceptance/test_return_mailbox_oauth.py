"""The return mailbox read with an access token (XOAUTH2): a real Dovecot that asks an authorization server about it."""

from __future__ import annotations

import json
import os
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

import pytest

from batches.returns.doors.address import MailboxAddress, parse_returns_url
from batches.returns.doors.imap import MailboxError, open_mailbox
from batches.returns.doors.mailbox_reader import make_token_source
from tests.acceptance import dovecot
from tests.acceptance.dovecot import Dovecot
from tests.oauth_servers import CLIENT_ID, CLIENT_SECRET, TOKEN_PREFIX, USER, OAuthServers
from tests.returned_mail import make_bounce

if dovecot.missing() and not os.environ.get("REQUIRE_DOVECOT"):
    pytest.skip(dovecot.missing(), allow_module_level=True)

pytestmark = pytest.mark.django_db(transaction=True)

PASSDB = """
passdb {{
  driver = oauth2
  mechanisms = xoauth2
  args = {path}
}}
"""
OAUTH = """
tokeninfo_url = http://127.0.0.1:{port}/tokeninfo?access_token=
username_attribute = email
username_format = %u
"""


@contextmanager
def token_information(servers: OAuthServers) -> Iterator[int]:
    """Run the part of an authorization server that says to whom a token belongs, and yield its port."""

    class Information(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            [token] = parse_qs(urlsplit(self.path).query).get("access_token", [""])
            is_valid = servers.is_valid(token)
            body = json.dumps({"email": USER} if is_valid else {"error": "invalid_token"}).encode()
            self.send_response(200 if is_valid else 401)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None: ...

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Information) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


@pytest.fixture
def servers() -> Iterator[OAuthServers]:
    with OAuthServers(rotates=True) as running:
        yield running


@pytest.fixture
def mailboxes(servers: OAuthServers, tmp_path: Path) -> Iterator[Dovecot]:
    tmp_path.chmod(0o755)
    path = tmp_path / "oauth2.conf.ext"
    with token_information(servers) as port:
        path.write_text(OAUTH.format(port=port))
        with Dovecot(mechanisms="xoauth2", options=PASSDB.format(path=path)) as running:
            yield running


def test_mailbox_is_read_with_a_token_that_is_renewed_when_it_was_revoked(
    mailboxes: Dovecot, servers: OAuthServers
) -> None:
    address = parse_returns_url(f"imap://{quote(USER, safe='')}@127.0.0.1:{mailboxes.port}/INBOX?oauth=other")
    assert isinstance(address, MailboxAddress)
    values = {
        "CLIENT_ID": CLIENT_ID,
        "CLIENT_SECRET": CLIENT_SECRET,
        "REFRESH_TOKEN": servers.refresh_token,
        "TOKEN_URL": servers.token_url,
    }
    find_token = make_token_source(address, values)
    for number in range(3):
        mailboxes.deliver(make_bounce(number), USER)
        with open_mailbox(address, find_token=find_token) as mailbox:
            assert mailbox.read() == {True: 1, False: 0}
        assert len(servers.requests) == 1 + (number == 2)
        if number == 1:
            servers.revoke_all()
    servers.answer = (400, {}, {"error": "invalid_grant"})
    servers.revoke_all()
    with (
        pytest.raises(MailboxError, match="There is no login at") as caught,
        open_mailbox(address, find_token=find_token),
    ):
        pass
    assert TOKEN_PREFIX not in str(caught.value)
    assert CLIENT_SECRET not in str(caught.value)
