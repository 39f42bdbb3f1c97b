"""Rows are rendered in one child. A row that ends it fails alone, and many of them stop the whole."""

from __future__ import annotations

import time

import orjson
import pytest

from batches.rendering import child
from batches.rendering.analysis import ListNames
from batches.rendering.row_renderer import ENDED_MAX, ROW_TOO_EXPENSIVE, Answer, Row, RowRenderer
from batches.rendering.template import FAULT_MAX_CHARS, MessageParts, Rendered, TemplateFault
from tests.unit.rendering.hostile import CHAINS, EXPENSIVE, only_for_evil

NAMES = ListNames(("name", "mood"), "")


def make_row(number: int, *cells: str) -> Row:
    octets = orjson.dumps(cells)
    return Row(number, orjson.Fragment(octets), f"a{number}@example.org", len(octets))


def render_all(renderer: RowRenderer, rows: list[Row]) -> list[Answer]:
    answers: list[Answer] = []
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


def test_only_the_size_is_told_when_messages_are_not_wanted() -> None:
    answers = render_all(make_renderer("{% if name %}{{ name }}{% endif %}", shows=False), [make_row(1, "Ann", "")])
    assert answers == [3]


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


def test_row_is_not_blamed_when_an_interruption_came_after_its_last_answer() -> None:
    renderer = make_renderer("{% if name %}{{ name }}{% endif %}")
    rows = [make_row(1, "Ann", "")]
    for _ in range(3):
        assert renderer.render(rows) == [Rendered("S", "", "Ann")]
        renderer._suspects.add(1)  # somebody has killed a child at this row before
        renderer.interrupt()
        renderer.allow()
    assert renderer.ended_count == 0
    renderer.close()


LIAR = """
import os, struct, sys
def answer(text):
    os.write(1, struct.pack(">I", len(text)) + text)
def request():
    head = sys.stdin.buffer.read(4)
    return sys.stdin.buffer.read(*struct.unpack(">I", head)) if head else sys.exit()
answer(b"[0]")
request()
answer(b"[0]")
while request():
    {lie}
"""


@pytest.mark.parametrize(
    "lie",
    [
        """answer(b'[2, 0, "S", "", "of another"]')""",
        """answer(b'[0, "S", "", "of nobody"]')""",
        """answer(b'{"1": 0}')""",
        """answer(b'rubbish')""",
        """os.write(1, b'rubbish')""",
    ],
)
def test_no_text_is_taken_when_the_child_answers_about_something_else(
    lie: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(child, "_START", LIAR.format(lie=lie))
    renderer = make_renderer("{% if name %}{{ name }}{% endif %}")
    [answer] = renderer.render([make_row(1, "Ann", "")])
    assert isinstance(answer, TemplateFault) and str(answer) == ROW_TOO_EXPENSIVE
    renderer.close()


def test_fault_is_short_when_the_tag_that_has_it_is_long() -> None:
    tag = "{{ name|round(" + "1 + " * 200 + "1) }}"
    [fault] = render_all(make_renderer(tag + "{% if mood %}{% endif %}"), [make_row(1, "Ann", "")])
    assert isinstance(fault, TemplateFault) and len(str(fault)) <= FAULT_MAX_CHARS
    fields = "".join(f"{{{{ field_{number} }}}}" for number in range(2_000))
    [fault] = render_all(make_renderer(fields + "{% if mood %}{% endif %}"), [make_row(1, "Ann", "")])
    assert isinstance(fault, TemplateFault)
    assert len(str(fault)) <= FAULT_MAX_CHARS and len(fault.group) <= FAULT_MAX_CHARS
    assert str(fault).startswith("The list has no column for: field_0") and "Shorten the tags" in str(fault)
