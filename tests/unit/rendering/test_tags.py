"""A source is split into tags, and a tag into tokens."""

from __future__ import annotations

import pytest

from batches.rendering.tags import TagFault, find_line, find_tags, read_tokens


def find(source: str) -> list[tuple[str, bool]]:
    return [(tag.code.strip(), tag.is_statement) for tag in find_tags(source)]


@pytest.mark.parametrize(
    ("source", "tags"),
    [
        ("no tag", []),
        ("{{ a }}{% if b %}", [("a", False), ("if b", True)]),
        ("{{- a -}} {%+ if b -%}", [("a", False), ("if b", True)]),
        ("{# {{ a }} #}{{ b }}", [("b", False)]),
        ("{% raw %}{{ a }}{% endraw %}{{ b }}", [("b", False)]),
        ('{{ "}}" }}{{ b }}', [('"}}"', False), ("b", False)]),
        ("{{ {'a': {'b': 1}} }}", [("{'a': {'b': 1}}", False)]),
        ("{{ Mother's name }} isn't", [("Mother's name", False)]),
        ("{{ a\u00a0==\u2009“b” }}", [('a == "b"', False)]),
        ("{{ a == &quot;b&quot; }}", [('a == "b"', False)]),
        ("a { b } {c} }}", []),
    ],
)
def test_tags_are_found_in_order(source: str, tags: list[tuple[str, bool]]) -> None:
    assert find(source) == tags


@pytest.mark.parametrize("source", ["x\n{{ a", "x\n{% if", "x\n{# a", "x\n{{{ a }}}"])
def test_place_is_told_when_a_tag_has_no_end(source: str) -> None:
    with pytest.raises(TagFault) as fault:
        find(source)
    assert find_line(source, fault.value.offset) == 2


def test_signs_inside_a_name_belong_to_it() -> None:
    tokens = read_tokens("E-Mail a - b Straße/Ort 2nd 3.5 x|f 'it' >= !")
    assert [(token.kind, token.text) for token in tokens] == [
        ("name", "E-Mail"), ("name", "a"), ("sign", "-"), ("name", "b"), ("name", "Straße/Ort"), ("name", "2nd"),
        ("number", "3.5"), ("name", "x"), ("sign", "|"), ("name", "f"), ("string", "'it'"), ("sign", ">="),
        ("other", "!"), ("end", ""),
    ]  # fmt: skip
