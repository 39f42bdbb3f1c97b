"""The login of a real connection: by access token, by password, and what a refusal means."""

from __future__ import annotations

import base64
from dataclasses import replace
from urllib.parse import quote

import pytest

from batches.outcomes import ReplyMeaning
from batches.smtp.access_tokens import AccessTokens
from batches.smtp.connection import Timeouts
from batches.smtp.relay import RelayAddress, RelayError, open_session, parse_relay
from batches.smtp.replies import Reply
from batches.smtp.stages import Stage
from batches.smtp.verdicts import judge
from tests.oauth_servers import CLIENT_SECRET, TOKEN_PREFIX, OAuthServers, make_oauth_client
from tests.smtpserver import Behaviour, Rule, RunningServer
from tests.unit.smtp.fakes import FakeLane

TIMEOUTS = Timeouts(connect_seconds=10, command_seconds=10, final_seconds=10)


def address_of(servers: OAuthServers, **changes: str) -> RelayAddress:
    client = make_oauth_client(servers.token_url, **changes)
    return replace(parse_relay(servers.email_url), tokens=AccessTokens(client))


async def log_in(address: RelayAddress) -> None:
    session = await open_session(address, lane=FakeLane(), timeouts=TIMEOUTS, depth=1)
    session.quit()


async def fail(address: RelayAddress) -> RelayError:
    with pytest.raises(RelayError) as caught:
        await log_in(address)
    shown = f"{caught.value!r} {caught.value} {caught.value.__cause__!r}"
    assert CLIENT_SECRET not in shown and TOKEN_PREFIX not in shown
    return caught.value


async def test_each_connection_logs_in_with_one_token(servers: OAuthServers) -> None:
    address = address_of(servers)
    for _ in range(3):
        await log_in(address)
    assert (servers.accepted_logins, servers.refused_logins, len(servers.requests)) == (3, 0, 1)


async def test_token_is_renewed_once_when_it_was_revoked_before_its_end(servers: OAuthServers) -> None:
    address = address_of(servers)
    await log_in(address)
    servers.revoke_all()
    await log_in(address)
    assert (servers.accepted_logins, servers.refused_logins, len(servers.requests)) == (2, 1, 2)


async def test_refused_login_is_the_relays_pause_with_a_sentence(servers: OAuthServers) -> None:
    address = replace(address_of(servers), username="somebody@else.example")
    error = await fail(address)
    assert str(error) == f"The relay {address} refused the login (535 5.7.3 Authentication unsuccessful)."
    assert error.meaning is ReplyMeaning.LOGIN
    assert (servers.refused_logins, len(servers.requests)) == (1, 1)


async def test_endpoints_refusal_is_the_relays_pause_with_a_sentence(servers: OAuthServers) -> None:
    address = address_of(servers, CLIENT_SECRET="another")
    error = await fail(address)
    assert str(error).startswith(f"There is no login at {address}: The token endpoint 127.0.0.1 refused us (invalid_cl")
    assert (error.meaning, error.wait_seconds) == (ReplyMeaning.LOGIN, None)
    servers.answer = (429, {"Retry-After": "7"}, b"")
    error = await fail(address_of(servers))
    assert (error.meaning, error.wait_seconds) == (ReplyMeaning.LOGIN, 7)
    assert (servers.accepted_logins, servers.refused_logins) == (0, 0)


async def test_relay_that_offers_no_access_tokens_is_named() -> None:
    with RunningServer() as server:
        error = await fail(parse_relay(server.url.replace("//", "//ann@") + "?oauth=google"))
    assert "offers no login by access token (XOAUTH2). Remove ?oauth=" in str(error)
    assert error.meaning is ReplyMeaning.LOGIN


@pytest.mark.parametrize("greeting", ["554 5.7.1 Go away", "421 4.7.0 Wait", "451 4.7.0 Try again in 12 minutes"])
async def test_refused_connection_has_the_meaning_and_the_wait_of_its_reply(greeting: str) -> None:
    code, text = int(greeting[:3]), greeting[4:]
    expected = judge(Stage.CONNECT, Reply(code, text.encode()))
    assert expected.meaning is not None
    with RunningServer(Behaviour(rules=(Rule(stage="connect", action=greeting),))) as server:
        error = await fail(parse_relay(server.url))
    assert f"refused the connection ({greeting})" in str(error)
    assert (error.meaning, error.wait_seconds) == (expected.meaning, expected.wait_seconds)
    assert error.has_too_many_connections is (code == 421)
    assert (error.wait_seconds == 720) is ("12 minutes" in text)


async def test_password_that_is_refused_is_about_the_login_and_access_tokens_are_named_where_they_are_needed() -> None:
    with RunningServer(Behaviour(credentials="ann:right")) as server:
        url = server.url.replace("//", "//ann:wrong@")
        assert (await fail(parse_relay(url))).meaning is ReplyMeaning.LOGIN
        server.configure(rules=(Rule(stage="auth", action="535 5.7.139 Basic authentication is disabled"),))
        error = await fail(parse_relay(url))
    assert str(error).endswith("Use a login by access token (?oauth=) instead of a password.")


@pytest.mark.parametrize(
    "reply",
    ["500 5.5.1 Command unrecognized: AUTH PLAIN {sent}", "535 5.7.8 {password} is wrong", "535 5.7.8 No {coded}"],
)
async def test_password_is_not_shown_when_the_relay_repeats_it(reply: str) -> None:
    password = "hush+/ü"
    sent, coded = (base64.b64encode(text.encode()).decode() for text in (f"\0ann\0{password}", password))
    action = reply.format(sent=sent, password=password, coded=coded)
    with RunningServer(Behaviour(credentials="ann:right", rules=(Rule(stage="auth", action=action),))) as server:
        error = await fail(parse_relay(server.url.replace("//", f"//ann:{quote(password, safe='')}@")))
    assert "refused the login (" in str(error) and "***" in str(error)
    assert error.__cause__ is None and error.__suppress_context__
    assert all(secret not in str(error) for secret in (password, sent, coded))


async def test_token_is_not_shown_when_the_relay_repeats_it(servers: OAuthServers) -> None:
    servers.repeats = True
    error = await fail(replace(address_of(servers), username="somebody@else.example"))
    assert str(error).endswith("refused the login (535 5.7.3 Not *** nor ***).")
    assert error.__cause__ is None and error.__suppress_context__


async def test_login_is_named_when_the_relay_offers_none() -> None:
    with RunningServer() as server:
        error = await fail(parse_relay(server.url.replace("//", "//ann:hush@")))
    assert "offers no login by password here. Many offer it with TLS only: use smtp+tls://" in str(error)
    assert error.meaning is ReplyMeaning.LOGIN


async def test_tls_is_named_when_the_relay_offers_none() -> None:
    with RunningServer() as server:
        error = await fail(parse_relay(server.url.replace("smtp://", "smtp+tls://")))
    assert str(error).endswith("offers no TLS (STARTTLS). If it has TLS from the start, use smtp+ssl://.")
