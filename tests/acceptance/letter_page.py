"""Read the examples of docs/letters.md: lists, letters, and the mails, faults and sentences that they must give."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from tests.acceptance.stack import PROJECT_DIR

PAGE = "docs/letters.md"

_BLOCK = re.compile(r"^```(list|letter|mail|fault)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_ROW = re.compile(r"^\| `(.+)` \| (.+) \|$", re.MULTILINE)
_SECTION = re.compile(r"^## (.+)$", re.MULTILINE)
_HEADER = re.compile(r"(\w+): (.*)\n")


@dataclass(frozen=True, kw_only=True, slots=True)
class Mail:
    """A mail that must arrive. The text has no blank lines at its end."""

    to: str
    subject: str
    text: str


@dataclass(kw_only=True, slots=True)
class Example:
    """A letter with the list that it is sent to."""

    section: str
    content: str
    """The list, as CSV."""
    subject: str
    text: str
    shared: str
    mails: list[Mail] = field(default_factory=list)
    fault_row: int | None = None
    fault_words: list[str] = field(default_factory=list)


def read_page() -> dict[str, str]:
    """Return the text of each section by its heading."""
    _, *parts = _SECTION.split((PROJECT_DIR / PAGE).read_text())
    return dict(zip(parts[::2], parts[1::2], strict=True))


def find_examples() -> list[Example]:
    """Return every letter of the page in its order."""
    return [example for section, text in read_page().items() for example in _read_section(section, text)]


def _read_section(section: str, text: str) -> Iterator[Example]:
    content, example = "", None
    for kind, block in _BLOCK.findall(text):
        if kind == "list":
            content = block
            continue
        headers, body = _split(block)
        if kind == "letter":
            if example:
                yield example
            shared = headers.get("Shared", "first")
            example = Example(section=section, content=content, subject=headers["Subject"], text=body, shared=shared)
        elif kind == "mail":
            assert example
            example.mails.append(Mail(to=headers["To"], subject=headers["Subject"], text=body.rstrip("\n")))
        else:
            assert example
            example.fault_row = int(headers["Row"])
            example.fault_words = re.findall(r"^Says: (.+)$", block, re.MULTILINE)
    if example:
        yield example


def _split(block: str) -> tuple[dict[str, str], str]:
    head, _, body = block.partition("\n\n")
    return dict(_HEADER.findall(f"{head}\n")), body


def find_changes() -> tuple[str, list[tuple[str, str]]]:
    """Return the list of the section about filters, and each field with what it shows."""
    text = read_page()["Changing what a field shows"]
    return next(block for kind, block in _BLOCK.findall(text) if kind == "list"), _read_table(text)


def find_conditions() -> list[tuple[str, str]]:
    """Return each condition of the table of conditions with its meaning."""
    return _read_table(read_page()["Conditions"])


def find_refused() -> list[tuple[str, str]]:
    """Return each letter that must be refused when it is saved, and a word of the sentence."""
    return _read_table(read_page()["What is refused when you save"])


def find_foreign_tags() -> list[str]:
    """Return the tags of other programs that the page names."""
    return re.findall(r"`(.+?)`", read_page()["Fields of other programs"].split("Here they are")[0])


def _read_table(text: str) -> list[tuple[str, str]]:
    return [(code.replace("\\|", "|"), meaning) for code, meaning in _ROW.findall(text)]
