"""Fields and columns match without regard to case, accents, spaces and signs."""

from __future__ import annotations

import pytest

from batches.rendering.fields import bind_fields, make_identifier


@pytest.mark.parametrize("name", ["Vorname", "VORNAME", "vor_name", "Vörnáme", "vor-name", "vor name"])
def test_field_is_bound_when_only_case_accents_or_signs_differ(name: str) -> None:
    binding = bind_fields([name], ["email_2", "vorname"])
    assert (dict(binding.aliases), binding.missing) == ({name: "vorname"}, ())


@pytest.mark.parametrize("name", ["Email", "E-Mail", "e_mail", "Mail", "E-Mail-Adresse", "почта"])
def test_field_is_the_address_when_no_column_has_its_name(name: str) -> None:
    assert dict(bind_fields([name], ["vorname"]).aliases) == {name: "email"}


def test_field_is_the_address_when_it_is_the_heading_of_its_column() -> None:
    binding = bind_fields(["E_Mail_Mutter"], ["kind", "e_mail_vater"], "E-Mail Mutter")
    assert (dict(binding.aliases), binding.missing) == ({"E_Mail_Mutter": "email"}, ())


def test_column_wins_when_the_address_column_has_its_heading_too() -> None:
    assert dict(bind_fields(["Kontakt"], ["kontakt"], "Kontakt").aliases) == {"Kontakt": "kontakt"}


def test_column_wins_when_it_has_a_name_of_the_address() -> None:
    assert dict(bind_fields(["Mail"], ["mail"]).aliases) == {"Mail": "mail"}


def test_near_columns_are_given_when_no_column_matches() -> None:
    binding = bind_fields(["Anrede", "vorname", "xyz"], ["anrede_2", "vorname"])
    assert binding.missing == ("Anrede", "xyz")
    assert dict(binding.near) == {"Anrede": ("anrede_2",), "xyz": ()}


@pytest.mark.parametrize(
    ("name", "identifier"),
    [
        ("First Name", "first_name"),
        ("Straße/Ort", "strasse_ort"),
        ("2. Kind", "_2_kind"),
        ("Имя и фамилия", "имя_и_фамилия"),
        ("名前 (姓)", "名前_姓"),
        ("?!", ""),
    ],
)
def test_identifier_has_letters_of_every_script(name: str, identifier: str) -> None:
    assert make_identifier(name) == identifier
