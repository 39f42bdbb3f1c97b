from __future__ import annotations

import codecs
import io
import time

import pytest

from batches.files.encoding import CHOICES, GUESSES, check_encoding, choose_encoding, detect_encoding
from batches.files.errors import UnreadableFile


@pytest.mark.parametrize(
    ("text", "written", "found"),
    [
        ("plain", "ascii", "utf-8"),
        ("Zoë, Łukasz, Иван", "utf-8", "utf-8"),
        ("Zoë", "utf-8-sig", "utf-8-sig"),
        ("Zoë", "utf-16", "utf-16"),
        ("name", "utf-16-le", "utf-16-le"),
        ("name", "utf-16-be", "utf-16-be"),
        ("имя,Łódź\nЮлия,maria@example.org\n", "utf-16-le", "utf-16-le"),
        ("姓名,邮箱\n一二三,yi@example.org\n", "utf-16-be", "utf-16-be"),
        ("Jürgen Groß aus Köln, “Jo”", "cp1252", "cp1252"),
        ("Hélène et François à la plage", "latin-1", "cp1252"),
        ("Александр Пушкин, Мария Петрова", "cp1251", "cp1251"),
        ("Ελληνικά ονόματα από την Αθήνα", "cp1253", "cp1253"),
        ("山田太郎と鈴木花子は東京に住んでいます", "cp932", "cp932"),
        ("중앙대학교 김철수 선생님께 드립니다", "euc-kr", "cp949"),
    ],
)
def test_encoding_is_found_when_the_text_shows_it(text: str, written: str, found: str) -> None:
    assert detect_encoding(io.BytesIO(text.encode(written))) == found


def test_encoding_is_found_when_the_first_letter_beyond_ascii_is_at_the_end() -> None:
    text = "ann@example.com,Ann\n" * 500_000
    assert detect_encoding(io.BytesIO(text.encode() + "Zoë".encode())) == "utf-8"
    assert detect_encoding(io.BytesIO(text.encode() + "Jürgen Groß\n".encode("cp1252"))) == "cp1252"


@pytest.mark.parametrize("damage", [b"Zo\xff\n", "Zoë".encode()[:-1]], ids=["a byte", "cut off"])
def test_encoding_is_utf8_when_every_word_but_one_is(damage: bytes) -> None:
    assert detect_encoding(io.BytesIO("Zoë,山田太郎\n".encode() * 1000 + damage)) == "utf-8"
    assert detect_encoding(io.BytesIO(("山" * 300).encode() + b" " + ("田" * 300).encode() + b" " + damage)) == "utf-8"


def test_detection_takes_little_time_when_a_large_file_is_not_utf8() -> None:
    data = "Jürgen Groß aus Köln,joerg@example.com\n".encode("cp1252") * 500_000
    start = time.process_time()
    assert detect_encoding(io.BytesIO(data)) == "cp1252"
    assert time.process_time() - start < 5


@pytest.mark.parametrize("name", ["klingon", "base64", "utf-7", "unicode_escape", "idna"])
def test_choice_is_refused_when_no_file_can_have_it(name: str) -> None:
    with pytest.raises(UnreadableFile, match="Choose another"):
        check_encoding(name)


@pytest.mark.parametrize(
    ("name", "codec"), [("UTF8", "utf-8-sig"), ("Windows-1252", "cp1252"), ("latin1", "iso8859-1")]
)
def test_choice_is_taken_when_it_has_another_name(name: str, codec: str) -> None:
    assert check_encoding(name) == codec


@pytest.mark.parametrize("written", ["utf-16-le", "utf-16-be"])
def test_byte_order_is_found_when_utf16_is_chosen_for_a_file_without_mark(written: str) -> None:
    stream = io.BytesIO("Łukasz,email\nŻółć,lukasz@example.com\n".encode(written))
    assert choose_encoding("utf-16", stream) == written
    assert stream.tell() == 0


def test_choice_of_utf16_is_refused_when_the_file_is_not_utf16() -> None:
    with pytest.raises(UnreadableFile, match="is not UTF-16"):
        choose_encoding("utf-16", io.BytesIO(b"email\nann@example.com\n"))


def test_choice_of_utf16_is_taken_when_the_file_has_its_mark() -> None:
    assert choose_encoding("utf-16", io.BytesIO("email".encode("utf-16"))) == "utf-16"


def test_every_encoding_that_is_found_can_be_chosen() -> None:
    assert [codecs.lookup(name).name for name in CHOICES] == list(CHOICES)
    assert {codecs.lookup(name).name for name in GUESSES} <= set(CHOICES)
