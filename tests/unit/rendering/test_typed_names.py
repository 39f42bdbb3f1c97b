"""The heading of a column is the name of its field, with its signs, wherever the field is."""

from __future__ import annotations

import pytest

from batches.files.headings import name_merge_fields
from batches.rendering.compiled import compile_parts
from batches.rendering.template import MessageParts, TemplateFault


def render(text: str, *headings: str) -> str:
    """Save a letter without a list, and render it for a list with these headings. The cells are A, B, C."""
    parts = MessageParts(subject="S", html="", text=text)
    compile_parts(parts)
    columns = name_merge_fields(headings, range(1, len(headings) + 1))
    context = dict(zip(columns, "ABC", strict=False)) | {"email": "eva@example.org"}
    return compile_parts(parts, columns).render(context).text


PLAIN = (
    *(
        "Tel.",
        "Tel.-Nr.",
        "D.O.B.",
        "z. B.",
        "Mr./Mrs.",
        "Nr.",
        "VIP?",
        "Child 1",
        "Child 1 Name",
        "2. Wahl",
        "2nd choice",
    ),
    *("Name (child)", "Größe (cm)", "Fee (€)", "Fee in €", "Total (incl. VAT, 19 %)", "Rabatt %", "Amount $", "Name *"),
    *("user.name", "Address 1", "E-Post 2", "Date of birth (DD/MM/YYYY)", "ชื่อ-นามสกุล", "नाम-उपनाम", "Tel. privat"),
)


@pytest.mark.parametrize("heading", PLAIN)
def test_heading_is_a_field_in_every_place(heading: str) -> None:
    text = f"{{{{ {heading} }}}}{{{{ {heading}|lower }}}}{{% if {heading} == 'A' %}}yes{{% endif %}}"
    assert render(text, heading, "Other") == "Aayes"


@pytest.mark.parametrize(
    "heading",
    [
        *("Nom / Prénom", "Vor- und Nachname", "A+B", "50% off", "Paid and confirmed", "Child in class", "Yes or no"),
        *("Not paid", "In class", "Is member", "Points > 100", "2026", "2024/25", "Coming if sunny", "Name [child]"),
        *("Start - End", "None", "true", "Rows", "A & B", "Kind: Name", "Familienname, Vorname", "not paid"),
    ],
)
def test_whole_tag_is_the_column_with_its_heading(heading: str) -> None:
    assert render(f"{{{{ {heading} }}}}", heading, "Other") == "A"


@pytest.mark.parametrize("heading", ["Paid and confirmed", "Lunch or dinner", "Ja/Nein", "Vor- und Nachname"])
def test_condition_is_about_the_column_with_its_heading(heading: str) -> None:
    assert render(f"{{% if {heading} %}}yes{{% endif %}}", heading, "Other") == "yes"


@pytest.mark.parametrize(
    ("tag", "shown"),
    [
        ("{{ a ~ b }}", "AB"),
        ("{{ a if b }}", "A"),
        ("{{ a and b }}", "B"),
        ("{{ [a, b]|join }}", "AB"),
        ("{% if a in b %}yes{% endif %}", ""),
        ("{{ (a,)|length }}", "1"),
        ("{{ {a: b}|length }}", "1"),
        ("{{ 'abc'[1:] }}{{ a[0:] }}", "bcA"),
        ("{% set n = 1 %}{{ 'abc'[n:] }}", "bc"),
        ("{% set ab = {'b': 'own'} %}{{ ab.b }}", "own"),
        ("{% for x in [a] %}{{ loop.index }}{{ x }}{% endfor %}", "1A"),
        ("{% if a is string and b is defined %}yes{% endif %}", "yes"),
        ("{{ range (3)|join }}", "012"),
    ],
)
def test_sign_is_an_operator_when_it_joins_columns(tag: str, shown: str) -> None:
    assert render(tag, "a", "b", "a and b a") == shown


@pytest.mark.parametrize("tag", ["{{ “Vorname” }}", "{{ \u2018Vorname\u2019 }}", "{{ „Vorname“ }}"])
def test_name_in_quotes_is_refused(tag: str) -> None:
    with pytest.raises(TemplateFault, match="in quotation marks"):
        render(tag, "Vorname")


def test_name_of_a_column_in_plain_quotes_is_refused() -> None:
    with pytest.raises(TemplateFault, match="in quotation marks"):
        render("{{ 'vorname' }}", "Vorname")
    assert render("{{ 'friend' }}", "Vorname") == "friend"


@pytest.mark.parametrize(
    "loop",
    [
        "{{% for row in rows %}}{{{{ row.{0} }}}}{{% endfor %}}",
        "{{% for row in rows %}}{{{{ row.{0}|upper }}}}{{% endfor %}}",
        "{{% for r in rows|reverse %}}{{% if r.{0} == 'A' %}}A{{% endif %}}{{% endfor %}}",
    ],
)
@pytest.mark.parametrize(
    "heading", ["First Name", "first name", "Child 1", "Tel.", "Größe (cm)", "E-Post 2", "Ja/Nein"]
)
def test_heading_is_a_field_of_a_row(loop: str, heading: str) -> None:
    assert render(loop.format(heading), heading, "Other") == "A"


def test_name_after_an_index_may_have_several_words() -> None:
    assert render("{{ rows[0].First Name }}", "First Name") == "A"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("{{ First Name[:1] }}.", "A."),
        ("{{ FIRST NAME[0:1]|lower }}.", "a."),
        ("{% for letter in First-Name[:1] %}{{ letter }}{% endfor %}", "A"),
        ("{% for row in rows[:1] %}{{ row.First Name }}{% endfor %}", "A"),
        ("{% filter replace('x', First-Name) %}x{% endfilter %}", "A"),
        ("{% set Firstname = Firstname|lower %}{{ Firstname }}", "a"),
        ("{% for Firstname in Firstname|list %}{{ Firstname }}{% endfor %}", "A"),
        ("{% with Firstname = Firstname|lower %}{{ Firstname }}{% endwith %}", "a"),
        ("{% for Firstname in [1] %}{{ Firstname }}{% endfor %}{{ Firstname }}", "1A"),
    ],
)
def test_field_is_found_in_a_slice_and_beside_a_variable(text: str, shown: str) -> None:
    assert render(text, "First Name", "Other") == shown


def test_misspelt_field_in_a_slice_is_a_fault() -> None:
    with pytest.raises(TemplateFault, match=r"no column for: Frist Name\. Near Frist Name: first_name"):
        render("{{ Frist Name[:1] }}", "First Name")
