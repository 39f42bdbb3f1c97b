from __future__ import annotations

import time

import pytest

from batches.files.headings import name_merge_fields
from batches.names import make_key


@pytest.mark.parametrize(
    ("one", "other"),
    [
        *[("Vorname", "vorname"), ("First Name", "first_name"), ("Prénom", "prenom"), ("E-Mail", "email")],
        *[
            ("GRÖSSE", "größe"),
            ("Ad\u0131", "ADI"),
            ("Łódź", "lodz"),
            ("Søster", "soster"),
            ("ИМЯ", "имя"),
            ("Тётя", "тетя"),
        ],
        *[("ΌΝΟΜΑ", "όνομα"), ("Επώνυμος", "ΕΠΩΝΥΜΟΣ"), ("ﾒｰﾙ", "メール"), ("名前 (姓)", "名前姓"), ("دُكّان", "دكان")],
        *[("שָׁלוֹם", "שלום"), ("Địa chỉ", "dia chi"), ("\uff2e\uff41\uff4d\uff45", "name"), ("Name\u200b", "name")],
    ],
)
def test_keys_are_equal_when_only_case_accents_and_signs_differ(one: str, other: str) -> None:
    assert make_key(one) == make_key(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [("はは", "ばば"), ("мой", "мои"), ("दिल", "दल"), ("ชื่อ", "ชอ"), ("name_1", "name_2"), ("Name", "Vorname")],
)
def test_keys_differ_when_the_letters_do(one: str, other: str) -> None:
    assert make_key(one) != make_key(other)


def test_a_name_of_many_accents_costs_no_time() -> None:
    """Python sorts them in the square of their number: these would take half a minute."""
    name = "a" + "\u0301\u0323" * 80_000
    began = time.process_time()
    assert make_key(name) == "a"
    assert name_merge_fields([name], [1]) == ["a"]
    assert time.process_time() - began < 5
