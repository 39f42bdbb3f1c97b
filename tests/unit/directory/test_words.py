from __future__ import annotations

import pytest

from batches.directory.words import combine_keys, make_words, read_query

FIELDS = ["Vorname", "Nachname", "Ort"]


def is_found(query: str, words: str) -> bool:
    """Whether a search finds a person with these words, as the SQL compares them."""
    terms = read_query(query)
    keys = {words[place : place + 3] for place in range(len(words) - 2)}
    has_keys = any(keys.issuperset(wanted) for wanted in combine_keys(terms))
    is_like = all(any(text.strip("%").replace("\\", "") in words for text in term.likes) for term in terms)
    assert has_keys or not is_like, "a key is missing"
    return bool(terms) and is_like


@pytest.mark.parametrize(
    "query",
    [
        "Jürgen", "jurgen", "Juergen", "müller", "MULLER", "mueller", "Jürgen Müller-Berg", "berg jür", "üller", "m",
        "Mü", "j.mueller", "j.mueller@schule.example", "mueller@sch", "schule", "Mueller@Schule.Example", "_berg",
        "\u200ej.mueller@schule.example\u200f", "\ufeffmueller@\u00adsch",
    ],
)  # fmt: skip
def test_person_is_found_when_the_query_is_a_part_of_name_or_address(query: str) -> None:
    assert is_found(query, make_words(FIELDS, ["Jürgen", "Müller-Berg", "Köln"], address="j.mueller@schule.example"))


@pytest.mark.parametrize("query", ["ann", "köln", "ürgen x", "ge", "", "   ", "%", "__", "jurgen@schule"])
def test_person_is_not_found_when_the_query_is_of_somebody_else(query: str) -> None:
    assert not is_found(query, make_words(FIELDS, ["Jürgen", "Müller", "Köln"], address="j@schule.example"))


def test_family_name_is_found_when_name_has_no_spaces() -> None:
    words = make_words(["姓", "名"], ["山田", "太郎"], address="y@example.org")
    assert is_found("太郎", words) and is_found("山田", words)


def test_letters_of_likes_are_escaped_when_they_are_patterns() -> None:
    [term] = read_query("a_b%c@x")
    assert term.likes == [r"%a\_b\%c@x%"]
