"""Turn records into blocks of COPY text: emails, suspects of being a duplicate, and rejected rows.

The hot loop of an import. Holds one block; never touches the database.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import orjson

from batches.intake.addresses import BadAddress, is_plain, normalise_address
from batches.intake.dialect import Layout
from batches.intake.reading import Records
from batches.models import RejectionKind

BLOCK_ROWS = 2048

# Line feeds and tabs belong in a postal address or a note, and the renderer folds or refuses them where
# they can't stand (a subject). No other control character means anything in a mail, and some break it:
# DESIGN.md section 10.
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")


@dataclass(frozen=True, kw_only=True, slots=True)
class Block:
    """Some rows as COPY text, and how many of them there are."""

    emails: bytes
    """batch, row, address, fields"""
    suspects: bytes
    """row, address, fields, raw cells"""
    rejected: bytes
    """batch, line, kind, raw cells, reason"""
    email_count: int
    suspect_count: int
    rejected_count: int


class SeenAddresses:
    """Which addresses came before: "no" is certain, "yes" is a suspicion that PostgreSQL settles.

    A Bloom filter of 4 MB, so that memory doesn't grow with the file: an address sets two of the eight bits
    of one byte. Of a million different addresses 1 in 180 is suspected wrongly, which costs little.
    """

    def __init__(self) -> None:
        self._bytes = bytearray(1 << 22)

    def is_new(self, address: str) -> bool:
        """Whether it certainly did not come before, in any case; remember it."""
        key = hash(address.casefold())
        place, bits = key & 0x3FFFFF, _BIT_PAIRS[key >> 40 & 31]
        found = self._bytes[place]
        self._bytes[place] = found | bits
        return found & bits != bits


# The 28 pairs of bits in a byte, and four of them again to make 32.
_BIT_PAIRS = [1 << low | 1 << high for high in range(8) for low in range(high)]
_BIT_PAIRS += _BIT_PAIRS[:4]


class BlockReader:
    """Sorts the records of one file into blocks."""

    def __init__(
        self, records: Records, *, layout: Layout, batch_id: int, seen: SeenAddresses | None, after_line: int = 0
    ) -> None:
        """Without ``seen`` every address is a suspect: the batch has emails already.

        Lines are counted on from ``after_line``.
        """
        self._records = records
        self._width = len(layout.columns)
        self._address_index = layout.address_index
        self._prefix = f"{batch_id}\t"
        self._is_new: Callable[[str], bool] = seen.is_new if seen else lambda address: False
        self._step = after_line + 1
        self._next_line = records.reader.line_num + self._step
        self._clear()

    def __iter__(self) -> Iterator[Block]:
        is_more = True
        while is_more:
            try:
                is_more = self._read_some()
            except csv.Error as exc:
                self._skip_bad_record(exc)
            yield self._take_block()

    def _read_some(self) -> bool:
        """The hot loop: sort up to BLOCK_ROWS records; whether there may be more."""
        parts, reader, width, index = self._records.parts, self._records.reader, self._width, self._address_index
        is_new, add, prefix, step = self._is_new, self._emails.append, self._prefix, self._step
        next_line, count = self._next_line, 0
        try:
            for count, cells in enumerate(islice(reader, BLOCK_ROWS), 1):  # noqa: B007  counts what was read
                line, next_line = next_line, reader.line_num + step
                if next_line - line != 1 or len(cells) != width or not is_plain(address := cells[index]):
                    self._sort_odd(line, cells)
                    continue
                del cells[index]
                fields = orjson.dumps(cells)
                if (parts.is_odd and is_odd_json(fields)) or not is_new(address):
                    cells.insert(index, address)
                    self._sort_odd(line, cells)
                    continue
                add(f"{prefix}{line}\t{address}\t{fields.decode()}\n")
        finally:
            self._next_line = next_line
        return count == BLOCK_ROWS

    def _sort_odd(self, line: int, cells: list[str]) -> None:
        """Everything that the hot loop doesn't know to be plain and new."""
        if not any(cell.strip() for cell in cells):
            return
        raw = list(cells)
        try:
            self._fit(cells)
            address = normalise_address(cells.pop(self._address_index))
        except (BadCells, BadAddress) as exc:
            self._reject(line, raw, str(exc))
            return
        fields = _copy_json([cell.replace("\r\n", "\n").replace("\r", "\n") for cell in cells])
        if self._is_new(address):
            self._emails.append(f"{self._prefix}{line}\t{address}\t{fields}\n")
        else:
            self._suspects.append(f"{line}\t{address}\t{fields}\t{_copy_json(raw)}\n")

    def _fit(self, cells: list[str]) -> None:
        """Give a record the header's width, if nothing is lost by it.

        Raises:
            BadCells: saying which cell is too many, or not text.
        """
        surplus = cells[self._width :]
        if any(cell.strip() for cell in surplus):
            raise BadCells(
                f"The line has {len(cells)} cells and the header {self._width}. "
                "Put quotes around a cell that contains the delimiter."
            )
        del cells[self._width :]
        cells.extend([""] * (self._width - len(cells)))
        for number, cell in enumerate(cells, 1):
            if found := _CONTROL.search(cell):
                raise BadCells(f"Cell {number} contains the control character U+{ord(found[0]):04X}. Remove it.")

    def _skip_bad_record(self, exc: csv.Error) -> None:
        line, self._next_line = self._next_line, self._records.reader.line_num + self._step
        raw = self._records.explain(exc, line=line)
        self._reject(
            line, [raw], "A quote stands in the wrong place. Put the whole cell in quotes and double the quotes in it."
        )

    def _reject(self, line: int, raw: Sequence[str], reason: str) -> None:
        cells = _copy_json(raw)
        self._rejected.append(f"{self._prefix}{line}\t{RejectionKind.INVALID}\t{cells}\t{_copy_text(reason)}\n")

    def _clear(self) -> None:
        self._emails: list[str] = []
        self._suspects: list[str] = []
        self._rejected: list[str] = []

    def _take_block(self) -> Block:
        block = Block(
            emails="".join(self._emails).encode(),
            suspects="".join(self._suspects).encode(),
            rejected="".join(self._rejected).encode(),
            email_count=len(self._emails),
            suspect_count=len(self._suspects),
            rejected_count=len(self._rejected),
        )
        self._clear()
        return block


class BadCells(ValueError):
    """The record can't become an email; str() says why, as a sentence."""


def is_odd_json(fields: bytes) -> bool:
    """Whether cells may hold a control character, or are not their own COPY text.

    JSON spells a control character, and a quote, with a backslash; DEL and the C1 controls it leaves alone:
    they are 7F, and C2 80 to C2 9F.
    """
    return b"\\" in fields or b"\x7f" in fields or b"\xc2" in fields


def _copy_json(cells: Sequence[str]) -> str:
    """Cells as COPY text; a NUL, which only a rejected row can have and jsonb can't, becomes U+FFFD."""
    return orjson.dumps(cells).decode().replace(r"\u0000", "\ufffd").replace("\\", "\\\\")


def _copy_text(text: str) -> str:
    """Escape a value for COPY's text format: of all that JSON escapes, it knows the backslash, tab and newlines."""
    return text.replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n").replace("\r", "\\r")
