"""Find how the cells of a text file are separated and quoted, from its first lines. Pure.

The strict reading of the csv module is the rule. A Dialect says where a file departs from it.
"""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from batches.files.addresses import is_address
from batches.files.cells import holds_address, is_meant_as_address, tidy_cells
from batches.files.errors import UnreadableFile
from batches.files.headings import HeadingRank, rank_heading
from batches.files.reading import unwrap_line
from batches.files.sample import SampleRecord, find_separator_line, read_lines, take_sample, text_lines

DELIMITERS = (",", ";", "\t", "|")

_SLASH = re.compile("/")
OTHER_DELIMITERS = {
    "^": re.compile(r"\^"),
    "~": re.compile("~"),
    "a colon": re.compile(":"),
    "#": re.compile("#"),
    "!": re.compile("!"),
    "a slash": _SLASH,
    "an equals sign": re.compile("="),
    "%": re.compile("%"),
    "&": re.compile("&"),
    "*": re.compile(r"\*"),
    "a broken bar": re.compile("\u00a6"),
    "spaces": re.compile("[ \u00a0]+"),
}
"""What separates the columns of some files, with the name that an error gives it. The program does not read them."""

COMPARED_CELLS = 50

_QUOTED_LINE = re.compile(r'\s*"(?:[^"]|"")*+"\s*')
"""A line that is quoted as a whole, and not a line whose first cell is."""

_CELL = re.compile("[" + re.escape("".join(DELIMITERS)) + "]")

_APOSTROPHES = re.compile(r"\s*'(?:[^']|'')*+'(?:\s*[,;\t|]\s*'(?:[^']|'')*+')*\s*")
"""A line whose cells are all between apostrophes, as database programs write it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Dialect:
    """How the cells of a text file are separated and quoted."""

    delimiter: str
    quote: str = '"'
    has_blanks_before_quotes: bool = False
    """Whether blanks may precede a quoted cell: a, "Berg, Ann"."""
    has_blanks_after_quotes: bool = False
    has_quoted_lines: bool = False
    """Whether some lines are quoted as a whole: "ann@example.org,Ann"."""

    def remove_blanks_after_quotes(self, line: str) -> str:
        """Return a line in which no blanks separate a quotation mark from the delimiter after it."""
        return re.sub(rf"(?<={self.quote})[ \t]+(?={re.escape(self.delimiter)}|\r?\n?$)", "", line)


def check_delimiter(delimiter: str) -> str:
    """Return the delimiter that a person chose.

    Raises:
        UnreadableFile: no list can have this delimiter.
    """
    if delimiter not in DELIMITERS:
        raise UnreadableFile("The delimiter must be a comma, a semicolon, a tab or a vertical bar. Choose one of them.")
    return delimiter


def detect_dialect(text: str, *, delimiter: str | None = None) -> Dialect:
    """Find the dialect of a text. A delimiter that a person chose is taken; else a line such as "sep=;" names it.

    Of the records with an @-sign, most must have the same number of cells, two or more, and a cell that is an address.
    Titles and notes have no @-sign, so they decide nothing.
    """
    named = find_separator_line(text)
    choices = [delimiter] if delimiter else [named] if named in DELIMITERS else list(DELIMITERS)
    quote = "'" if _is_quoted_with_apostrophes(text) else '"'
    dialects = [
        Dialect(delimiter=choice, quote=quote, has_quoted_lines=has_quoted_lines)
        for has_quoted_lines in ((False, True) if _has_quoted_line(text) else (False,))
        for choice in choices
    ]
    best = max(dialects, key=lambda dialect: _rate(read_sample(text, dialect)))
    return Dialect(
        delimiter=best.delimiter,
        quote=quote,
        has_quoted_lines=best.has_quoted_lines,
        has_blanks_before_quotes=_has_blanks_before_quotes(text, best),
        has_blanks_after_quotes=_has_blanks_after_quotes(text, best),
    )


def read_sample(text: str, dialect: Dialect) -> list[SampleRecord]:
    """Return the first records of a text. A fault is not reported: the import itself does that, with its line."""
    reader = csv.reader(
        text_lines(text), delimiter=dialect.delimiter, quotechar=dialect.quote, skipinitialspace=True, strict=False
    )
    sample = take_sample(reader)
    if not dialect.has_quoted_lines:
        return sample
    return [
        SampleRecord(
            cells=tidy_cells(unwrap_line(record.cells, delimiter=dialect.delimiter)),
            first_line=record.first_line,
            last_line=record.last_line,
        )
        for record in sample
    ]


def name_other_delimiter(sample: Sequence[SampleRecord], text: str) -> str | None:
    """Name the sign that seems to separate the columns of a file in which no cell is an address; None if none does.

    "Ann~ann@example.org" is an address by itself. Below the heading "name~email" it is two cells, and so it is in a
    file without headings where every line has the sign.
    """
    lines = [line for line in read_lines(text) if is_meant_as_address(line)]
    has_addresses = any(is_address(cell) for record in sample for cell in record.cells)
    if has_addresses and any(len(record.filled) > 1 for record in sample):
        return None
    for name, pattern in OTHER_DELIMITERS.items():
        if has_addresses and not (_has_heading_cells(text, pattern) or _is_in_every_line(text, pattern)):
            continue
        hits = sum(_is_address_among_cells(pattern.split(line.strip())) for line in lines)
        if lines and hits * 5 >= len(lines) * 4:
            return name
    return None


def _has_heading_cells(text: str, pattern: re.Pattern[str]) -> bool:
    """Say whether the pattern separates an email heading from another one."""
    cells = (pattern.split(line.strip()) for line in read_lines(text))
    return any(len(line) > 1 and any(rank_heading(cell) == HeadingRank.PLAIN for cell in line) for line in cells)


def _is_in_every_line(text: str, pattern: re.Pattern[str]) -> bool:
    """Say whether each line, without a heading above them, has another text before the sign.

    A slash may belong to an address.
    """
    lines = [line.strip() for line in read_lines(text) if line.strip()]
    before = {pattern.split(line, maxsplit=1)[0] for line in lines if pattern.search(line)}
    return pattern is not _SLASH and len(lines) > 1 and len(before) == len(lines)


def _is_address_among_cells(cells: list[str]) -> bool:
    filled = [cell for cell in cells[:COMPARED_CELLS] if cell.strip()]
    return any(map(is_address, filled)) and not all(map(is_meant_as_address, filled))


def _rate(sample: list[SampleRecord]) -> tuple[bool, float, float, bool]:
    """Rate a way to read: the share of records with an address, the share with one width, and whether a header fits."""
    records = [record for record in sample if any(map(is_meant_as_address, record.cells))] or sample
    if not records:
        return (False, 0.0, 0.0, False)
    [(width, count)] = Counter(len(record.cells) for record in records).most_common(1)
    agreement = count / len(records)
    if width < 2 or agreement < 0.5:
        return (False, 0.0, 0.0, False)
    addressed = sum(any(map(holds_address, record.cells)) for record in records) / len(records)
    has_header = any(len(record.cells) == width for record in sample if record not in records)
    return (True, round(addressed, 1), round(agreement, 1), has_header)


def _has_quoted_line(text: str) -> bool:
    """Say whether a line is quoted as a whole. One that holds nothing but addresses is a cell with several of them."""
    lines = (line for line in read_lines(text) if is_meant_as_address(line) and _QUOTED_LINE.fullmatch(line))
    return any(cell.strip(' "') and not is_meant_as_address(cell) for line in lines for cell in _CELL.split(line))


def _is_quoted_with_apostrophes(text: str) -> bool:
    lines = read_lines(text)
    quoted = sum(line.count("'") > 3 and _APOSTROPHES.fullmatch(line) is not None for line in lines)
    return bool(lines) and quoted * 5 >= len(lines) * 4


def _has_blanks_before_quotes(text: str, dialect: Dialect) -> bool:
    pattern = rf"(?:^|{re.escape(dialect.delimiter)}) +{dialect.quote}"
    return re.search(pattern, text, re.MULTILINE) is not None


def _has_blanks_after_quotes(text: str, dialect: Dialect) -> bool:
    """Say whether the strict reader stumbles in the first lines, at blanks between a quotation mark and a delimiter."""
    pattern = rf"{dialect.quote}[ \t]+(?:{re.escape(dialect.delimiter)}|$)"
    if not re.search(pattern, text, re.MULTILINE):
        return False
    lines = [line + "\n" for line in read_lines(text)]
    try:
        for _ in csv.reader(lines, delimiter=dialect.delimiter, skipinitialspace=True, strict=True):
            pass
    except csv.Error:
        return True
    return False
