"""Templates: their parts, their faults, their limits."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import pytest

from batches.rendering.compiled import CompiledTemplate, compile_parts
from batches.rendering.template import OUTPUT_MAX_CHARS, MessageParts, TemplateFault, as_one_line, make_context

PARTS = MessageParts(subject="Hello {{ name }}", html="<p>{{ name }}", text="Dear {{ name }}")


class Topic(NamedTuple):
    """What parts take of a topic."""

    key: str
    is_news: bool
    footer: str


class Source(NamedTuple):
    """What parts are copied from."""

    subject: str
    html: str
    text: str
    message_topic: Topic | None = None


SOURCE = Source(PARTS.subject, PARTS.html, PARTS.text)
NEWS, SERVICE = Topic("events", True, "Bye"), Topic("service", False, "")


def test_parts_are_copied_when_they_are_taken_from_a_source() -> None:
    assert MessageParts.of(SOURCE) == PARTS


def test_topic_is_copied_and_replaced_when_another_is_given() -> None:
    source = SOURCE._replace(message_topic=NEWS)
    assert MessageParts.of(source) == replace(PARTS, topic="events", is_news=True, footer="Bye")
    assert MessageParts.of(source, None, SERVICE) == replace(PARTS, topic="service")
    assert MessageParts.of(SOURCE, None, NEWS) == MessageParts.of(source)
    assert MessageParts.of(source).with_topic(None) == PARTS


@pytest.mark.parametrize("change", [lambda parts, new: MessageParts.of(SOURCE, new), MessageParts.with_subject])
def test_subject_is_replaced_when_another_is_given(change) -> None:  # type: ignore[no-untyped-def]
    assert change(PARTS, "Mine") == MessageParts(subject="Mine", html=PARTS.html, text=PARTS.text)
    assert change(PARTS, "") == change(PARTS, None) == PARTS


def test_message_is_rendered_when_parts_are_compiled() -> None:
    compiled = compile_parts(PARTS)
    assert compiled.merge_fields == {"name"}
    assert compiled.render({"name": "<Ann>"}) == ("Hello <Ann>", "<p>&lt;Ann&gt;", "Dear <Ann>")


def test_address_is_a_merge_field_when_a_context_is_made() -> None:
    context = make_context(["name", "city"], ["Ann", "Berlin"], address="ann@example.org")
    assert context == {"name": "Ann", "city": "Berlin", "email": "ann@example.org"}


@pytest.mark.parametrize(
    ("parts", "sentence"),
    [
        ({"subject": " "}, "The subject is empty."),
        ({"html": "", "text": " "}, "The template has no body."),
        ({"text": "a\n{{ name"}, "The text body of the template can't be used in line 2:"),
        ({"html": "{% if %}"}, "The HTML body of the template can't be used in line 1:"),
        ({"subject": "{{ name|shout }}"}, "The subject of the template can't be used in line 1:"),
    ],
)
def test_fault_says_what_and_where_when_a_template_is_unusable(parts: dict[str, str], sentence: str) -> None:
    source = {"subject": "S {{ name }}", "html": "H", "text": "T"} | parts
    with pytest.raises(TemplateFault) as fault:
        CompiledTemplate(**source).render({"name": "Ann"})
    assert str(fault.value).startswith(sentence) and str(fault.value).endswith((".", "?"))


def test_fault_names_the_merge_field_when_it_is_missing() -> None:
    with pytest.raises(TemplateFault, match="name"):
        compile_parts(PARTS).render({"nmae": "Ann"})


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("{% if points > 3 %}{% endif %}", "The text body of this letter can't be made: points is “many”, which is"),
        ("{{ points * 2 }}", "The text body of this letter can't be made: points is “many”, which is not a number."),
        ("a\n{{ points[::-1]|sum }}", "The text body of this letter can't be made"),
    ],
)
def test_sentence_is_about_the_letter_when_the_value_of_one_recipient_is_the_fault(text: str, sentence: str) -> None:
    template = CompiledTemplate(subject="S", html="", text=text, columns=["points"])
    with pytest.raises(TemplateFault) as fault:
        template.render({"points": "many"})
    assert str(fault.value).startswith(sentence)
    assert fault.value.group.startswith("The text body of this letter can't be made")


@pytest.mark.parametrize(("extra", "is_refused"), [(0, False), (1, True)])
def test_output_is_refused_when_it_is_longer_than_the_limit(extra: int, is_refused: bool) -> None:
    template = CompiledTemplate(subject="S", html="", text=f"{{{{ 'a' * {OUTPUT_MAX_CHARS + extra} }}}}")
    if not is_refused:
        assert len(template.render({}).text) == OUTPUT_MAX_CHARS
        return
    with pytest.raises(TemplateFault, match="The rendered text body has more than 10,000,000 characters"):
        template.render({})


def test_render_is_stopped_when_it_loops_for_too_long() -> None:
    loops = "{% for a in range(9999) %}{% for b in range(9999) %}{% endfor %}{% endfor %}"
    template = CompiledTemplate(subject="S", html="", text=loops)
    with pytest.raises(TemplateFault, match="The loops run for too long"):
        template.render({})


@pytest.mark.parametrize(
    ("subject", "line"),
    [(" a\r\nBcc: x ", "a Bcc: x"), ("a\x00\x1bb", "a b"), ("a\u2028b\x85c", "a b c"), ("Grüße, 漢", "Grüße, 漢")],
)
def test_subject_is_one_line_when_it_has_control_characters(subject: str, line: str) -> None:
    assert as_one_line(subject) == line
