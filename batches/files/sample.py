"""Take the first records of a file, from which its layout is found. The import itself reports their faults."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from batches.files.cells import has_at_sign, is_ruler, tidy_cells
from batches.files.errors import UnreadableFile
from batches.files.reading import Reader, RejectedRecord

SAMPLE_RECORDS = 50
"""How many records the layout is found from. It takes a few milliseconds."""

READ_RECORDS = 5_000
"""How many records are read to find them, if most are blank or hidden."""

_SEPARATOR = re.compile(r'"?sep=(.)"?', re.IGNORECASE)


@dataclass(frozen=True, kw_only=True, slots=True)
class SampleRecord:
    """A record that is not blank, with tidied cells."""

    cells: list[str]
    first_line: int
    last_line: int

    @property
    def filled(self) -> list[int]:
        """The places of the cells that are not blank."""
        return [place for place, cell in enumerate(self.cells) if cell]

    def cell(self, place: int) -> str:
        """Return a cell; a cell after the last one is blank."""
        return self.cells[place] if place < len(self.cells) else ""


def take_sample(reader: Reader) -> list[SampleRecord]:
    """Return the first records that hold something, SAMPLE_RECORDS at most. A fault of the file ends the sample."""
    sample: list[SampleRecord] = []
    for first_line, last_line, cells in islice(_read(reader), READ_RECORDS):
        tidied = tidy_cells(cells)
        if any(tidied) and not is_separator_line(cells) and not is_ruler(tidied):
            sample.append(SampleRecord(cells=tidied, first_line=first_line, last_line=last_line))
        if len(sample) == SAMPLE_RECORDS:
            break
    return sample


def find_separator_line(text: str) -> str | None:
    """Return the delimiter that the first line names, as in "sep=;"; None if there is no such line."""
    match = _SEPARATOR.match(text.lstrip("\ufeff \t\r\n"))
    return match[1] if match else None


def is_separator_line(cells: list[str]) -> bool:
    """Say whether these are the cells of the line "sep=;", which tells Excel the delimiter."""
    return cells[:1] != [] and not any(cells[1:]) and re.fullmatch("sep=.?", cells[0].lower()) is not None


def text_lines(text: str) -> io.StringIO:
    """Return the lines of a text with their line ends, as the csv module wants them."""
    return io.StringIO(text, newline="")


def read_lines(text: str) -> list[str]:
    """Return the first lines of a text that are not blank, SAMPLE_RECORDS at most, without their line ends."""
    filled = (line.rstrip("\r\n") for line in text_lines(text) if line.strip())
    return list(islice(filled, SAMPLE_RECORDS))


def _read(reader: Reader) -> Iterator[tuple[int, int, list[str]]]:
    """Yield the first line, the last line and the cells of each record.

    A hidden row of a sheet is left out, but it may be the header if no address is above it.
    """
    is_at_start = True
    while True:
        first_line = reader.line_num + 1
        try:
            cells = next(reader)
        except RejectedRecord as exc:
            is_left_out = exc.is_hidden and not (is_at_start and not any(map(has_at_sign, exc.cells)))
            cells = [] if is_left_out else exc.cells
        except (csv.Error, StopIteration, UnreadableFile):
            return
        is_at_start = is_at_start and not any(map(has_at_sign, cells))
        yield first_line, reader.line_num, cells
