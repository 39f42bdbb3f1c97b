"""Addresses and tokens in texts for operators."""

from __future__ import annotations

import secrets

import jwt
import pytest

from batches.redaction import redact


@pytest.mark.parametrize(
    ("text", "redacted"),
    [
        ("550 5.1.1 <ann@example.org>: no such user", "550 5.1.1 <<address>>: no such user"),
        ("RCPT TO:<zoë@bücher.example>", "RCPT TO:<<address>>"),
        ('to="a b"@example.org, relay', "to=<address>, relay"),
        ("ann@[192.0.2.1] is away", "<address> is away"),
        ("GET /inbox/ann%40example.org/raw", "GET /inbox/<address>/raw"),
        ("GET /inbox/?recipient=ann@example.org&after=3", "GET /inbox/?recipient=<address>&after=3"),
        ("Key (email)=(ann@example.org) exists", "Key (email)=(<address>) exists"),
        ("{'email': 'ann@example.org', 'row': 2}", "{'email': '<address>', 'row': 2}"),
        ("o'hara+news@example.org", "<address>"),
        ("ann@example.org;bob@example.org", "<address>;<address>"),
        ("the login bob@relay.example was refused", "the login <address> was refused"),
    ],
)
def test_address_is_replaced_wherever_it_is(text: str, redacted: str) -> None:
    assert redact(text) == redacted


@pytest.mark.parametrize("before", ["", "token ", "'", "digest=", "(", "/"])
def test_token_is_replaced(before: str) -> None:
    token = secrets.token_urlsafe(32)
    assert token not in redact(f"{before}{token}")
    assert token not in redact(f"{before}{token}'")


@pytest.mark.parametrize("chars", [44, 42, 1])
def test_token_of_an_unsubscribe_link_is_replaced(chars: int) -> None:
    token = secrets.token_urlsafe(33)[:chars]
    assert redact(f"GET /u/{token} HTTP") == "GET /u/<token> HTTP"
    assert redact(f"Not Found: /u/{token}") == "Not Found: /u/<token>"
    assert redact(f"<https://mail.example.org/u/{token}>") == "<https://mail.example.org/u/<token>>"


def test_bearer_is_replaced_whatever_its_length() -> None:
    assert redact("Authorization: Bearer short, X") == "Authorization: Bearer <token>, X"


def test_token_of_a_provider_is_replaced() -> None:
    token = jwt.encode({"sub": "1", "name": "Ann Berg"}, "a key of 32 octets, and some more", algorithm="HS256")
    assert redact(f"Error retrieving access token: {{'id_token': '{token}'}}") == (
        "Error retrieving access token: {'id_token': '<token>'}"
    )


@pytest.mark.parametrize(
    "text",
    [
        "@login_required",
        "Lane 7 of job 3 ended: 120 sent, 3 failed in 4.2 s",
        "GET /batches/3/review/?row=2",
        "a" * 64,
        "0f4b7a0e-8a4f-4c9a-9d43-b0a4b2a4e8f1",
        '  File "batches/jobs/sweep.py", line 12, in sweep',
    ],
)
def test_text_stays_as_it_is_when_it_has_neither(text: str) -> None:
    assert redact(text) == text
