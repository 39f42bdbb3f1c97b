"""Turn records into blocks of COPY text: emails, possible_duplicates of being a duplicate, and rejected rows.

The hot loop of an import. Holds one block; never touches the database.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import orjson

from batches.files.addresses import BadAddress, match_plain, normalise_address
from batches.files.dialect import Layout
from batches.files.reading import Records
from batches.models import RejectionKind

BLOCK_ROWS = 2048
BLOCK_LENGTH = 1 << 19
"""Letters in a block of long rows, before it is given out though it has few."""
RUN_ROWS = 128
"""How many plain rows are worked on together: enough to share the calls, few enough to stay in the CPU's cache."""

# Line feeds and tabs belong in a postal address or a note, and the renderer folds or refuses them where
# they can't stand (a subject). No other control character means anything in a mail, and some break it:
# DESIGN.md section 10.
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")

_ODD_TEXT = re.compile(r"[\\\x7f-\x9f]")
"""What ``is_odd_json`` looks for, exactly."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Block:
    """Some rows as COPY text, and how many of them there are."""

    emails: bytes
    """batch, row, address, fields"""
    possible_duplicates: bytes
    """row, address, fields, raw cells"""
    rejected: bytes
    """batch, line, kind, raw cells, reason"""
    email_count: int
    possible_duplicate_count: int
    rejected_count: int


class SeenAddresses:
    """Which addresses came before: "no" is certain, "yes" is a suspicion that PostgreSQL settles.

    A Bloom filter of 4 MB, so that memory doesn't grow with the file: an address sets two of the eight bits
    of one byte. Of a million different addresses 1 in 180 is suspected wrongly, which costs little.
    """

    def __init__(self) -> None:
        self._bytes = bytearray(1 << 22)

    def are_new(self, addresses: Sequence[str]) -> list[bool]:
        """Which of them certainly did not come before, in any case, in this order; remember them all."""
        seen = self._bytes
        answers = []
        for key in map(hash, map(str.casefold, addresses)):
            place, bits = key & 0x3FFFFF, _BIT_PAIRS[key >> 40 & 31]
            found = seen[place]
            seen[place] = found | bits
            answers.append(found & bits != bits)
        return answers


# The 28 pairs of bits in a byte, and four of them again to make 32.
_BIT_PAIRS = [1 << low | 1 << high for high in range(8) for low in range(high)]
_BIT_PAIRS += _BIT_PAIRS[:4]


class Run:
    """Consecutive rows whose addresses are plain: the same place in each list is the same row."""

    def __init__(self) -> None:
        self.lines: list[int] = []
        self.addresses: list[str] = []
        self.cells: list[list[str]] = []
        """All but the address."""

    def raw(self, place: int, address_index: int) -> list[str]:
        """The cells of a row as they were read."""
        cells = self.cells[place]
        return [*cells[:address_index], self.addresses[place], *cells[address_index:]]

    def clear(self) -> None:
        for column in (self.lines, self.addresses, self.cells):
            column.clear()


class BlockReader:
    """Sorts the records of one file into blocks."""

    def __init__(
        self, records: Records, *, layout: Layout, batch_id: int, seen: SeenAddresses | None, after_line: int = 0
    ) -> None:
        """Without ``seen`` every address is a candidate: the batch has emails already.

        Lines are counted on from ``after_line``.
        """
        self._records = records
        self._width = len(layout.columns)
        self._address_index = layout.address_index
        self._prefix = f"{batch_id}\t"
        self._seen = seen
        self._step = after_line + 1
        self._next_line = records.reader.line_num + self._step
        self._run = Run()
        self._clear()

    def __iter__(self) -> Iterator[Block]:
        is_more = True
        while is_more:
            try:
                is_more = self._read_some()
            except csv.Error as exc:
                self._skip_bad_record(exc)
            if not is_more or self._is_full():
                yield self._take_block()

    def _is_full(self) -> bool:
        count = len(self._emails) + len(self._possible_duplicates) + len(self._rejected)
        return count >= BLOCK_ROWS or self._length >= BLOCK_LENGTH

    def _read_some(self) -> bool:
        """The hot loop: sort up to RUN_ROWS records, of one part of the file; whether there may be more."""
        reader, width, index, step = self._records.reader, self._width, self._address_index, self._step
        next_line, count = self._next_line, 0
        most = min(RUN_ROWS, self._records.read_limit)
        run = self._run
        add_line, add_address, add_cells = run.lines.append, run.addresses.append, run.cells.append
        try:
            for count, cells in enumerate(islice(reader, most), 1):  # noqa: B007  counts what was read
                line, next_line = next_line, reader.line_num + step
                if len(cells) == width and next_line - line == 1 and match_plain(address := cells[index]):
                    add_line(line)
                    add_address(address)
                    del cells[index]
                    add_cells(cells)
                else:
                    self._sort_run()  # in the order of the file: of two rows with one address the first wins
                    self._sort_odd(line, cells)
                    if self._length >= BLOCK_LENGTH:
                        return True
        finally:
            self._next_line = next_line
            self._sort_run()
        return count == most

    def _sort_run(self) -> None:
        """Rows that are plain but for what their other cells may hold."""
        run = self._run
        if not run.lines:
            return
        packed = orjson.dumps(run.cells)
        self._length += len(packed)
        texts = split_json(packed, run.cells)
        begin = 0
        if is_odd_json(packed):
            for place in [place for place, text in enumerate(texts) if _ODD_TEXT.search(text)]:
                self._add_run(texts, begin, place)
                self._sort_odd(run.lines[place], run.raw(place, self._address_index))
                begin = place + 1
        self._add_run(texts, begin, len(texts))
        run.clear()

    def _add_run(self, texts: list[str], begin: int, end: int) -> None:
        """Add a part of the run, to the emails or to the possible_duplicates."""
        run, prefix, index = self._run, self._prefix, self._address_index
        lines, addresses, texts = run.lines[begin:end], run.addresses[begin:end], texts[begin:end]
        new = self._seen.are_new(addresses) if self._seen else [False] * len(addresses)
        self._emails += [
            f"{prefix}{line}\t{address}\t{text}\n"
            for line, address, text, is_new in zip(lines, addresses, texts, new, strict=True)
            if is_new
        ]
        if not all(new):
            self._possible_duplicates += [
                f"{line}\t{address}\t{text}\t{_copy_json(run.raw(place, index))}\n"
                for place, (line, address, text) in enumerate(zip(lines, addresses, texts, strict=True), begin)
                if not new[place - begin]
            ]

    def _sort_odd(self, line: int, cells: list[str]) -> None:
        """Everything that is not known to be plain."""
        if not any(cell.strip() for cell in cells):
            return
        raw = list(cells)
        self._length += sum(map(len, raw))
        try:
            self._fit(cells)
            address = normalise_address(cells.pop(self._address_index))
        except (BadCells, BadAddress) as exc:
            self._reject(line, raw, str(exc))
            return
        fields = _copy_json([cell.replace("\r\n", "\n").replace("\r", "\n") for cell in cells])
        if self._seen and self._seen.are_new([address])[0]:
            self._emails.append(f"{self._prefix}{line}\t{address}\t{fields}\n")
        else:
            self._possible_duplicates.append(f"{line}\t{address}\t{fields}\t{_copy_json(raw)}\n")

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
        raw = self._records.recover_line(exc, line=line)
        self._reject(
            line, [raw], "A quote stands in the wrong place. Put the whole cell in quotes and double the quotes in it."
        )

    def _reject(self, line: int, raw: Sequence[str], reason: str) -> None:
        cells = _copy_json(raw)
        self._rejected.append(f"{self._prefix}{line}\t{RejectionKind.INVALID}\t{cells}\t{_copy_text(reason)}\n")

    def _clear(self) -> None:
        self._emails: list[str] = []
        self._possible_duplicates: list[str] = []
        self._rejected: list[str] = []
        self._length = 0

    def _take_block(self) -> Block:
        block = Block(
            emails="".join(self._emails).encode(),
            possible_duplicates="".join(self._possible_duplicates).encode(),
            rejected="".join(self._rejected).encode(),
            email_count=len(self._emails),
            possible_duplicate_count=len(self._possible_duplicates),
            rejected_count=len(self._rejected),
        )
        self._clear()
        return block


class BadCells(ValueError):
    """The record can't become an email; str() says why, as a sentence."""


def split_json(packed: bytes, rows: Sequence[list[str]]) -> list[str]:
    """The JSON of each row, from that of the list of them all: one call for each row would take twice as long."""
    texts = packed[1:-1].decode().replace("],[", "]\n[").split("\n")
    if len(texts) != len(rows):  # a cell holds "],["
        return [orjson.dumps(cells).decode() for cells in rows]
    return texts


def is_odd_json(packed: bytes) -> bool:
    """Whether cells may hold a control character, or are not their own COPY text.

    JSON spells a control character, and a quote, with a backslash; DEL and the C1 controls it leaves alone:
    they are 7F, and C2 80 to C2 9F.
    """
    return b"\\" in packed or b"\x7f" in packed or b"\xc2" in packed


def _copy_json(cells: Sequence[str]) -> str:
    """Cells as COPY text; a NUL, which only a rejected row can have and jsonb can't, becomes U+FFFD."""
    return orjson.dumps(cells).decode().replace(r"\u0000", "\ufffd").replace("\\", "\\\\")


def _copy_text(text: str) -> str:
    """Escape a value for COPY's text format: of all that JSON escapes, it knows the backslash, tab and newlines."""
    return text.replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n").replace("\r", "\\r")
