"""Turn records into blocks of COPY text: emails, possible duplicates, and rejected rows.

This is the hot loop of an import. It holds one block and never touches the database. A *plain row* is one line with the
header's width, a plain address, and cells that are their own COPY text. Nearly all rows are plain, and many of them are
worked on together. Every other row is checked by itself.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import compress, islice

import orjson

from batches.files.addresses import SPACES, match_plain
from batches.files.cells import tidy_cells
from batches.files.findings import Reading
from batches.files.layout import Layout
from batches.files.reading import Records, RejectedRecord
from batches.intake.domains import DomainCheck
from batches.intake.odd_rows import NONE_ODD, OddRows, count_odd
from batches.intake.row_addresses import NoAddress, find_addresses
from batches.models import RejectionKind
from batches.suppressions import make_digests

BLOCK_ROWS = 2048
BLOCK_LENGTH = 1 << 19
"""A block of long rows is given out when it has this many characters, even if it has few rows."""
PLAIN_ROWS_MAX = 128
"""How many plain rows are worked on together: enough to share the calls, few enough to stay in the CPU's cache."""

# Line feeds and tabs belong in a postal address or a note. Where a mail can't have them, as in a subject, the renderer
# folds or refuses them. No other control character means anything in a mail, and some of them make it invalid.
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")

_NEEDS_CHECK = re.compile(rf'[\\\x7f-\x9f]|"[{SPACES}]|[{SPACES}]"')
"""Finds exactly the rows that ``needs_check`` finds roughly."""

_ends_with_blank = re.compile(rb' "').search
_begins_with_blank = re.compile(rb'" ').search
"""In JSON, a blank beside a quotation mark is at the end of a cell. A pattern finds it faster than ``in``."""

_BEYOND_ASCII = (b"\xc2", b"\xe2\x80", b"\xe3\x80\x80", b"\xef\xbb\xbf")
"""The C1 controls and the no-break space begin with the first, the other blanks of SPACES with the others."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Block:
    """Some rows as COPY text, and how many of each kind there are."""

    emails: bytes
    """batch, row, address, digest, fields. The line is after the row if the reader ``has_lines``."""
    possible_duplicates: bytes
    """row, address, digest, fields, raw cells. The line is after the row if the reader ``has_lines``."""
    rejected: bytes
    """batch, line, kind, raw cells, reason"""
    email_count: int
    possible_duplicate_count: int
    rejected_count: int
    """Without the rows that a sheet hides. The reading counts those."""
    odd: OddRows
    """The odd ones of the emails. The possible duplicates are not among them."""


class SeenAddresses:
    """Remembers which addresses were seen. The answer "new" is certain. The answer "not new" may be wrong.

    PostgreSQL compares each address that may not be new with the table. This is a Bloom filter of 4 MB, so memory does
    not grow with the file. Each address sets two of the eight bits of one byte. Of a million different addresses, about
    1 in 180 is wrongly taken for a possible duplicate. That costs only the comparison.
    """

    def __init__(self) -> None:
        self._bytes = bytearray(1 << 22)

    def are_new(self, digests: Sequence[bytes]) -> list[bool]:
        """Say for each address, in order, whether it is certainly new; remember them all. Their digests enter.

        Addresses that differ only in the case of their letters have one digest.
        """
        seen = self._bytes
        answers = []
        for key in map(hash, digests):
            place, bits = key & 0x3FFFFF, _BIT_PAIRS[key >> 22 & 31]
            byte = seen[place]
            seen[place] = byte | bits
            answers.append(byte & bits != bits)
        return answers


# The 28 pairs of bits in a byte, and four of them again to make 32.
_BIT_PAIRS = [1 << low | 1 << high for high in range(8) for low in range(high)]
_BIT_PAIRS += _BIT_PAIRS[:4]


class PlainRows:
    """Consecutive rows of one line each with a plain address. The same place in each list is the same row."""

    def __init__(self) -> None:
        self.lines: list[int] = []
        self.addresses: list[str] = []
        self.cells: list[list[str]] = []
        """All cells except the address."""

    def raw(self, place: int, address_index: int) -> list[str]:
        """Return the cells of a row as they were read."""
        cells = self.cells[place]
        return [*cells[:address_index], self.addresses[place], *cells[address_index:]]

    def clear(self) -> None:
        for column in (self.lines, self.addresses, self.cells):
            column.clear()


class BadCells(ValueError):
    """The record can't become an email. ``str()`` is a sentence that says why."""


class BlockReader:
    """Sorts the records of one file into blocks. Iterate over it once."""

    def __init__(
        self,
        records: Records,
        *,
        layout: Layout,
        batch_id: int,
        seen: SeenAddresses | None,
        digest_key: bytes = b"",
        reading: Reading | None = None,
        after_line: int = 0,
    ) -> None:
        """Lines are counted on from ``after_line``. The reader counts into ``reading``, and obeys its ``split_cells``.

        Without ``seen`` every address is a possible duplicate, because the batch has emails already. ``digest_key``
        is ``suppressions.read_key()``: the digest of each address is stored with it.
        """
        self._digest_key = digest_key
        self._records = records
        self._layout = layout
        self._width = len(layout.columns)
        self._address_index = layout.address_index
        self._has_one_address = len(layout.address_indexes) == 1
        self._prefix = f"{batch_id}\t"
        self._seen = seen
        self._reading = reading or Reading()
        self.has_lines = self._reading.split_cells or not self._has_one_address
        """Whether a line may make several emails, so that the row of an email may differ from its line."""
        self._last_row = after_line
        self._domains = DomainCheck(self._reading.slips)
        self._next_line_offset = after_line + 1
        self._next_line = records.reader.line_num + self._next_line_offset
        self._is_at_end = False
        self._plain = PlainRows()
        self._clear()

    def __iter__(self) -> Iterator[Block]:
        while not self._is_at_end:
            self._read_some()
            if self._is_at_end or self._is_full():
                yield self._take_block()
        self._reading.slips = self._domains.list_slips()
        self._reading.last_line = self._next_line - 1

    def _is_full(self) -> bool:
        count = len(self._emails) + len(self._possible_duplicates) + len(self._rejected)
        return count >= BLOCK_ROWS or self._length >= BLOCK_LENGTH

    def _read_some(self) -> None:
        """Sort the next records, PLAIN_ROWS_MAX at most and from one part of the file. This is the hot loop."""
        reader, index, offset = self._records.reader, self._address_index, self._next_line_offset
        width = self._width if self._has_one_address else -1  # a row with several addresses is never plain
        next_line, count = self._next_line, 0
        limit = min(PLAIN_ROWS_MAX, self._records.read_limit)
        plain = self._plain
        add_line, add_address, add_cells = plain.lines.append, plain.addresses.append, plain.cells.append
        bad_record: csv.Error | None = None
        try:
            for count, cells in enumerate(islice(reader, limit), 1):  # noqa: B007  counts the records that were read
                line, next_line = next_line, reader.line_num + offset
                # A record of several lines is not gathered: it may be long, and read_limit counts lines.
                if len(cells) == width and next_line - line == 1 and match_plain(address := cells[index]):
                    add_line(line)
                    add_address(address)
                    del cells[index]
                    add_cells(cells)
                else:
                    self._sort_plain_rows()  # in the order of the file: of the rows with one address the first wins
                    self._sort_one(line, cells)
                    if self._length >= BLOCK_LENGTH:
                        break
            else:
                self._is_at_end = count < limit
        except csv.Error as exc:
            bad_record = exc
        self._next_line = next_line
        self._sort_plain_rows()
        if bad_record:
            self._reject_bad_record(bad_record)

    def _sort_plain_rows(self) -> None:
        """Add the rows with a plain address. A row whose other cells need a check is sorted by itself."""
        plain = self._plain
        if not plain.lines:
            return
        packed = orjson.dumps(plain.cells)
        self._length += len(packed)
        texts = split_json(packed, plain.cells)
        begin, has_blank = 0, b'""' in packed
        if needs_check(packed):
            for place in [place for place, text in enumerate(texts) if _NEEDS_CHECK.search(text)]:
                self._add_plain_rows(texts, begin, place, has_blank=has_blank)
                self._sort_one(plain.lines[place], plain.raw(place, self._address_index))
                begin = place + 1
        self._add_plain_rows(texts, begin, len(texts), has_blank=has_blank)
        plain.clear()

    def _add_plain_rows(self, texts: list[str], begin: int, end: int, *, has_blank: bool) -> None:
        """Add some of the plain rows to the emails or to the possible duplicates. Their addresses are ASCII."""
        plain, prefix, index = self._plain, self._prefix, self._address_index
        lines, addresses, texts = plain.lines[begin:end], plain.addresses[begin:end], texts[begin:end]
        keys: Sequence[int | str] = [self._number(line) for line in lines] if self.has_lines else lines
        digests = make_digests(self._digest_key, addresses)
        new = self._seen.are_new(digests) if self._seen else [False] * len(addresses)
        self._domains.check_plain(addresses)
        copied = [_copy_digest(digest) for digest in digests]
        self._emails += [
            f"{prefix}{key}\t{address}\t{digest}\t{text}\n"
            for key, address, digest, text, is_new in zip(keys, addresses, copied, texts, new, strict=True)
            if is_new
        ]
        if has_blank:
            self._odd += count_odd(list(compress(plain.cells[begin:end], new)))
        if not all(new):
            self._possible_duplicates += [
                f"{key}\t{address}\t{digest}\t{text}\t{_copy_json(plain.raw(place, index))}\n"
                for place, (key, address, digest, text) in enumerate(
                    zip(keys, addresses, copied, texts, strict=True), begin
                )
                if not new[place - begin]
            ]

    def _number(self, line: int) -> int | str:
        """Return the row of an email of a line as COPY text, with its line if rows may differ from lines.

        Rows follow each other, and a row is at least its line. So the rows of a batch are unique and in the order of
        the file, and a row is the line wherever the lines before it left room.
        """
        if not self.has_lines:
            return line
        row = self._last_row = max(line, self._last_row + 1)
        return f"{row}\t\\N" if row == line else f"{row}\t{line}"

    def _sort_one(self, line: int, cells: list[str]) -> None:
        """Check one row in full, and add it to the emails, the possible duplicates or the rejected rows."""
        if not any(cell.strip() for cell in cells):
            return
        raw = list(cells)
        self._length += sum(map(len, raw))
        cells = tidy_cells(cells)
        try:
            self._adjust_width(cells)
            _refuse_control_characters(cells)
            found = find_addresses(cells, self._layout.address_indexes, self._reading)
        except (BadCells, NoAddress) as exc:
            self._reject(line, raw, str(exc))
            return
        if found.bad_cells:
            self._reject(line, found.bad_cells, found.reason)
        if self._has_one_address:
            del cells[self._address_index]
        for address in found.addresses:
            self._add(self._number(line), address, cells, raw)

    def _add(self, key: int | str, address: str, cells: Sequence[str], raw: Sequence[str]) -> None:
        """Add one row that was checked to the emails or to the possible duplicates."""
        self._domains.check(address)
        digests = make_digests(self._digest_key, [address])
        copied = _copy_digest(digests[0])
        fields = _copy_json([cell.replace("\r\n", "\n").replace("\r", "\n") for cell in cells])
        if self._seen and self._seen.are_new(digests)[0]:
            self._odd += count_odd([cells], [address])
            self._emails.append(f"{self._prefix}{key}\t{address}\t{copied}\t{fields}\n")
        else:
            self._possible_duplicates.append(f"{key}\t{address}\t{copied}\t{fields}\t{_copy_json(raw)}\n")

    def _adjust_width(self, cells: list[str]) -> None:
        """Give a record the width of the header: drop blank cells after it, and add missing ones.

        Raises:
            BadCells: a cell after the header's last column holds text.
        """
        surplus = cells[self._width :]
        if any(cell.strip() for cell in surplus):
            raise BadCells(
                f"The line has {len(cells)} cells, but the header has only {self._width}. "
                "If a column has no heading, add one. If a cell contains the delimiter, put it in quotation marks."
            )
        del cells[self._width :]
        cells.extend([""] * (self._width - len(cells)))

    def _reject_bad_record(self, exc: csv.Error) -> None:
        line, self._next_line = self._next_line, self._records.reader.line_num + self._next_line_offset
        if isinstance(exc, RejectedRecord):
            self._reject_record(line, exc)
            return
        raw = self._records.recover_line(exc, line=line)
        self._reject(
            line,
            [raw],
            "There is a quotation mark in the wrong place. "
            "Put the whole cell in quotation marks, and write each quotation mark inside it twice.",
        )

    def _reject_record(self, line: int, record: RejectedRecord) -> None:
        """Reject a record that its reader did not give out."""
        if not record.is_hidden:
            self._reject(line, record.cells, record.reason)
            return
        self._reject(line, record.cells, record.reason, RejectionKind.HIDDEN)
        self._reading.hidden_count += 1
        self._hidden_count += 1

    def _reject(self, line: int, raw: Sequence[str], reason: str, kind: RejectionKind = RejectionKind.INVALID) -> None:
        self._rejected.append(f"{self._prefix}{line}\t{kind}\t{_copy_json(raw)}\t{_copy_text(reason)}\n")

    def _clear(self) -> None:
        self._emails: list[str] = []
        self._possible_duplicates: list[str] = []
        self._rejected: list[str] = []
        self._hidden_count = 0
        self._odd = NONE_ODD
        self._length = 0

    def _take_block(self) -> Block:
        block = Block(
            emails="".join(self._emails).encode(),
            possible_duplicates="".join(self._possible_duplicates).encode(),
            rejected="".join(self._rejected).encode(),
            email_count=len(self._emails),
            possible_duplicate_count=len(self._possible_duplicates),
            rejected_count=len(self._rejected) - self._hidden_count,
            odd=self._odd,
        )
        self._clear()
        return block


def _refuse_control_characters(cells: Sequence[str]) -> None:
    for number, cell in enumerate(cells, 1):
        if match := _CONTROL.search(cell):
            raise BadCells(f"Cell {number} contains the control character U+{ord(match[0]):04X}. Remove it.")


def split_json(packed: bytes, rows: Sequence[list[str]]) -> list[str]:
    """Return the JSON text of each row, from the JSON of them all, because one call is faster than one for each row."""
    texts = packed[1:-1].decode().replace("],[", "]\n[").split("\n")
    if len(texts) != len(rows):  # a cell contains "],["
        return [orjson.dumps(cells).decode() for cells in rows]
    return texts


def needs_check(packed: bytes) -> bool:
    """Say whether some cells may hold a control character or a line break, differ from their COPY text, or have blanks
    around them.

    JSON spells a quotation mark, a line break and most control characters with a backslash. It leaves DEL and the C1
    controls as they are.
    """
    if b"\\" in packed or b"\x7f" in packed or _ends_with_blank(packed) or _begins_with_blank(packed):
        return True
    return not packed.isascii() and any(sign in packed for sign in _BEYOND_ASCII)


def _copy_json(cells: Sequence[str]) -> str:
    """Return cells as JSON in COPY text. A NUL, which only a rejected row can have and jsonb can't, becomes U+FFFD."""
    text = orjson.dumps(cells).decode()
    if r"\u0000" in text:  # which may also be the text of a cell, in JSON \\u0000
        text = orjson.dumps([cell.replace("\0", "\ufffd") for cell in cells]).decode()
    return text.replace("\\", "\\\\")


def _copy_digest(digest: bytes) -> str:
    """Return a digest as bytea in COPY text, whose backslash is doubled."""
    return "\\\\x" + digest.hex()


def _copy_text(text: str) -> str:
    """Escape a value for COPY's text format: the backslash, the tab and the line breaks."""
    return text.replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n").replace("\r", "\\r")
