"""A real endpoint that gives tokens, gives none, or gives nonsense: what a person reads, and what nobody may read."""

from __future__ import annotations

import base64
import json
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from urllib.parse import quote, quote_plus

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from batches.smtp import token_endpoint
from batches.smtp.access_tokens import RENEWAL_MAX_SECONDS
from batches.smtp.oauth import OAuthClient, ServiceAccount
from batches.smtp.token_endpoint import TokenError, request_token
from tests.oauth_servers import CLIENT_ID, CLIENT_SECRET, TOKEN_PREFIX, USER, OAuthServers, make_oauth_client

REFRESH_TOKEN = "only-the-user-knows-this-refresh-token"


def make(servers: OAuthServers, **changes: str) -> OAuthClient:
    return make_oauth_client(servers.token_url, variables="EMAIL_OAUTH_M365_", **changes)


def refusal(servers: OAuthServers, status: int, body: object, **headers: str) -> TokenError:
    """Return what a person reads if the endpoint answers so. It never contains a secret."""
    servers.answer = (status, headers, body)
    with pytest.raises(TokenError) as caught:
        request_token(make(servers, REFRESH_TOKEN=REFRESH_TOKEN))
    shown = f"{caught.value!r} {caught.value} {caught.value.__cause__}"
    assert CLIENT_SECRET not in shown and REFRESH_TOKEN not in shown
    return caught.value


def test_client_credentials_get_a_token(servers: OAuthServers) -> None:
    grant = request_token(make(servers, SCOPE="mail.send"))
    assert grant.access_token.startswith(TOKEN_PREFIX)
    assert 3590 < grant.life_seconds < 3600
    assert servers.requests == [
        {
            "grant_type": "client_credentials",
            "client_id": CLIENT_ID,
            "client_secret": CLIENT_SECRET,
            "scope": "mail.send",
        }
    ]


def test_refresh_token_is_sent_and_its_successor_is_returned(servers: OAuthServers) -> None:
    servers.rotates = True
    client = make(servers, REFRESH_TOKEN=servers.refresh_token)
    first = request_token(client)
    assert first.refresh_token == servers.refresh_token != client.refresh_token
    second = request_token(client, refresh_token=first.refresh_token)
    assert second.refresh_token == servers.refresh_token
    assert [form["refresh_token"] for form in servers.requests] == [client.refresh_token, first.refresh_token]


def test_service_account_signs_its_request(servers: OAuthServers) -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
    client = make(servers, SERVICE_ACCOUNT=json.dumps({"client_email": "mail@project.example", "private_key": pem}))
    with pytest.raises(TokenError, match="invalid_client"):  # this endpoint knows no service accounts
        request_token(replace(client, scope="https://mail.google.com/"))
    (form,) = servers.requests
    assert form["grant_type"] == "urn:ietf:params:oauth:grant-type:jwt-bearer"
    signed, _, signature = form["assertion"].rpartition(".")
    key.public_key().verify(_decode(signature), signed.encode(), padding.PKCS1v15(), hashes.SHA256())
    header, claims = (json.loads(_decode(part)) for part in signed.split("."))
    assert header == {"alg": "RS256", "typ": "JWT"}
    assert (claims["iss"], claims["sub"], claims["aud"]) == ("mail@project.example", USER, servers.token_url)
    assert claims["scope"] == "https://mail.google.com/"
    assert claims["exp"] - claims["iat"] == 3600


def _decode(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


def test_key_that_is_none_is_named(servers: OAuthServers) -> None:
    client = replace(make(servers), service_account=ServiceAccount(email="mail@project.example", private_key="no key"))
    with pytest.raises(TokenError, match="The private key in EMAIL_OAUTH_M365_SERVICE_ACCOUNT cannot be read"):
        request_token(client)
    assert servers.requests == []


@pytest.mark.parametrize(
    ("error", "description", "words"),
    [
        (
            "invalid_client",
            "AADSTS7000215: Invalid client secret provided. Trace ID: 1",
            "Set EMAIL_OAUTH_M365_CLIENT_",
        ),
        (
            "invalid_client",
            "AADSTS7000222: The provided client secret keys are expired.",
            "has expired. Make a new one",
        ),
        ("invalid_request", "AADSTS90002: Tenant 'x' not found.", "The tenant does not exist"),
        ("unauthorized_client", "AADSTS700016: Application was not found", "The application is not in this tenant"),
        (
            "invalid_grant",
            "AADSTS700082: The refresh token has expired due to inactivity.",
            "was not used for too long",
        ),
        ("invalid_grant", "AADSTS65001: The user has not consented", "Nobody has consented to the application"),
        ("invalid_grant", "Token has been expired or revoked.", "Sign in again and set EMAIL_OAUTH_M365_REFRESH_TOKEN"),
        ("unauthorized_client", "Client is unauthorized to retrieve access tokens", "Allow it, with the scope of SMTP"),
        ("invalid_client", "", "Check EMAIL_OAUTH_M365_CLIENT_ID and EMAIL_OAUTH_M365_CLIENT_SECRET"),
        ("invalid_scope", "", "Check EMAIL_OAUTH_M365_SCOPE"),
    ],
)
def test_person_reads_what_to_do_when_the_endpoint_refuses(
    servers: OAuthServers, error: str, description: str, words: str
) -> None:
    fault = refusal(servers, 400, {"error": error, "error_description": description})
    assert words in str(fault)
    assert f"127.0.0.1 refused us ({error}" in str(fault)
    assert fault.wait_seconds is None


def test_unknown_refusal_is_quoted_without_the_secrets_that_it_repeats(servers: OAuthServers) -> None:
    body = {"error": "odd", "error_description": f"Not {CLIENT_SECRET}\r\nnor {REFRESH_TOKEN}\x00." + "x" * 999}
    fault = refusal(servers, 400, body)
    assert "refused us (odd). Not *** nor ***?.xxx" in str(fault)
    assert len(str(fault)) < 400


@pytest.mark.parametrize("write", [str, quote_plus, partial(quote, safe="")])
def test_secret_is_not_shown_when_the_endpoint_repeats_the_request(
    servers: OAuthServers, write: Callable[[str], str]
) -> None:
    newest = "newest+refresh/token= ~"
    body = {"error": "odd", "error_description": f"refresh_token={write(newest)} client_secret={write(CLIENT_SECRET)}"}
    servers.answer = (400, {}, body)
    with pytest.raises(TokenError) as caught:
        request_token(make(servers), refresh_token=newest)
    assert "refused us (odd). refresh_token=*** client_secret=***" in str(caught.value)


def test_clock_is_named_when_google_refuses_the_times_of_a_signed_request(servers: OAuthServers) -> None:
    words = (
        "Invalid JWT: Token must be a short-lived token and in a reasonable timeframe. Check your iat and exp values"
    )
    fault = refusal(servers, 400, {"error": "invalid_grant", "error_description": words})
    assert str(fault).endswith("refused us (invalid_grant). The clock of this machine is wrong. Set it.")


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", {"error": 7}, {"error": ["x"]}])
def test_status_is_named_when_a_refusal_says_nothing(servers: OAuthServers, body: object) -> None:
    assert "127.0.0.1 refused us (" in str(refusal(servers, 403, body))


@pytest.mark.parametrize(
    ("status", "headers", "wait_seconds"),
    [
        (429, {"Retry-After": "30"}, 30),
        (503, {}, None),
        (500, {"Retry-After": "99999"}, 900),
        (502, {"Retry-After": "Fri"}, None),
    ],
)
def test_endpoint_is_asked_again_when_it_is_overloaded(
    servers: OAuthServers, status: int, headers: dict[str, str], wait_seconds: float | None
) -> None:
    fault = refusal(servers, status, b"busy", **headers)
    assert f"gives no token now (HTTP {status})" in str(fault)
    assert fault.wait_seconds == wait_seconds


def test_secret_is_not_sent_on_when_the_endpoint_redirects(servers: OAuthServers) -> None:
    with OAuthServers() as other:
        fault = refusal(servers, 307, b"", Location=other.token_url)
        assert other.requests == []
    assert "redirects. Set EMAIL_OAUTH_M365_TOKEN_URL to the new address." in str(fault)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"[]",
        b"[" * 60_000,
        {},
        {"access_token": ""},
        {"access_token": 5},
        {"access_token": "a\x01b"},
        {"access_token": "a\r\nb"},
    ],
)
def test_answer_without_a_token_is_refused(servers: OAuthServers, body: object) -> None:
    assert "answered without an access token" in str(refusal(servers, 200, body))


@pytest.mark.parametrize(
    ("expires_in", "life"), [(60, 60), ("60", 60), (None, 300), ("soon", 300), (-5, 300), (0, 300), (float("nan"), 300)]
)
def test_life_is_read_however_it_is_written(servers: OAuthServers, expires_in: object, life: float) -> None:
    servers.answer = (200, {}, {"access_token": "abc", "expires_in": expires_in})
    assert request_token(make(servers)).life_seconds == pytest.approx(life, abs=5)


def test_endpoint_that_cannot_be_reached_is_named() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/token"
        client = make_oauth_client(url)
        with pytest.raises(TokenError, match=r"The token endpoint 127\.0\.0\.1 can't be reached: Connection refused"):
            request_token(client)


@pytest.mark.parametrize(
    "answer",
    [
        b"220 relay.example ESMTP\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X: a\r\n" * 200 + b"\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"a" * 70_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n",
        b"HTTP/1.1 400 Bad\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n",
        b"",
    ],
)
def test_endpoint_that_speaks_no_http_is_named(answer: bytes) -> None:
    with raw_endpoint([answer]) as url, pytest.raises(TokenError, match=r"^The token endpoint 127\.0\.0\.1 "):
        request_token(make_oauth_client(url))


def test_slow_answer_is_given_up_before_another_process_renews(monkeypatch: pytest.MonkeyPatch) -> None:
    assert token_endpoint.ANSWER_MAX_SECONDS < RENEWAL_MAX_SECONDS
    monkeypatch.setattr(token_endpoint, "ANSWER_MAX_SECONDS", 0.2)
    slow = [b"HTTP/1.1 200 OK\r\n\r\n", *[b" "] * 500]
    with raw_endpoint(slow, seconds=0.02) as url, pytest.raises(TokenError, match="does not answer"):
        request_token(make_oauth_client(url))


@contextmanager
def raw_endpoint(pieces: Sequence[bytes], *, seconds: float = 0) -> Iterator[str]:
    """Answer one request with these bytes, one piece each so many seconds."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        ended = threading.Event()

        def answer() -> None:
            connection, _ = server.accept()
            with connection, suppress(OSError):  # the client may go away
                while b"client_id" not in connection.recv(65_536):
                    pass
                for piece in pieces:
                    connection.sendall(piece)
                    if ended.wait(seconds):
                        return

        thread = threading.Thread(target=answer)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}/token"
        ended.set()
        thread.join()
