"""Read the records of a delimited file: bytes in, lists of cells out, in constant memory.

Holds no more than one part of the file and one record. What would make a reader guess is an error that
names the line: a byte that the encoding doesn't have, a NUL, a quote that isn't closed, an endless field.
"""

from __future__ import annotations

import codecs
import csv
import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain, islice
from typing import BinaryIO, Protocol

from batches.files.encoding import CHUNK_BYTES
from batches.files.errors import UnreadableFile

FIELD_MAX_LENGTH = 131_072
"""Characters in one field, the csv module's own limit; a quote that isn't closed soon runs into it."""

LINE_MAX_LENGTH = 1 << 20
"""Characters in one line."""

_NO_LINES = "This is no list of recipients, or its lines don't end as lines do. Export it again as CSV."


class Reader(Protocol):
    """An iterator of records that knows how many lines it has read: the csv module's, or one like it."""

    @property
    def line_num(self) -> int: ...
    def __iter__(self) -> Iterator[list[str]]: ...
    def __next__(self) -> list[str]: ...


class Records(Protocol):
    """The records of one source."""

    @property
    def reader(self) -> Reader: ...

    @property
    def at_hand(self) -> int:
        """At most so many records, 1 or more, are in about CHUNK_BYTES: who gathers no more at once holds little."""

    def explain(self, exc: csv.Error, *, line: int) -> str:
        """Return the raw text of a line that is malformed by itself, or raise what ends the import."""


class TextParts:
    """Cuts a byte stream into decoded parts that end at a line's end, each an iterator of lines."""

    def __init__(self, stream: BinaryIO, encoding: str) -> None:
        self._stream = stream
        self._encoding = encoding
        self._decoder = codecs.getincrementaldecoder(encoding)()
        self.text = ""
        self.first_line = 1
        """The number of the first line of ``text``."""
        self.last_line = 0
        self.count_lines: Callable[[], int] = lambda: 0
        """How many lines came before the part that is asked for."""

    def __iter__(self) -> Iterator[io.StringIO]:
        tail = ""
        is_last = False
        while not is_last:
            chunk = self._stream.read(CHUNK_BYTES)
            is_last = not chunk
            tail += self._decode(chunk, tail, is_last=is_last)
            end = len(tail) if is_last else _end_of_lines(tail)
            if end:
                yield self._part(tail[:end])
                tail = tail[end:]
            if len(tail) > LINE_MAX_LENGTH:
                raise UnreadableFile(
                    f"Line {self.count_lines() + 1} is longer than {LINE_MAX_LENGTH:,} characters. {_NO_LINES}"
                )

    def line_text(self, number: int) -> str:
        """One line of the part that was given out last."""
        lines = io.StringIO(self.text, newline="")
        return next(islice(lines, max(number - self.first_line, 0), None), "").rstrip("\r\n")

    def _part(self, text: str) -> io.StringIO:
        self.first_line = self.count_lines() + 1
        self.text = text
        self.last_line = self.first_line + _count_lines(text)
        _refuse_nul(text, first_line=self.first_line)
        # newline="" ends a line at LF, CRLF or a lone CR, whichever comes, and leaves it as it is: inside
        # quotes it belongs to the cell. str.splitlines would also cut at U+2028, VT and others.
        return io.StringIO(text, newline="")

    def _decode(self, chunk: bytes, tail: str, *, is_last: bool) -> str:
        _, state = self._decoder.getstate()
        try:
            return self._decoder.decode(chunk, final=is_last)
        except UnicodeDecodeError as exc:
            # In the same state: what has a byte order mark has it only at the beginning.
            lenient = codecs.getincrementaldecoder(self._encoding)(errors="replace")
            lenient.setstate((b"", state))
            before = tail + lenient.decode(exc.object[: exc.start])
            raise _bad_encoding(self._encoding, line=self.count_lines() + 1 + _count_lines(before)) from exc


class CsvRecords:
    """The csv module's reader, strict, with errors that say what to do. Blank lines come as empty lists."""

    def __init__(self, stream: BinaryIO, *, encoding: str, delimiter: str) -> None:
        self.parts = TextParts(stream, encoding)
        self.reader = csv.reader(chain.from_iterable(self.parts), delimiter=delimiter, strict=True)
        # It asks for a part when it has read all lines of those before.
        self.parts.count_lines = lambda: self.reader.line_num

    @property
    def at_hand(self) -> int:
        return max(1, self.parts.last_line - self.reader.line_num)

    def explain(self, exc: csv.Error, *, line: int) -> str:
        """Return the text of the line that an error of the reader is about, or raise what ends the import.

        A stray quote within one line costs that line. Over several lines it can't be told where the
        record ends, so going on could lose recipients in silence.
        """
        last = self.reader.line_num
        if "field limit" in str(exc):
            raise UnreadableFile(
                f"The record that begins in line {line} has a field of more than {FIELD_MAX_LENGTH:,} characters. "
                "Shorten it; if you see none that long, a quote is opened there and never closed."
            ) from exc
        if last > line or "unexpected end" in str(exc):
            raise UnreadableFile(
                f"A quote that is opened in the record of line {line} is not closed. "
                "Close it, or double a quote that is text."
            ) from exc
        return self.parts.line_text(line)


class CountedRecords:
    """Records that were made already; a record's line is its place among them, from 1."""

    def __init__(self, rows: Iterable[list[str]]) -> None:
        self._rows = iter(rows)
        self.reader = self
        self.line_num = 0
        self._length = 0

    @property
    def at_hand(self) -> int:
        return max(1, CHUNK_BYTES * self.line_num // max(self._length, 1))  # if they go on as until now

    def __iter__(self) -> Iterator[list[str]]:
        return self

    def __next__(self) -> list[str]:
        cells = next(self._rows)
        self.line_num += 1
        self._length += sum(map(len, cells))
        return cells

    def explain(self, exc: csv.Error, *, line: int) -> str:
        raise exc


def skip_header(records: Records) -> None:
    """Read past the header, and past the "sep=;" that Excel may want before it."""
    try:
        for cells in records.reader:
            if any(cell.strip() for cell in cells) and not is_separator_line(cells):
                return
    except csv.Error as exc:
        raise UnreadableFile("The header has a quote that is out of place or not closed. Mend line 1.") from exc


def is_separator_line(cells: Sequence[str]) -> bool:
    """Whether these are the cells of "sep=;", by which Excel is told the delimiter."""
    return cells[0].lower() == "sep=" and not any(cells[1:])


def read_head(stream: BinaryIO, encoding: str) -> str:
    """The first whole lines of a file, decoded without complaint, to find its layout by; refuses a binary."""
    stream.seek(0)
    raw = stream.read(CHUNK_BYTES)
    stream.seek(0)
    try:
        text = codecs.getincrementaldecoder(encoding)(errors="replace").decode(raw)
    except UnicodeError as exc:  # some miss their byte order mark
        raise _bad_encoding(encoding, line=1) from exc
    _refuse_nul(text, first_line=1)
    if len(raw) < CHUNK_BYTES:
        return text
    if not (end := _end_of_lines(text)):
        raise UnreadableFile(f"Line 1 is longer than {CHUNK_BYTES:,} bytes. {_NO_LINES}")
    return text[:end]


def _bad_encoding(encoding: str, *, line: int) -> UnreadableFile:
    name = encoding.removesuffix("-sig")
    return UnreadableFile(
        f"Line {line} is not valid {name}. Choose the encoding that the file was saved in, or save it anew."
    )


def _refuse_nul(text: str, *, first_line: int) -> None:
    if "\0" in text:
        raise UnreadableFile(
            f"Line {first_line + _count_lines(text[: text.index(chr(0))])} contains a NUL character. "
            "The file is damaged or is not text; export it again as CSV."
        )


def _end_of_lines(text: str) -> int:
    """Where the last whole line ends. A CR at the very end may be half of a CRLF, so it waits."""
    return max(text.rfind("\n"), text.rfind("\r", 0, len(text) - 1)) + 1


def _count_lines(text: str) -> int:
    return text.count("\n") + text.count("\r") - text.count("\r\n")
