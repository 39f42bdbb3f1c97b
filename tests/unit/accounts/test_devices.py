"""Names as they are counted, devices as they are shown, and waits as they are said."""

from __future__ import annotations

import pytest

from batches.accounts.agents import name_device
from batches.accounts.devices import digest_name, normalise_name
from batches.accounts.guesses import say_wait


@pytest.mark.parametrize("name", ["bob", "BOB", "\uff42\uff4f\uff42", "\U0001d41bob", "\u24d1ob", " bob "])
def test_spellings_of_a_name_are_one(name: str) -> None:
    assert normalise_name(name) == "bob"
    assert digest_name(name) == digest_name("bob")


@pytest.mark.parametrize("name", ["bo", "b\u043eb", "bob\ud800", ""])  # the second has a Cyrillic letter
def test_other_names_are_others(name: str) -> None:
    assert digest_name(name) != digest_name("bob")


@pytest.mark.parametrize(
    ("agent", "name"),
    [
        ("Mozilla/5.0 (Windows NT 10.0; Win64; x64) Chrome/140 Safari/537.36 Edg/140", "Edge on Windows"),
        ("Mozilla/5.0 (iPhone; CPU iPhone OS 19_0 like Mac OS X) Version/19.0 Safari/604.1", "Safari on iPhone"),
        ("Mozilla/5.0 (Linux; Android 16) Chrome/140.0 Mobile Safari/537.36", "Chrome on Android"),
        ("curl/8.1", "curl/8.1"),
        ("", "An unnamed program"),
    ],
)  # fmt: skip
def test_device_is_named_for_people(agent: str, name: str) -> None:
    assert name_device(agent) == name


@pytest.mark.parametrize(
    ("seconds", "words"), [(1, "a minute"), (60, "a minute"), (61, "2 minutes"), (900, "15 minutes")]
)
def test_wait_is_said_in_whole_minutes(seconds: int, words: str) -> None:
    assert say_wait(seconds) == words
