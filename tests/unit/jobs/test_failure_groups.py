"""Which replies of mail servers are alike."""

from __future__ import annotations

import time

import pytest

from batches.jobs.failure_groups import READ_MAX_CHARS, Failed, FailureChoice, find_key, say_alike


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        ("5.1.1 No such user", "550 5.1.1 No such user"),
        ("5.1.1 <ann@example.com>: Recipient address rejected", "550 5.1.1 …: Recipient address rejected"),
        ("No such user ann@example.com", "550 No such user …"),
        ("Mailbox size 104857600 of 104857601 exceeded", "550 Mailbox size … of … exceeded"),
        ("Queued as 4XyZ1a2bcd. Bye", "550 Queued as … Bye"),
        ("gmail a640c23a62f3a-af0e5 - gsmtp", "550 gmail … - gsmtp"),
        ("Blocked [192.0.2.1] see https://example.com/b?ip=192.0.2.1&id=9", "550 Blocked … see …"),
        ("Client host [2001:db8::1] blocked", "550 Client host … blocked"),
        ("two\n  lines\t and tabs", "550 two lines and tabs"),
        ("", "550"),
    ],
)
def test_reply_keeps_only_what_is_alike(reply: str, expected: str) -> None:
    assert say_alike(550, reply) == expected


def test_replies_are_alike_when_only_the_recipient_and_the_queue_differ() -> None:
    first = say_alike(550, "5.1.1 ann@example.com unknown (id 4Xa1, 2026-11-27T10:00:01Z)")
    assert first == say_alike(550, "5.1.1 bob.b+tag@mail.example.org unknown (id 77ZZ9, 2026-11-28T11:22:33Z)")


def test_replies_differ_when_the_code_or_the_words_do() -> None:
    assert len({find_key(say_alike(*each)) for each in [(550, "No user"), (554, "No user"), (550, "No mailbox")]}) == 3


def test_reply_without_a_code_is_a_sentence_of_ours() -> None:
    assert say_alike(None, "The template uses name.") == "The template uses name."


@pytest.mark.parametrize("text", ["a", "1", "a1", "@", "a@", ".", "[", "2.", "1:"])
def test_long_reply_takes_no_longer_than_a_short_one(text: str) -> None:
    began = time.process_time()
    assert len(say_alike(550, text * 100_000)) <= READ_MAX_CHARS
    assert time.process_time() - began < 0.5


def test_choice_has_only_the_failures_of_its_group_and_domain() -> None:
    failed = Failed(1, "ann@example.com", 550, "No such user ann")
    words = failed.words
    assert FailureChoice(key=find_key(words), words=words).has(failed)
    assert FailureChoice(key=find_key(words), words=words, domain="example.com").has(failed)
    assert not FailureChoice(key=find_key(words), words=words, domain="example.org").has(failed)
    assert not FailureChoice(key=find_key("other"), words="other").has(failed)
