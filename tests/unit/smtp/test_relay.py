"""EMAIL_URL in every form and with every fault."""

from __future__ import annotations

import pytest

from batches.smtp.relay import RelayAddress, RelayUrlError, parse_relay


def relay(scheme: str, host: str, port: int | None, **more: str) -> RelayAddress:
    return RelayAddress(
        scheme=scheme,
        host=host,
        port=port,
        username=more.get("username"),
        password=more.get("password"),
        path=more.get("path", ""),
    )


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("smtp://mail.example.org", relay("smtp", "mail.example.org", 25)),
        ("smtp+tls://mail.example.org", relay("smtp+tls", "mail.example.org", 587)),
        ("smtp+ssl://mail.example.org", relay("smtp+ssl", "mail.example.org", 465)),
        ("smtp://mail.example.org:2525", relay("smtp", "mail.example.org", 2525)),
        ("SMTP://Mail.Example.ORG:65535", relay("smtp", "mail.example.org", 65535)),
        ("smtp+tls://ann:secret@h:587", relay("smtp+tls", "h", 587, username="ann", password="secret")),
        (
            "smtp+tls://ann%40example.org:p%40ss%3A%2Fw%25rd@h",
            relay("smtp+tls", "h", 587, username="ann@example.org", password="p@ss:/w%rd"),
        ),
        ("smtp://ann@h", relay("smtp", "h", 25, username="ann")),
        ("smtp://[::1]:2525", relay("smtp", "::1", 2525)),
        ("smtp+ssl://[2001:db8::25]", relay("smtp+ssl", "2001:db8::25", 465)),
        ("smtp+unix:///run/relay.sock", relay("smtp+unix", "localhost", None, path="/run/relay.sock")),
        ("smtp+unix:///run/my%20relay.sock", relay("smtp+unix", "localhost", None, path="/run/my relay.sock")),
    ],
)
def test_relay_is_read_when_the_url_has_one_of_the_forms(url: str, expected: RelayAddress) -> None:
    assert parse_relay(url) == expected


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("smpt://ann:hush@mail.example.org:587", r"must begin with one of smtp://, smtp\+tls://, smtp\+ssl://"),
        ("mail.example.org:587", "must begin with one of"),
        ("", "must begin with one of"),
        ("http://mail.example.org", "must begin with one of"),
        ("smtp://", "names no host"),
        ("smtp:///mail.example.org", "names no host"),
        ("smtp://ann:hush@:587", "names no host"),
        ("smtp://[::1:25", "host is malformed"),
        ("smtp://mail.example.org:smtp", "port in EMAIL_URL is not a number from 1 to 65535"),
        ("smtp://mail.example.org:0", "port in EMAIL_URL is not a number from 1 to 65535"),
        ("smtp://mail.example.org:65536", "port in EMAIL_URL is not a number from 1 to 65535"),
        ("smtp://ann:hush/es@mail.example.org", "port in EMAIL_URL is not a number"),
        ("smtp+unix://", "names no socket"),
        ("smtp+unix:///", "names no socket"),
    ],
)
def test_fault_is_named_when_the_url_cannot_be_read(url: str, words: str) -> None:
    with pytest.raises(RelayUrlError, match=words) as caught:
        parse_relay(url)
    assert "Write it like smtp+" in str(caught.value)
    assert "hush" not in str(caught.value)


@pytest.mark.parametrize("provider", ["microsoft", "google", "other", "Microsoft"])
def test_login_is_by_access_token_when_the_url_says_so(provider: str) -> None:
    parsed = parse_relay(f"smtp+tls://ann%40example.org@h:587?oauth={provider}")
    assert (parsed.oauth, parsed.username, parsed.password) == (provider.lower(), "ann@example.org", None)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("smtp+tls://ann@h?oauth=", "has another \\?oauth= than microsoft, google, other"),
        ("smtp+tls://ann@h?oauth=hush", "has another \\?oauth="),
        ("smtp+tls://ann@h?oauth=google&oauth=google", "has options after the \\? that are not known"),
        ("smtp+tls://ann@h?timeout=hush", "has options after the \\? that are not known"),
        ("smtp+tls://ann:hush@h?oauth=google", "has a password and \\?oauth=. Remove the password."),
        ("smtp+tls://h?oauth=google", "names no user"),
        ("smtp://ann@h?oauth=google", "would send access tokens without TLS"),
    ],
)
def test_option_is_refused_when_it_contradicts_the_url(url: str, words: str) -> None:
    with pytest.raises(RelayUrlError, match=f"^EMAIL_URL_M365 .*{words}") as caught:
        parse_relay(url, variable="EMAIL_URL_M365")
    assert "Write it like smtp+tls://user%40example.org@" in str(caught.value)
    assert "hush" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("smtp+tls://ann:hush@mail.example.org", "mail.example.org:587"),
        ("smtp://ann:hush@[::1]:2525", "[::1]:2525"),
        ("smtp+unix:///run/relay.sock", "/run/relay.sock"),
    ],
)
def test_name_holds_no_password_when_a_relay_is_shown(url: str, name: str) -> None:
    assert (str(parse_relay(url)), repr(parse_relay(url))) == (name, name)
