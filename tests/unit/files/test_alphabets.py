# ruff: noqa: RUF001  letters of many scripts that look alike

from __future__ import annotations

import pytest

from batches.files.alphabets import judge_word, measure_names


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("Işıl", "Iþýl"),  # Turkish in Windows-1252
        ("Müller", "MŸller"),  # Macintosh in Windows-1252
        ("Zoë", "Zo‘"),
        ("Zoë", "ZoÃ«"),  # UTF-8 in Windows-1252
        ("Ştefan", "ªtefan"),
        ("Łukasz", "£ukasz"),
        ("Niccolò", "Niccolт"),  # two scripts in one word
        ("Don’t", "Donít"),
        ("O’Brien", "OÆBrien"),
        ("£20", "Ł20"),
        ("משה", "םשה"),  # a final letter at the beginning
        ("สมชาย", "่สมชาย"),  # a tone without its consonant
        ("김민수", "瞳苛"),
    ],
)
def test_right_word_looks_more_like_a_name_than_the_same_word_in_a_wrong_encoding(right: str, wrong: str) -> None:
    assert judge_word(right)[0] > judge_word(wrong)[0]


def test_one_language_explains_names_better_than_many_do() -> None:
    assert measure_names(["Kovács", "Jenő", "Fűzfa"])[1] > measure_names(["Kovács", "Jenõ", "Fûzfa"])[1]


def test_no_words_look_like_nothing() -> None:
    assert measure_names([]) == (0.0, 0.0)
