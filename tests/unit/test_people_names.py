from __future__ import annotations

import pytest

from batches.people_names import NAME_MAX_CHARS, find_name


@pytest.mark.parametrize(
    ("merge_fields", "cells", "name"),
    [
        (["first_name", "last_name"], ["Ann", "Berg"], "Ann Berg"),
        (["Nachname", "Vorname"], ["Müller", "Jürgen"], "Jürgen Müller"),
        (["Name", "Vorname"], ["Müller", "Jürgen"], "Jürgen Müller"),
        (["Vorname", "Name"], ["Jürgen", "Jürgen Müller"], "Jürgen Müller"),
        (["NOM", "Prénom"], ["Dupont", "Zoé"], "Zoé Dupont"),
        (["nombre", "apellidos"], ["María", "García López"], "María García López"),
        (["voornaam", "tussenvoegsel", "achternaam"], ["Jan", "van der", "Berg"], "Jan van der Berg"),
        (["имя", "отчество", "фамилия"], ["Анна", "Ивановна", "Ким"], "Анна Ивановна Ким"),
        (["姓", "名"], ["山田", "太郎"], "山田太郎"),
        (["city", "name"], ["Bern", "Ann  Berg "], "Ann Berg"),
        (["FirstName", "city"], ["Ann", "Bern"], "Ann"),
        (["Name des Kindes", "Klasse"], ["Lea", "3b"], "Lea"),
        (["child_first_name", "child_last_name"], ["Lea", "Roth"], "Lea Roth"),
    ],
)
def test_name_is_found_when_headings_of_a_language_mean_it(
    merge_fields: list[str], cells: list[str], name: str
) -> None:
    assert find_name(merge_fields, cells) == name


@pytest.mark.parametrize(
    ("merge_fields", "cells"),
    [
        ([], []),
        (["company_name", "city"], ["Berg AG", "Bern"]),
        (["user name"], ["ann77"]),
        (["name"], [""]),
        (["name"], []),
    ],
)
def test_no_name_is_found_when_no_column_holds_one(merge_fields: list[str], cells: list[str]) -> None:
    assert find_name(merge_fields, cells) == ""


def test_other_column_is_used_when_the_first_of_a_kind_is_empty() -> None:
    assert find_name(["first_name", "given_name", "last_name"], ["", "Ann", "Berg"]) == "Ann Berg"


def test_name_is_cut_when_a_cell_holds_a_whole_text() -> None:
    assert len(find_name(["name"], ["x" * 5000])) == NAME_MAX_CHARS
