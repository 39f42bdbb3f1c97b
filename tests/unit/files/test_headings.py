from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from minijinja import Environment

from batches.files.headings import HeadingRank, is_email_heading, is_merge_field, name_merge_fields, rank_heading


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
    assert rank_heading(heading) == HeadingRank.AMBIGUOUS
    assert not is_email_heading(heading)


@given(st.lists(st.text(max_size=12), max_size=30))
def test_merge_fields_are_unique_identifiers_when_headings_are_anything(headings: list[str]) -> None:
    names = name_merge_fields(headings, range(1, len(headings) + 1))
    assert len(names) == len(headings) == len(set(names))
    assert all(is_merge_field(name) for name in names)
    for name in names:
        assert Environment().render_str(f"{{{{ {name} }}}}", **{name: "x"}) == "x"


@pytest.mark.parametrize(
    ("heading", "name"),
    [
        *[
            ("First Name", "first_name"),
            ("Prénom", "prenom"),
            ("Straße", "strasse"),
            ("Łódź", "lodz"),
            ("Ad\u0131", "adi"),
        ],
        *[("Имя", "имя"), ("Краткий адрес", "краткий_адрес"), ("Όνομα", "όνομα"), ("Επώνυμος", "επώνυμος")],
        *[
            ("名前", "名前"),
            ("ｶﾞｯｺｳ", "ガッコウ"),
            ("이름", "이름"),
            ("الاسم الأول", "الاسم_الأول"),
            ("שם פרטי", "שם_פרטי"),
        ],
        *[("दिल्ली का नाम", "दिल्ली_का_नाम"), ("ชื่อ", "ชื่อ"), ("2. Kind", "_2_kind"), ("E-Mail (alt)", "e_mail_alt")],
        *[("E-Mail", "e_mail_2"), ("if", "if_"), ("rows", "rows_"), ("#", "column_1"), ("___", "column_1")],
    ],
)
def test_merge_field_keeps_the_letters_when_the_heading_is_in_any_script(heading: str, name: str) -> None:
    assert name_merge_fields([heading], [1]) == [name]


@pytest.mark.parametrize("name", ["Vorname", "имя", "名前", "prénom", "name_2"])
def test_name_can_be_a_merge_field_when_a_template_can_write_it(name: str) -> None:
    assert is_merge_field(name)


@pytest.mark.parametrize("name", ["", "_", "first name", "2x", "for", "If", "rows", "email", "E_Mail", "a-b", "a²"])
def test_name_can_be_no_merge_field_when_a_template_cannot_write_it(name: str) -> None:
    assert not is_merge_field(name)


@pytest.mark.parametrize(
    ("rank", "headings"),
    [
        (HeadingRank.PLAIN, ["E-Mail", "Primary Email", "Primäre E-Mail-Adresse", "E-Mail <office@example.com>"]),
        (HeadingRank.PLAIN, ["emailAddress", "Адрес электронной почты", "Your email", "メールアドレス"]),
        (HeadingRank.NOTED, ["Email 1", "E-Mail 2", "E-Mail (required)", "Kunden-E-Mail", "Email Status"]),
        (HeadingRank.AMBIGUOUS, ["Adresse", "To", "地址"]),
        (HeadingRank.SECONDARY, ["E-Mail (alt)", "E-Mail (Rechnung)", "Sekundäre E-Mail-Adresse", "workEmail"]),
        (
            HeadingRank.SECONDARY,
            ["Альтернативный адрес электронной почты", "E-Mail Mutter", "Elternmail", "予備メールアドレス"],
        ),
        (
            HeadingRank.NONE,
            ["name", "mailbox no", "Mailing address", "ann@x.org", "Ann, E-Mail <ann@x.org>", "x" * 500],
        ),
        (HeadingRank.NONE, ["When you export your connections, some email addresses may be missing."]),
    ],
)
def test_heading_is_ranked_by_how_plainly_it_means_the_address(rank: HeadingRank, headings: list[str]) -> None:
    assert {heading: rank_heading(heading) for heading in headings} == dict.fromkeys(headings, rank)
