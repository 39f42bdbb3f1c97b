"""A note has a fix where the program knows what was meant, and the fix changes one place only."""

from __future__ import annotations

import pytest

from batches.rendering import children
from batches.rendering.foreign import find_foreign_tags
from batches.rendering.template import MessageParts
from batches.writing.fixes import Fix, note_fault, note_foreign, note_missing


@pytest.mark.parametrize(
    ("text", "fixed"),
    [
        ("a\n{{{ name }}}", "a\n{{ name }}"),
        ("a\nDear {{ name, b", "a\nDear {{ name }}, b"),
        ("{% if a %}x{% else if b %}y{% endif %}", "{% if a %}x{% elif b %}y{% endif %}"),
        ("{{ name|capitalise }}", "{{ name|capitalize }}"),
        ("{% if a = 1 %}x{% endif %}", "{% if a == 1 %}x{% endif %}"),
        ("{{ “first_name” }}", "{{ first_name }}"),
    ],
)
def test_fault_is_gone_after_its_fix(text: str, fixed: str) -> None:
    fault = children.analyse(MessageParts(subject="S", html="", text=text)).fault
    note = note_fault(fault, {"subject": "S", "text": text})
    assert (note.part, note.is_fault) == ("text", True)
    assert note.fix is not None, fault
    assert note.fix.apply(text) == fixed
    assert children.analyse(MessageParts(subject="S", html="", text=fixed)).fault == ""


def test_fault_has_no_fix_when_nobody_knows_what_was_meant() -> None:
    note = note_fault("The template takes too much time or memory.", {"text": "x"})
    assert (note.part, note.fix, note.text) == ("", None, "The template takes too much time or memory.")


@pytest.mark.parametrize("tag", ["*|FNAME|*", "[Vorname]", "((vorname))", "%vorname%", "<<Vorname>>", "{vorname}"])
def test_tag_of_another_program_becomes_the_field_of_the_list(tag: str) -> None:
    text = f"one\nDear {tag},"
    [found] = find_foreign_tags(MessageParts(subject="S", html="", text=text), ["vorname"])
    fix = note_foreign(found).fix
    assert fix is not None
    assert fix.apply(text) == "one\nDear {{ vorname }},"


def test_field_becomes_the_near_column_when_the_list_lacks_it() -> None:
    text = "Dear {{ Vornam|title }}, {{ Klasse }} {{ email }} {{ other }}"
    notes = note_missing({"source": text}, ["vorname", "klasse"], "parents")
    assert [note.text for note in notes] == [
        "Your list “parents” has no column Vornam. Near: vorname.",
        "Your list “parents” has no column other.",
    ]
    assert notes[0].fix and notes[0].fix.apply(text).startswith("Dear {{ vorname|title }},")
    assert notes[1].fix is None


def test_fix_changes_nothing_when_the_text_has_changed_meanwhile() -> None:
    fix = Fix(part="text", line=2, old="[a]", new="{{ a }}")
    assert fix.apply("[a]\nb") == "[a]\nb"
    assert fix.apply("[a]\r\n[a] [a]") == "[a]\n{{ a }} [a]"
