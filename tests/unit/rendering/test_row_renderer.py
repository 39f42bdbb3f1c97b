"""Rows are rendered in one child. A row that ends it fails alone, and many of them stop the whole."""

from __future__ import annotations

import time

import orjson
import pytest

from batches.rendering.analysis import ListNames
from batches.rendering.row_renderer import ENDED_MAX, ROW_TOO_EXPENSIVE, Row, RowRenderer
from batches.rendering.template import MessageParts, Rendered, TemplateFault
from tests.unit.rendering.hostile import CHAINS, EXPENSIVE, only_for_evil

NAMES = ListNames(("name", "mood"), "")


def make_row(number: int, *cells: str) -> Row:
    octets = orjson.dumps(cells)
    return Row(number, orjson.Fragment(octets), f"a{number}@example.org", len(octets))


def render_all(renderer: RowRenderer, rows: list[Row]) -> list[Rendered | TemplateFault | None]:
    answers: list[Rendered | TemplateFault | None] = []
    while len(answers) < len(rows) and (more := renderer.render(rows[len(answers) :])):
        answers += more
    renderer.close()
    return answers


def make_renderer(text: str, *, shows: bool = True) -> RowRenderer:
    return RowRenderer(MessageParts(subject="S", html="", text=text), NAMES, shows=shows)


def test_each_row_is_answered_in_order() -> None:
    rows = [make_row(number, f"n{number}", "kind" if number % 3 else "odd") for number in range(200)]
    source = "{% if mood == 'odd' %}{{ name|round }}{% endif %}Dear {{ name }}, {{ email }}"
    answers = render_all(make_renderer(source), rows)
    assert len(answers) == 200
    for number, answer in enumerate(answers):
        if number % 3:
            assert answer == Rendered("S", "", f"Dear n{number}, a{number}@example.org")
        else:
            assert isinstance(answer, TemplateFault) and answer.group != str(answer)


def test_nothing_is_shown_when_it_is_not_wanted() -> None:
    answers = render_all(make_renderer("{% if name %}{{ name }}{% endif %}", shows=False), [make_row(1, "Ann", "")])
    assert answers == [None]


@pytest.mark.parametrize("kind", EXPENSIVE)
def test_one_row_fails_alone_when_it_takes_too_much(kind: str) -> None:
    rows = [make_row(1, "xxxxxxxxxx", "good"), make_row(2, "xxxxxxxxxx", "evil"), make_row(3, "xxxxxxxxxx", "good")]
    renderer = make_renderer(only_for_evil(EXPENSIVE[kind]))
    answers = render_all(renderer, rows)
    assert [isinstance(answer, TemplateFault) for answer in answers] == [False, True, False]
    assert not renderer.obstacle


def test_rows_stop_when_many_of_them_take_too_much() -> None:
    rows = [make_row(number, "xxxxxxxxxx", "evil" if number % 2 else "good") for number in range(100)]
    renderer = make_renderer(only_for_evil(EXPENSIVE["replace"]))
    began_at = time.monotonic()
    answers = render_all(renderer, rows)
    assert [str(answer) for answer in answers if isinstance(answer, TemplateFault)] == [ROW_TOO_EXPENSIVE] * ENDED_MAX
    assert len(answers) < 20 and renderer.obstacle.startswith("The template takes too much time or memory.")
    assert time.monotonic() - began_at < 20


def test_rows_go_on_when_few_among_many_take_too_much() -> None:
    rows = [make_row(number, "xxxxxxxxxx", "evil" if number % 300 == 299 else "good") for number in range(2100)]
    renderer = make_renderer(only_for_evil("{{ (name ~ '') * 90000000 }}"))
    answers = render_all(renderer, rows)
    assert len(answers) == 2100 and sum(isinstance(answer, TemplateFault) for answer in answers) == 7
    assert not renderer.obstacle


def test_row_is_tried_again_when_somebody_kills_the_child() -> None:
    renderer = make_renderer("{% if name %}{{ name }}{% endif %}")
    assert renderer.render([make_row(1, "Ann", "")]) == [Rendered("S", "", "Ann")]
    assert renderer._child is not None
    renderer._child.kill()
    assert renderer.render([make_row(2, "Bob", "")]) == [Rendered("S", "", "Bob")]
    assert (renderer.ended_count, renderer.obstacle) == (0, "")
    renderer.close()


def test_rendering_stops_when_the_template_ends_the_child() -> None:
    renderer = make_renderer(CHAINS["tilde"](20_000))
    assert renderer.render([make_row(1, "Ann", "")]) == []
    assert renderer.obstacle.startswith("The template takes too much")
    renderer.close()


def test_each_row_has_the_fault_when_the_template_has_one() -> None:
    renderer = make_renderer("{% if name == true %}x{% endif %}")
    faults = renderer.render([make_row(1, "Ann", ""), make_row(2, "Bob", "")])
    assert [isinstance(fault, TemplateFault) for fault in faults] == [True, True]
    renderer.close()


def test_little_is_kept_when_messages_are_big() -> None:
    rows = [make_row(number, "x" * 1000, "") for number in range(64)]
    renderer = make_renderer("{% if name %}{{ (name ~ '') * 1000 }}{% endif %}")
    assert len(renderer.render(rows)) < 4
    renderer.close()


def test_nothing_is_rendered_after_an_interruption() -> None:
    renderer = make_renderer("{% if name %}{{ name }}{% endif %}")
    renderer.interrupt()
    assert renderer.render([make_row(1, "Ann", "")]) == []
    renderer.allow()
    assert renderer.render([make_row(1, "Ann", "")]) == [Rendered("S", "", "Ann")]
    renderer.close()
