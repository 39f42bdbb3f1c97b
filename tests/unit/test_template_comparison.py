"""Two versions of a template are compared line by line, and word by word within a changed line."""

from __future__ import annotations

from batches.models import TemplateKind, TemplateVersion
from batches.template_comparison import compare


def version(**columns: str) -> TemplateVersion:
    return TemplateVersion(**({"name": "N", "subject": "S", "kind": TemplateKind.MARKDOWN} | columns))


def test_words_are_shown_when_a_line_was_changed() -> None:
    parts = compare(
        version(source="Dear {{ name }},\nyou are invited."),
        version(source="Dear {{ name }},\nyou are warmly invited."),
    )
    letter = next(part for part in parts if part.lines and part.lines[0].text.startswith("Dear"))
    assert [line.mark for line in letter.lines] == [" ", "~"]
    assert [(words.mark, words.text) for words in letter.lines[1].words] == [
        (" ", "you are "),
        ("+", "warmly "),
        (" ", "invited."),
    ]


def test_lines_are_shown_whole_when_they_are_not_alike() -> None:
    parts = compare(version(source="One two three."), version(source="Something else"))
    assert [line.mark for part in parts for line in part.lines if line.mark != " "] == ["-", "+"]


def test_field_is_one_word_when_it_was_replaced() -> None:
    parts = compare(version(source="Dear {{ first_name }}, hello"), version(source="Dear {{ name }}, hello"))
    [changed] = [line for part in parts for line in part.lines if line.mark == "~"]
    assert [words.text for words in changed.words if words.mark != " "] == ["{{ first_name }}", "{{ name }}"]


def test_html_and_text_are_compared_when_a_letter_became_html() -> None:
    names = [part.name for part in compare(version(source="a"), version(kind=TemplateKind.HTML, html="<p>a</p>"))]
    assert names == ["Name", "Topic", "Subject", "Letter", "HTML body", "Text body"]
