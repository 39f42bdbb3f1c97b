from __future__ import annotations

from batches.rendering.compiled import compile_parts
from batches.rendering.letters import (
    OTHER_REASONS,
    REASONS_MAX,
    SHOWN_ROWS,
    LetterFault,
    LetterFaults,
    check_letters,
)
from batches.rendering.template import MessageParts

PARTS = MessageParts(
    subject="Hello", html="", text="{% if kind == 'deep' %}{{ nothing.at.all }}{% endif %}Dear {{ name }}"
)


def test_letters_with_the_same_fault_are_grouped() -> None:
    rows = [(row, {"name": "Ann", "kind": "deep" if row % 2 else ""}) for row in range(100)]
    found = check_letters(compile_parts(PARTS), iter(rows))
    assert (found.checked, found.faulty) == (100, 50)
    [fault] = found.faults
    assert fault.count == 50
    assert fault.rows == tuple(range(1, 2 * SHOWN_ROWS, 2))


def test_biggest_message_is_found_with_its_row() -> None:
    parts = MessageParts(subject="Hello", html="<p>{{ name }}", text="{{ name }}")
    found = check_letters(compile_parts(parts), ((row, {"name": "ü" * (row % 7)}) for row in range(10)))
    assert (found.biggest_bytes, found.biggest_row) == (3 + 2 * 6, 6)
    bigger = LetterFaults(checked=1, biggest_bytes=99, biggest_row=12)
    assert found.add(bigger).biggest_row == bigger.add(found).biggest_row == 12


def test_pages_are_added_together() -> None:
    one = LetterFaults(checked=5, faults=(LetterFault(reason="a", count=1, rows=(2,)),))
    two = LetterFaults(
        checked=7, faults=(LetterFault(reason="b", count=1, rows=(8,)), LetterFault(reason="a", count=2, rows=(9, 11)))
    )
    both = one.add(two)
    assert (both.checked, both.faulty) == (12, 4)
    assert [(fault.reason, fault.rows) for fault in both.faults] == [("a", (2, 9, 11)), ("b", (8,))]


def test_reasons_are_counted_together_when_there_are_too_many() -> None:
    found = LetterFaults()
    for row in range(REASONS_MAX + 30):
        fault = LetterFault(reason=f"The value {row} is no number.", count=1, rows=(row,))
        found = found.add(LetterFaults(checked=1, faults=(fault,)))
    assert len(found.faults) == REASONS_MAX + 1
    assert (found.faults[-1].reason, found.faults[-1].count) == (OTHER_REASONS, 30)
    assert len(found.faults[-1].rows) == SHOWN_ROWS
