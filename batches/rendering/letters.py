"""Render the letter of every row to find those that have a fault. Rows enter, faults grouped by reason leave. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from batches.rendering.read_template import ReadTemplate
from batches.rendering.template import TemplateFault

SHOWN_ROWS = 20
"""How many rows of one fault are named."""

REASONS_MAX = 50
"""How many reasons are told apart. All further ones are counted together, because a reason may name a value."""

OTHER_REASONS = "Other faults."


@dataclass(frozen=True, kw_only=True, slots=True)
class LetterFault:
    """A reason why letters can't be rendered."""

    reason: str
    """A sentence that says what is wrong and what to do. A value in it is that of the first row."""
    group: str = ""
    """The reason without values, by which letters are counted together. "": the reason itself."""
    count: int
    """How many letters have it."""
    rows: tuple[int, ...]
    """The rows of the first SHOWN_ROWS of them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LetterFaults:
    """What became of the letters that were rendered."""

    checked: int = 0
    faults: tuple[LetterFault, ...] = ()
    biggest_bytes: int = 0
    """The size of the biggest message. 0: none was made."""
    biggest_row: int = 0

    @property
    def faulty(self) -> int:
        """How many letters have a fault."""
        return sum(fault.count for fault in self.faults)

    def add(self, other: LetterFaults) -> LetterFaults:
        """Return both together. The rows of the other ones come after these."""
        faults = {fault.group or fault.reason: fault for fault in self.faults}
        for fault in other.faults:
            group, reason = fault.group or fault.reason, fault.reason
            if group not in faults and len(faults) >= REASONS_MAX:
                group = reason = OTHER_REASONS
            before = faults.get(group, LetterFault(reason=reason, group=group, count=0, rows=()))
            rows = (*before.rows, *fault.rows)[:SHOWN_ROWS]
            faults[group] = replace(before, count=before.count + fault.count, rows=rows)
        biggest = max(self, other, key=lambda each: each.biggest_bytes)
        return LetterFaults(
            checked=self.checked + other.checked,
            faults=tuple(faults.values()),
            biggest_bytes=biggest.biggest_bytes,
            biggest_row=biggest.biggest_row,
        )


def check_letters(template: ReadTemplate, rows: Iterable[tuple[int, Mapping[str, Any]]]) -> LetterFaults:
    """Render the letter of each row, given as its number and its context. Nothing that is rendered is kept."""
    return count_faults((row, _render(template, context)) for row, context in rows)


def _render(template: ReadTemplate, context: Mapping[str, Any]) -> TemplateFault | int:
    try:
        return template.render(context).size_bytes
    except TemplateFault as exc:
        return exc


def count_faults(rows: Iterable[tuple[int, TemplateFault | int]]) -> LetterFaults:
    """Group the faults of rows, and find the biggest message. A row is its number, with its fault or its size."""
    checked = biggest_bytes = biggest_row = 0
    reasons: dict[str, str] = {}
    found: dict[str, list[int]] = {}
    counts: dict[str, int] = {}
    for row, fault in rows:
        checked += 1
        if isinstance(fault, int):
            if fault > biggest_bytes:
                biggest_bytes, biggest_row = fault, row
            continue
        group, reason = fault.group, str(fault)
        if group not in reasons and len(reasons) >= REASONS_MAX:
            group = reason = OTHER_REASONS
        reasons.setdefault(group, reason)
        counts[group] = counts.get(group, 0) + 1
        shown = found.setdefault(group, [])
        if len(shown) < SHOWN_ROWS:
            shown.append(row)
    faults = tuple(
        LetterFault(reason=reason, group=group, count=counts[group], rows=tuple(found[group]))
        for group, reason in reasons.items()
    )
    return LetterFaults(checked=checked, faults=faults, biggest_bytes=biggest_bytes, biggest_row=biggest_row)
