"""Read a list of recipients as mail programs write it: "Berg, Ann" <ann@example.org>; bo@example.org.

The recipients may have a line each, or be on one line. The display name becomes the merge field ``name``.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from typing import BinaryIO

from batches.files.cells import is_meant_as_address
from batches.files.layout import Layout, make_layout
from batches.files.reading import TextParts, limit_records
from batches.files.sample import read_lines

# Each repetition is possessive, so that a long line costs no more than its length.
_RECIPIENT = re.compile(
    r"""\s*+
    (?:
        (?P<name> "(?:[^"\\]|\\.|"")*+"\s*+ | '[^'<>]*+'\s*+ | [^"<>;@]*+ | [^"<>;,\s@]++@[^"<>;,\s]++\s*+ )
        < \s*+ (?: mailto: )? (?P<bracketed> [^<>\s]++ ) \s*+ >
    |
        (?P<bare> [^\s<>;,"@]++@[^\s<>;,"]++ )
    )
    \s*+ (?: [;,] | $ )""",
    re.VERBOSE,
)
_MAIL_HEADER = re.compile(r"(?:to|cc|bcc|an|à|para|a|aan|till|кому)\s*:\s*", re.IGNORECASE)
"""What precedes the recipients in a mail's header."""

FOLDED_MAX_LENGTH = 1 << 16
"""Lines are joined up to this many characters."""

_DELIMITERS = re.compile(r"[;,\t|]")


@dataclass(frozen=True, kw_only=True, slots=True)
class Recipient:
    """One recipient as a mail program writes it. The name is empty if there is none."""

    name: str
    address: str


def parse_recipients(line: str) -> list[Recipient] | None:
    """Return the recipients of a line; None if the line holds anything else."""
    text = line.strip()
    if match := _MAIL_HEADER.match(text):
        text = text[match.end() :]
    recipients = []
    place = 0
    while place < len(text):
        match = _RECIPIENT.match(text, place)
        if match is None:
            return None
        name, address = (match["name"] or "").strip(), match["bracketed"] or match["bare"]
        if "@" not in address or _is_cells(name):
            return None
        recipients.append(Recipient(name=_clean_name(name), address=address))
        place = match.end()
    return recipients or None


def unfold(lines: Iterable[str]) -> Iterator[str]:
    """Join the lines of a mail's header: one that begins with a blank continues a name or an address before it."""
    waiting: str | None = None
    for line in lines:
        is_next = line[:1] in (" ", "\t") and line.strip()
        if waiting and is_next and len(waiting) < FOLDED_MAX_LENGTH and _is_cut_off(waiting):
            waiting = f"{waiting.rstrip()} {line.lstrip()}"
            continue
        if waiting is not None:
            yield waiting
        waiting = line
    if waiting is not None:
        yield waiting


def _is_cut_off(line: str) -> bool:
    return bool(line.strip()) and parse_recipients(line) is None


def is_pasted(text: str) -> bool:
    """Say whether the first lines of a text are recipients as mail programs write them, and no table."""
    lines = list(unfold(read_lines(text)))
    first = next((place for place, line in enumerate(lines) if is_meant_as_address(line)), None)
    if first is None or any(map(_DELIMITERS.search, lines[:first])):
        return False
    parsed = [parse_recipients(line) for line in lines[first:]]
    good = [recipients for recipients in parsed if recipients]
    if len(good) * 5 < len(parsed) * 4:
        return False
    if any(recipient.name for recipients in good for recipient in recipients):
        return True
    counts = [len(recipients) for recipients in good]
    several = sum(count > 1 for count in counts)
    # Two addresses on each line are two columns. On some of the lines, they are cells with more than one address.
    return several * 2 > len(counts) and (len(counts) == 1 or len(set(counts)) > 1)


PASTED_LAYOUT: Layout = make_layout(("email", "name"), address_index=0, has_header=False)


class PastedRecords:
    """A record for each recipient: the address and the name.

    Each recipient counts as a line, and so does each line without one: a list with one recipient on each line keeps
    its line numbers.
    """

    def __init__(self, stream: BinaryIO, *, encoding: str) -> None:
        parts = TextParts(stream, encoding)
        self._lines = unfold(self._count(chain.from_iterable(parts)))
        self._lines_read = 0
        parts.count_lines = lambda: self._lines_read
        self._has_begun = False
        self._waiting: Iterator[list[str]] = iter(())
        self.reader = self
        self.line_num = 0
        self._length = 0

    @property
    def read_limit(self) -> int:
        return limit_records(self.line_num, self._length)

    def __iter__(self) -> Iterator[list[str]]:
        return self

    def __next__(self) -> list[str]:
        record = next(self._waiting, None)
        if record is None:
            line = next(self._lines)
            self._length += len(line)
            self._waiting = iter(self._read_line(line))
            record = next(self._waiting, [])
        self.line_num += 1
        return record

    def _count(self, lines: Iterable[str]) -> Iterator[str]:
        for line in lines:
            self._lines_read += 1
            yield line

    def _read_line(self, line: str) -> list[list[str]]:
        recipients = parse_recipients(line)
        if recipients:
            self._has_begun = True
            return [[recipient.address, recipient.name] for recipient in recipients]
        is_title = not self._has_begun and not is_meant_as_address(line)
        return [] if is_title or not line.strip() else [[line.strip(), ""]]

    def recover_line(self, exc: csv.Error, *, line: int) -> str:
        raise exc


def _is_cells(name: str) -> bool:
    """Say whether a name without quotation marks is rather some cells of a table: "17,Ann", "Ann,Berg,"."""
    if name.startswith(('"', "'")):
        return False
    return len(re.findall(r",(?=\S|$)|;|\t|\|", name)) > 0 or name.count(",") > 1


def _clean_name(name: str) -> str:
    if name.startswith('"'):
        name = re.sub(r'\\(.)|""', lambda match: match[1] or '"', name[1:-1])
    elif name.startswith("'"):
        name = name[1:-1]
    name = " ".join(name.split())
    return "" if "@" in name else name
