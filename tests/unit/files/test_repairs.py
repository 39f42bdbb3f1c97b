# ruff: noqa: RUF001  letters of many scripts that look alike

from __future__ import annotations

import codecs

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batches.files.repairs import KEEP_CONTROLS, REPAIRS, find_repair, repair_text

NAMES = ["Zoë", "José Muñoz", "Łukasz", "Иван", "Renée O’Brien", "山田", "Ángel", "Şükrü"]


def encode_twice(text: str, inner: str) -> str:
    """Return a text as it looks after its UTF-8 was taken for another encoding."""
    return text.encode().decode(inner, KEEP_CONTROLS)


@pytest.mark.parametrize("name", [name for name in REPAIRS if name.startswith("utf-8-twice")])
def test_text_is_repaired_when_it_was_encoded_twice(name: str) -> None:
    twice = [encode_twice(text, REPAIRS[name].inner) for text in NAMES]
    assert ",".join(twice).encode().decode(name) == ",".join(NAMES)
    assert find_repair([word for text in twice for word in text.split()]) == name


@pytest.mark.parametrize(
    "word",
    ["CAFÉ”", "JOÃO", "Рівне", "Сергій", "Рё", "DÉJÀ", "NEMŮŽE", "VYPNÚŤ", "PÄŤ", "дії", "Ñ", "√", "Zo\ufffd", "山"],
)
def test_word_is_left_alone_when_it_is_correct(word: str) -> None:
    assert find_repair([word]) is None
    assert word.encode().decode("utf-8-twice") == word


@given(st.lists(st.sampled_from([*NAMES, "ann@example.org", ","])), st.integers(1, 7), st.sampled_from(sorted(REPAIRS)))
def test_text_is_the_same_when_it_is_decoded_in_pieces(texts: list[str], size: int, name: str) -> None:
    data = encode_twice(",".join(texts), "cp1252").encode()
    decoder = codecs.getincrementaldecoder(name)()
    pieces = [decoder.decode(data[begin : begin + size]) for begin in range(0, len(data), size)]
    assert "".join(pieces) + decoder.decode(b"", final=True) == data.decode(name)


def test_repair_takes_constant_memory_when_a_run_does_not_end() -> None:
    decoder = codecs.getincrementaldecoder("utf-8-twice")()
    assert all(len(decoder.decode("山".encode() * 10_000)) >= 5_000 for _ in range(5))


def test_only_the_run_is_changed_when_a_word_is_half_repaired_already() -> None:
    assert repair_text("Zoë and ZoÃ«", "cp1252") == "Zoë and Zoë"
