"""Compare two versions of a template, line by line, and word by word within a line that was changed.

Two versions enter, or a version and a template. The parts leave, with what was added and what was removed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any

from django.utils.translation import gettext as _

from batches.models import TemplateKind

COMPARED_LINES_MAX = 400
"""How many lines that differ are compared with each other. The time to compare more grows with their square."""

COMPARED_WORDS_MAX = 400
"""How many words of two lines are compared with each other, likewise."""

ALIKE = 0.35
"""How alike two lines have to be for one to be shown as a change of the other (SequenceMatcher.ratio)."""

COMPARED_CHARS_MAX = 8_000
"""How long two lines may be together to be compared word by word."""

_WORDS = re.compile(r"\{\{.{0,200}?\}\}|\{%.{0,200}?%\}|\s+|\w+|.", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedWords:
    """Some words of a line that was changed."""

    mark: str
    """``-``, ``+`` or a space, as in ComparedLine."""
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedLine:
    """A line of one part of a template, and in which of two versions it is."""

    mark: str
    """``-``: only in the former one. ``+``: only in the later one. A space: in both. ``~``: changed."""
    text: str
    words: tuple[ComparedWords, ...] = ()
    """What of a changed line is in which version."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedPart:
    """One part of two versions."""

    name: str
    lines: list[ComparedLine]

    @property
    def is_changed(self) -> bool:
        return any(line.mark != " " for line in self.lines)


def compare(former: Any, later: Any) -> list[ComparedPart]:
    """Compare the name, the topic and the parts of two versions, or of a version and a template."""
    names = {"name": _("Name"), "topic": _("Topic"), "subject": _("Subject")}
    if former.source or later.source:
        names["source"] = _("Letter")
    if TemplateKind.HTML in (former.kind, later.kind) and not (later.source and not former.pk):
        names |= {"html": _("HTML body"), "text": _("Text body")}
    return [
        ComparedPart(name=label, lines=list(_compare_lines(_text_of(former, name), _text_of(later, name))))
        for name, label in names.items()
    ]


def _text_of(compared: Any, name: str) -> str:
    return str(getattr(compared, name) or (_("Service") if name == "topic" else ""))


def _compare_lines(former: str, later: str) -> Iterator[ComparedLine]:
    before, after = former.splitlines(), later.splitlines()
    start = _count_equal(before, after)
    end = _count_equal(before[start:][::-1], after[start:][::-1])
    middle = before[start : len(before) - end], after[start : len(after) - end]
    yield from _lines(" ", before[:start])
    yield from _compare_middle(*middle)
    yield from _lines(" ", before[len(before) - end :])


def _compare_middle(before: list[str], after: list[str]) -> Iterator[ComparedLine]:
    if len(before) + len(after) > COMPARED_LINES_MAX:
        yield from _lines("-", before)
        yield from _lines("+", after)
        return
    for kind, first, last, later_first, later_last in SequenceMatcher(None, before, after).get_opcodes():
        if kind == "equal":
            yield from _lines(" ", before[first:last])
        else:
            yield from _compare_changed(before[first:last], after[later_first:later_last])


def _compare_changed(before: list[str], after: list[str]) -> Iterator[ComparedLine]:
    """Compare lines in pairs, as long as they are alike. The others were removed or added."""
    pairs = zip(before, after, strict=False)
    changed = [_compare_words(one, other) for one, other in pairs]
    count = next((number for number, words in enumerate(changed) if not words), len(changed))
    for words in changed[:count]:
        yield ComparedLine(mark="~", text="".join(each.text for each in words if each.mark != "-"), words=words)
    yield from _lines("-", before[count:])
    yield from _lines("+", after[count:])


def _compare_words(former: str, later: str) -> tuple[ComparedWords, ...]:
    """Return the words of both lines. Empty: the lines are not alike, or too long."""
    if len(former) + len(later) > COMPARED_CHARS_MAX:
        return ()
    before, after = _WORDS.findall(former), _WORDS.findall(later)
    matcher = SequenceMatcher(None, before, after, autojunk=False)
    if len(before) + len(after) > COMPARED_WORDS_MAX or matcher.ratio() < ALIKE:
        return ()
    pieces = []
    for kind, first, last, later_first, later_last in matcher.get_opcodes():
        if kind == "equal":
            pieces.append(ComparedWords(mark=" ", text="".join(before[first:last])))
            continue
        for mark, words in (("-", before[first:last]), ("+", after[later_first:later_last])):
            if words:
                pieces.append(ComparedWords(mark=mark, text="".join(words)))
    return tuple(pieces)


def _lines(mark: str, texts: list[str]) -> Iterator[ComparedLine]:
    return (ComparedLine(mark=mark, text=text) for text in texts)


def _count_equal(before: list[str], after: list[str]) -> int:
    """Count the lines at the start that are the same."""
    pairs = zip(before, after, strict=False)
    return next((count for count, (one, other) in enumerate(pairs) if one != other), min(len(before), len(after)))
