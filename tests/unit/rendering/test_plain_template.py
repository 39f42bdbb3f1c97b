"""Templates of nothing but merge fields are filled in without the engine, and come out as the engine would have it."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batches.rendering.compiled import CompiledTemplate
from batches.rendering.plain_template import TAGS_MAX, PlainTemplate, read_plain
from batches.rendering.template import MessageParts, TemplateFault

VALUES = {"name": "Zoë <b>&\"'/", "city": "", "First_Name": "x\ny", "email": "a@example.org"}
NAMED = (
    "{{ name }}",
    "{{city}}",
    "{{ First Name }}",
    "{{ NAME }}",
    "{{\nname\n}}",
    "{{ e-mail }}",
    "{{ Mother's name }}",
)
TEXTS = ("\n", "\r\n", "\r", "}", "{", "{ {", "}}", "%", "ä", "text ", "<b>", "&amp;", "\\", "'", '"')
PIECES = st.sampled_from([*NAMED, *TEXTS])


def parts_of(text: str, *, html: str = "") -> MessageParts:
    return MessageParts(subject="S {{ name }}", html=html, text=text)


def outcome(template: PlainTemplate | CompiledTemplate, context: dict[str, str]) -> object:
    try:
        return template.render(context)
    except TemplateFault as exc:
        return str(exc), exc.group


@settings(max_examples=300, deadline=None)
@given(st.lists(PIECES, min_size=1, max_size=8), st.booleans())
def test_message_is_that_of_the_engine_when_a_template_is_plain(pieces: list[str], has_list: bool) -> None:
    source = "".join(pieces) + "x" * (not "".join(pieces).strip())
    columns = ["name", "city", "First_Name"] if has_list else None
    arguments: dict[str, Any] = {"subject": "S", "html": source, "text": source}
    try:
        plain = read_plain(MessageParts(**arguments), columns)
    except TemplateFault as fault:
        with pytest.raises(TemplateFault) as other:
            CompiledTemplate(**arguments, columns=columns)
        assert str(other.value) == str(fault)
        return
    if plain is None:
        return
    compiled = CompiledTemplate(**arguments, columns=columns)
    assert outcome(plain, VALUES) == outcome(compiled, VALUES)
    for name in ("merge_fields", "binding", "typed_names", "uses_rows", "number_fields", "sources"):
        assert getattr(plain, name) == getattr(compiled, name), name


@pytest.mark.parametrize(
    "text",
    ["Hi", "Dear {{ name }}\n", "{{ First Name }}, {{ Mother's name }}", "{ a } }} { {{ name }}", "{{ Tel. }}"],
)
def test_template_is_plain_when_it_has_only_names(text: str) -> None:
    assert read_plain(parts_of(text)) is not None


@pytest.mark.parametrize(
    "tag",
    [
        *("{{ name|upper }}", "{% if name %}{% endif %}", "{# note #}", "{{ 'a' }}", "{{ 5 }}", "{{ true }}"),
        *("{{ rows }}", "{{ loop }}", "{{ debug }}", "{{ range }}", "{{ __compare }}", "{{ name ~ name }}"),
        *("{{- name -}}", "{{ -name }}", "{{ name['x'] }}", "{{ a if b else c }}", "{{ not name }}", '{{ "a" * 9 }}'),
    ],
)
def test_template_goes_to_a_child_when_it_has_more(tag: str) -> None:
    assert read_plain(parts_of(f"Dear {tag} x")) is None
    assert read_plain(parts_of("Dear", html=f"Dear {tag} x")) is None


@pytest.mark.parametrize(
    "hostile",
    [
        "{{ " + "not " * 80_000 + "1 }}",
        "{{ {a }}" * 30_000,
        "{{ a 'b }}" * 25_000,
        '{{ " }}' * 35_000,
        "{" * 250_000,
        "{{" * 125_000,
        "{{ a" * 60_000,
        "{% raw %}" * 28_000,
        "{#" * 125_000,
        "{{ a }}" * 37_000,
        "".join(f"{{{{ Feld {number} }}}}" for number in range(TAGS_MAX)),
    ],
    ids=lambda source: source[:12],
)
def test_little_time_is_spent_when_a_text_is_hostile(hostile: str) -> None:
    columns = [f"column_{number}" for number in range(300)]
    began_at = time.process_time()
    with suppress(TemplateFault):
        read_plain(parts_of(hostile), columns)
    assert time.process_time() - began_at < 1.5


def test_fault_is_told_before_the_memory_is_taken_when_the_values_are_huge() -> None:
    template = read_plain(parts_of("{{ name }}" * 1_000))
    assert template is not None
    with pytest.raises(TemplateFault, match="has more than 10,000,000 characters"):
        template.render({"name": "x" * 1_000_000})


def test_values_of_a_program_are_written_as_the_engine_writes_them() -> None:
    plain, compiled = read_plain(parts_of("{{ name }}")), CompiledTemplate(subject="S", html="", text="{{ name }}")
    assert plain is not None
    for value in (None, True, False, 3, 2.5, -1):
        assert plain.render({"name": value}).text == compiled.render({"name": value}).text
