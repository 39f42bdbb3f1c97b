from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batches.files.headings import is_ambiguous_heading, is_email_heading, is_merge_field, name_merge_fields


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
def test_heading_means_the_email_address_when_it_is_a_synonym(heading: str) -> None:
    assert is_email_heading(heading)


@pytest.mark.parametrize("heading", ["name", "", "mailbox no", "emailed on", "post", "email status", "(email)", "1"])
def test_heading_means_something_else_when_it_only_looks_similar(heading: str) -> None:
    assert not is_email_heading(heading)


@pytest.mark.parametrize("heading", ["Address", "ADRESSE", "Dirección", "Empfänger", "地址", "To"])
def test_heading_is_ambiguous_when_it_may_mean_a_postal_address(heading: str) -> None:
    assert is_ambiguous_heading(heading)
    assert not is_email_heading(heading)


@given(st.lists(st.text(max_size=12), max_size=30))
def test_merge_fields_are_unique_identifiers_when_headings_are_anything(headings: list[str]) -> None:
    names = name_merge_fields(headings, range(1, len(headings) + 1))
    assert len(names) == len(headings) == len(set(names))
    assert all(re.fullmatch("[a-z_][a-z0-9_]*", name) for name in names)
    assert all(is_merge_field(name) for name in names)
