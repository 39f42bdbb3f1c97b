"""RETURNS_URL in every form and with every fault."""

from __future__ import annotations

import pytest

from batches.returns.doors.address import (
    ListenerAddress,
    MailboxAddress,
    ReturnsUrlError,
    make_mailbox_client,
    parse_returns_url,
)


def mailbox(scheme: str, host: str, port: int, **more: str) -> MailboxAddress:
    return MailboxAddress(scheme=scheme, host=host, port=port, **{"username": "ann", "password": "secret", **more})


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("imap+ssl://ann:secret@mail.example.org", mailbox("imap+ssl", "mail.example.org", 993)),
        ("imap+tls://ann:secret@mail.example.org/", mailbox("imap+tls", "mail.example.org", 143)),
        ("IMAP://ann:secret@Mail.Example.ORG:1143/INBOX", mailbox("imap", "mail.example.org", 1143)),
        ("imap+ssl://ann:secret@[2001:db8::1]:9993", mailbox("imap+ssl", "2001:db8::1", 9993)),
        ("imap+ssl://ann:secret@h/INBOX.Returns%20here", mailbox("imap+ssl", "h", 993, folder="INBOX.Returns here")),
        ("imap+ssl://ann:secret@h/INBOX/Returns", mailbox("imap+ssl", "h", 993, folder="INBOX/Returns")),
        (
            "imap+ssl://bounce%40example.org:p%40ss%3A%2Fw%25rd@h",
            mailbox("imap+ssl", "h", 993, username="bounce@example.org", password="p@ss:/w%rd"),
        ),
        (
            "imap+ssl://bounce%40example.org@h/INBOX?oauth=Microsoft",
            mailbox("imap+ssl", "h", 993, username="bounce@example.org", password="", oauth="microsoft"),
        ),
        ("lmtp://127.0.0.1:2525", ListenerAddress(scheme="lmtp", host="127.0.0.1", port=2525)),
        ("lmtp://127.0.0.1:0/", ListenerAddress(scheme="lmtp", host="127.0.0.1", port=0)),
        ("lmtp://[::1]", ListenerAddress(scheme="lmtp", host="::1", port=24)),
        ("smtp://mx.example.org", ListenerAddress(scheme="smtp", host="mx.example.org", port=25)),
    ],
)
def test_door_is_read_when_the_url_has_one_of_the_forms(url: str, expected: MailboxAddress | ListenerAddress) -> None:
    assert parse_returns_url(url) == expected


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("", "must begin with one of imap\\+ssl://"),
        ("imaps://ann:hush@h", "must begin with one of"),
        ("pop3://ann:hush@h", "must begin with one of"),
        ("ann:hush@h", "must begin with one of"),
        ("imap+ssl://", "names no host"),
        ("imap+ssl://ann:hush@/INBOX", "names no host"),
        ("lmtp:///run/lmtp", "names no host"),
        ("imap+ssl://ann:hush@[::1", "host or the port of RETURNS_URL can't be read"),
        ("imap+ssl://ann:hush@h:imap", "host or the port of RETURNS_URL can't be read"),
        ("lmtp://h:65536", "host or the port of RETURNS_URL can't be read"),
        ("imap+ssl://ann:hush@h:0", "is not a number from 1 to 65535"),
        ("imap+ssl://h/INBOX", "names no user"),
        ("imap+ssl://ann@h/INBOX", "has no password"),
        ("imap+ssl://ann:@h/INBOX", "has no password"),
        ("imap+ssl://ann:hush@h?oauth=google", "has a password and \\?oauth="),
        ("imap+ssl://ann@h?oauth=hush", "has another \\?oauth= than microsoft, google, other"),
        ("imap+ssl://ann:hush@h?ssl=1", "has options after the \\? that are not known"),
        ("imap+ssl://ann@h?oauth=google&oauth=google", "has options after the \\?"),
        ("imap://ann@h?oauth=google", "would send access tokens without TLS"),
        ("imap+ssl://a%0D%0Ann:hush@h", "has a line break or another control character"),
        ("imap+ssl://ann:hush@h/IN%0ABOX", "has a line break or another control character"),
        ("lmtp://ann:hush@h:2525", "has a host and a port only"),
        ("lmtp://h:2525/hush", "has a host and a port only"),
    ],
)
def test_fault_is_named_when_the_url_cannot_be_read(url: str, words: str) -> None:
    with pytest.raises(ReturnsUrlError, match=words) as caught:
        parse_returns_url(url)
    assert "Write it like imap+ssl://" in str(caught.value)
    assert "hush" not in str(caught.value)


def test_password_is_in_no_text_of_an_address() -> None:
    address = parse_returns_url("imap+ssl://ann:hush@mail.example.org")
    assert "hush" not in f"{address} {address!r}"
    assert str(address) == "mail.example.org:993"


def test_client_of_the_mailbox_asks_for_what_reading_needs() -> None:
    address = parse_returns_url("imap+ssl://bounce@h?oauth=microsoft")
    assert isinstance(address, MailboxAddress)
    values = {"CLIENT_ID": "one", "CLIENT_SECRET": "two", "TENANT": "three"}
    assert make_mailbox_client(address, values).scope == "https://outlook.office365.com/.default"
    of_a_user = make_mailbox_client(address, {**values, "REFRESH_TOKEN": "four"})
    assert of_a_user.scope == "https://outlook.office.com/IMAP.AccessAsUser.All offline_access"
    with pytest.raises(ReturnsUrlError, match=r"^RETURNS_OAUTH_TENANT is not set"):
        make_mailbox_client(address, {"CLIENT_ID": "one", "CLIENT_SECRET": "two"})
