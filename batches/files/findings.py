"""What was found in a file and how else it could be read. The review shows it, and offers each choice.

A Reading is stored as JSON in ``Batch.reading``. Opening the file fills the first part, and reading its rows counts the
rest.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any


@dataclass(kw_only=True, slots=True)
class AddressColumn:
    """A column whose cells are email addresses."""

    index: int
    """The column's place in ``Layout.columns``, counted from 0."""
    heading: str
    count: int
    """How many of the first records have an address in it."""
    is_used: bool = False


@dataclass(kw_only=True, slots=True)
class SheetChoice:
    """A sheet of a spreadsheet."""

    name: str
    is_hidden: bool
    address_count: int
    """How many addresses its first rows hold."""


@dataclass(kw_only=True, slots=True)
class EncodingChoice:
    """An encoding that fits the file nearly as well as the one that was chosen."""

    encoding: str
    """The codec's own name, one of encoding.CHOICES."""
    samples: list[list[str]]
    """Pairs of the same word: as it was read, and as this encoding would read it. Five at most."""


@dataclass(kw_only=True, slots=True)
class Slip:
    """A domain that is probably misspelt."""

    domain: str
    suggestion: str
    count: int


@dataclass(kw_only=True, slots=True)
class Reading:
    """How a file was read, what else it could be, and what its rows have in common."""

    header_line: int | None = None
    """The line of the header, counted from 1. None means that the file has no header."""
    skipped_lines: int = 0
    """How many lines that are not blank are above the header."""
    address_columns: list[AddressColumn] = field(default_factory=list)
    """All columns that hold addresses. Empty if there was no other choice than the one that was made."""
    sheet: str = ""
    """The name of the sheet that was read. Empty for a text file."""
    sheets: list[SheetChoice] = field(default_factory=list)
    encodings: list[EncodingChoice] = field(default_factory=list)
    is_encoded_twice: bool = False
    """Whether UTF-8 text was taken for another encoding and encoded again ("ZoÃ«"), as far as the words show."""
    hidden_count: int = 0
    """Rows that the sheet hides or filters out."""
    hidden_rows: bool = False
    """Whether hidden rows were read."""
    split_count: int = 0
    """Cells that hold several addresses."""
    split_cells: bool = False
    """Whether such a cell made one email for each address."""
    cleaned_count: int = 0
    """Addresses from which clinging signs were removed, as in "mailto:"."""
    last_line: int = 0
    """The last line that was read. The lines of rows that are added are counted on from it."""
    shared_count: int = 0
    """Rows whose address an earlier row has too."""
    slips: list[Slip] = field(default_factory=list)
    """The misspelt domains, those with most rows first."""
    chosen: dict[str, Any] = field(default_factory=dict)
    """The reading options that a person chose, by name: see files.reading_choices. They hold when the file is read
    again with one more choice."""

    def to_json(self) -> dict[str, Any]:
        """Return a mapping for ``Batch.reading``."""
        return asdict(self)

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Reading:
        """Read what ``to_json`` made. Names that a batch of an earlier version lacks keep their defaults."""
        known = {item.name for item in fields(cls)}
        values = {name: value for name, value in stored.items() if name in known}
        for name, kind in _ITEMS.items():
            values[name] = [kind(**item) for item in values.get(name, [])]
        return cls(**values)


_ITEMS: dict[str, Any] = {
    "address_columns": AddressColumn,
    "sheets": SheetChoice,
    "encodings": EncodingChoice,
    "slips": Slip,
}
