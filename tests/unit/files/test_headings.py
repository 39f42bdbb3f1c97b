from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batches.files.dialect import choose_layout, detect_delimiter
from batches.files.errors import UnreadableFile
from batches.files.headings import is_address_heading, is_merge_field, name_merge_fields


@pytest.mark.parametrize(
    "heading",
    [
        *("email", "E-Mail", "EMAIL ADDRESS", " e_mail ", "E-Mail-Adresse", "Mail", "Correo electrónico", "correo"),
        *("Adresse électronique", "Courriel", "e-postadress", "Sähköposti", "メールアドレス", "电子邮件", "이메일"),
        *("Электронная почта", "Ηλεκτρονικό Ταχυδρομείο", "E-posta adresi", "Endereço de e-mail"),
        *("E-mail 1 - Value", "emailaddress1", "Email Address (required)", "Adresse de messagerie", "E-mail cím"),
        *("電子メールアドレス", "전자우편", "Elektronická pošta", "Електронна пошта", "پست الکترونیکی"),
    ],
)
def test_heading_means_the_address_when_it_is_a_synonym(heading: str) -> None:
    assert is_address_heading(heading)


@pytest.mark.parametrize("heading", ["name", "", "mailbox no", "emailed on", "post", "email status", "(email)", "1"])
def test_heading_means_something_else_when_it_only_looks_alike(heading: str) -> None:
    assert not is_address_heading(heading)


@given(st.lists(st.text(max_size=12), max_size=30))
def test_merge_fields_are_unique_identifiers_when_headings_are_anything(headings: list[str]) -> None:
    names = name_merge_fields(headings, range(1, len(headings) + 1))
    assert len(names) == len(headings) == len(set(names))
    assert all(re.fullmatch("[a-z_][a-z0-9_]*", name) for name in names)
    assert all(is_merge_field(name) for name in names)


@pytest.mark.parametrize(
    ("text", "delimiter"),
    [
        ("a,b\n1,2\n", ","),
        ("a;b\n1,5;2,5\n3,5;4,5\n", ";"),
        ("email\nann@example.com\n", ","),
        ("email;name\nann@example.com;Doe, Ann\n", ";"),
        ("email|name\nann@example.com|a,b;c\n", "|"),
        ("", ","),
    ],
)
def test_delimiter_is_found_when_others_are_in_the_cells(text: str, delimiter: str) -> None:
    assert detect_delimiter(text) == delimiter


@pytest.mark.parametrize(
    ("records", "index"),
    [
        ([["Adresse"], ["ann@example.com"]], 0),
        ([["Adresse", "Mail"], ["Markt 1", "ann@example.com"]], 1),
        ([["Adresse", "Wer"], ["Markt 1", "ann@example.com"]], 1),
        ([["x", "y"], ["1", "ann@example.com"], ["2", "bob@example.com"]], 1),
        ([["1", "ann@example.com"], ["2", "bob@example.com"]], 1),
        ([["email", "x"], ["broken", "ann@example.com"]], 0),
        ([["Mail", "E-Mail"], ["ja", "ann@example.com"]], 1),
        ([["\ufeff\ufeffE-Mail", "x"], ["ann@example.com", "1"]], 0),
    ],
)
def test_address_column_is_found_when_its_heading_or_its_cells_tell(records: list[list[str]], index: int) -> None:
    assert choose_layout(records).address_index == index


@pytest.mark.parametrize(
    ("records", "message"),
    [
        ([["email", "x" * 1001]], "Cell 2 of the first line has 1,001 characters"),
        ([["email", *["x"] * 500]], "has 501 columns"),
        ([["ann@example.com", "bob@example.com"]], "Put each address on a line of its own"),
        ([["{" * 900]], "the first line has '{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{{…'"),
    ],
)
def test_first_line_is_refused_when_it_is_none_of_a_list(records: list[list[str]], message: str) -> None:
    with pytest.raises(UnreadableFile) as caught:
        choose_layout(records)
    assert message in str(caught.value)
    assert len(str(caught.value)) < 300
