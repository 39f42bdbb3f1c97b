"""Read the examples of docs/lists.md: lists, and what must become of each line."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from tests.acceptance.stack import PROJECT_DIR

PAGE = "docs/lists.md"

_LIST_OR_CHOICE = re.compile(r"^```(list|choose)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_LINE = re.compile(r"^\| (\d+) \| (.+) \|$", re.MULTILINE)
_ADDRESS = re.compile(r"[\w.]+@[\w.]+")


@dataclass(kw_only=True, slots=True)
class ListExample:
    """A list, what a person chooses in the review, and what must become of its lines."""

    content: str
    address_columns: list[int] = field(default_factory=list)
    recipients: dict[int, set[str]] = field(default_factory=dict)
    """The addresses of each line that makes recipients."""
    rejected: set[int] = field(default_factory=set)


def find_list_examples() -> list[ListExample]:
    """Return every list of the page, and once more with each choice that the page makes of it."""
    _, *parts = _LIST_OR_CHOICE.split((PROJECT_DIR / PAGE).read_text())
    examples: list[ListExample] = []
    for kind, block, text in zip(parts[::3], parts[1::3], parts[2::3], strict=True):
        example = ListExample(content=block if kind == "list" else examples[-1].content)
        if kind == "choose":
            example.address_columns = [int(number) for number in re.findall(r"\d+", block)]
        _read_lines(example, text)
        examples.append(example)
    return examples


def _read_lines(example: ListExample, text: str) -> None:
    for line, meaning in _LINE.findall(text):
        if meaning.startswith("rejected"):
            example.rejected.add(int(line))
        elif addresses := set(_ADDRESS.findall(meaning)):
            example.recipients[int(line)] = addresses
