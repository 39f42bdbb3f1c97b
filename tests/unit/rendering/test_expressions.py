"""Expressions mean what they mean in minijinja, except that texts with numbers are numbers."""

from __future__ import annotations

import pytest

from batches.rendering.compiled import CompiledTemplate, compile_parts
from batches.rendering.template import MessageParts, TemplateFault

ROW = {"vorname": "Eva", "points": "300", "nickname": "", "email": "eva@example.org"}


def compile_text(text: str) -> CompiledTemplate:
    return compile_parts(MessageParts(subject="S", html="", text=text), [name for name in ROW if name != "email"])


@pytest.mark.parametrize(
    ("tag", "shown"),
    [
        ('{{ vorname|replace("a", "&lt;")|replace("E", "&amp;") }}', "&amp;v&lt;"),
        ('{{ nickname|default("&nbsp;&quot;", true) }}', "&nbsp;&quot;"),
        ("{{ vorname is sameas none }}", "False"),
        ("{{ vorname is not sameas true }}", "True"),
        ("{{ vorname is in ['Eva', 'Bo'] }}", "True"),
        ("{{ 5 is eq -5 }}", "False"),
        ("{{ -5|abs }}", "5"),
        ("{% for x in [5] %}{{ -x|abs }}{% endfor %}", "5"),
        ("{{ -points|abs }}", "300"),
    ],
)
def test_template_means_what_minijinja_means(tag: str, shown: str) -> None:
    assert compile_text(tag).render(ROW).text == shown


def test_value_is_escaped_by_an_entity_in_a_text() -> None:
    """Decoded, the entity would let a cell of the list write HTML into the message."""
    parts = MessageParts(subject="S", html='{{ vorname|replace("<", "&lt;")|safe }}', text="")
    assert compile_parts(parts, ["vorname"]).render({"vorname": "<b>", "email": "e@example.org"}).html == "&lt;b>"


def test_panic_of_minijinja_is_a_fault_of_the_row() -> None:
    template = compile_text("{{ vorname[::-1] }}")
    assert template.render(ROW).text == "avE"
    with pytest.raises(TemplateFault, match="backwards"):
        template.render(ROW | {"vorname": ""})


@pytest.mark.parametrize(
    "tag",
    [
        *("{{ bonus * 2 }}", "{{ bonus - points }}", "{{ -bonus }}", "{{ bonus|round }}", "{{ bonus|int }}"),
        *("{% if bonus > 3 %}x{% endif %}", "{% if 3 >= bonus %}x{% endif %}", "{% if bonus == 3 %}x{% endif %}"),
        *("{% if bonus in [1, 2] %}x{% endif %}", "{% if bonus|float < 3 %}x{% endif %}", "{{ bonus|length }}"),
        *("{% if bonus != points %}x{% endif %}", "{{ bonus|sum }}"),
    ],
)
def test_fault_says_that_there_is_no_column_when_a_number_is_missing(tag: str) -> None:
    with pytest.raises(TemplateFault, match="The list has no column for: bonus"):
        compile_text(tag).render(ROW)


@pytest.mark.parametrize("name", ["round", "abs"])
def test_fault_says_what_to_write_when_a_filter_needs_a_number(name: str) -> None:
    with pytest.raises(TemplateFault) as fault:
        compile_text(f"{{{{ nickname|{name} }}}}").render(ROW)
    assert f"Write |float(0)|{name} to take 0" in str(fault.value)
    assert compile_text(f"{{{{ nickname|float(0)|{name} }}}}").render(ROW).text == "0"


@pytest.mark.parametrize(
    ("number", "sentence"),
    [
        ("1.000", "1.000 may mean 1 or 1000. Write the one that you mean."),
        ("250.000", "250.000 may mean 250 or 250000. Write the one that you mean."),
        ("10 EUR", "“10 EUR” is no number. Write the number alone: 10."),
        ("3 Kinder", "“3 Kinder” is no number. Write the number alone: 3."),
        ("10 €", "“€” can't be read here."),
    ],
)
def test_number_of_a_condition_is_refused_when_it_may_mean_two(number: str, sentence: str) -> None:
    with pytest.raises(TemplateFault) as fault:
        compile_text(f"{{% if points > {number} %}}x{{% endif %}}")
    assert sentence in str(fault.value)


@pytest.mark.parametrize("number", ["1000", "1.5", "0.125", "2.750", "1_000"])
def test_number_of_a_condition_is_taken_when_it_means_one(number: str) -> None:
    compile_text(f"{{% if points > {number} %}}x{{% endif %}}")
