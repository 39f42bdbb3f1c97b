"""Tests of the token of the unsubscribe link."""

from __future__ import annotations

import base64
import string
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batches.unsubscribe_tokens import (
    TOKEN_CHARS,
    TokenWriter,
    UnsubscribeToken,
    is_ready,
    make_token,
    make_url,
    read_token,
)

DIGEST = bytes(range(16))
KEYS = ["new key", "old key"]


@given(topic_id=st.integers(0, 2**32 - 1), digest=st.binary(min_size=16, max_size=16))
def test_token_is_read_as_it_was_made(topic_id: int, digest: bytes) -> None:
    token = make_token(topic_id, digest, keys=KEYS)
    assert len(token) == TOKEN_CHARS
    assert set(token) <= set(string.ascii_letters + string.digits + "-_")
    assert read_token(token, keys=KEYS) == UnsubscribeToken(topic_id=topic_id, digest=digest)
    assert TokenWriter(topic_id=topic_id, keys=KEYS).write(digest).decode() == token


def test_old_token_is_read_when_a_new_key_was_put_in_front() -> None:
    token = make_token(7, DIGEST, keys=["old key"])
    assert read_token(token, keys=KEYS) == UnsubscribeToken(topic_id=7, digest=DIGEST)
    assert read_token(token, keys=["new key"]) is None


def test_no_token_is_read_when_one_character_was_changed() -> None:
    token = make_token(7, DIGEST, keys=KEYS)
    for place in range(TOKEN_CHARS):
        for other in "Aa0-_=+/ \n":
            changed = token[:place] + other + token[place + 1 :]
            if changed != token:
                assert read_token(changed, keys=KEYS) is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "preview",
        "A" * 44,
        "A" * 43 + "=",
        "=" * 44,
        "ä" * 44,
        "A" * 45,
        "A" * 10_000,
        base64.urlsafe_b64encode(bytes(33)).decode(),
    ],
)
def test_no_token_is_read_when_the_text_is_none(text: str) -> None:
    assert read_token(text, keys=KEYS) is None


def test_tokens_of_two_topics_differ_in_their_tag() -> None:
    first, second = make_token(1, DIGEST, keys=KEYS), make_token(2, DIGEST, keys=KEYS)
    assert first[-17:] != second[-17:]


def test_link_leads_to_the_public_address(settings: Any) -> None:
    settings.PUBLIC_URL, settings.UNSUBSCRIBE_KEYS = "https://mail.example.org", KEYS
    token = make_token(1, DIGEST)
    assert make_url(token) == f"https://mail.example.org/u/{token}"
    assert read_token(token) == UnsubscribeToken(topic_id=1, digest=DIGEST)
    assert is_ready() is None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PUBLIC_URL", ""),
        ("PUBLIC_URL", "mail.example.org"),
        ("PUBLIC_URL", "ftp://mail.example.org"),
        ("PUBLIC_URL", "https://mail.example.org>, <https://evil.example"),
        ("PUBLIC_URL", "https://mail.example.org/?a=1"),
        ("PUBLIC_URL", "https://mail.example.org\nX: y"),
        ("UNSUBSCRIBE_KEYS", []),
    ],
)
def test_sentence_names_the_setting_when_no_news_can_be_sent(settings: Any, name: str, value: object) -> None:
    settings.PUBLIC_URL, settings.UNSUBSCRIBE_KEYS = "https://mail.example.org", KEYS
    setattr(settings, name, value)
    assert f"Set {name} to" in (is_ready() or "")
