"""Read the records of a delimited file: bytes in, lists of cells out, in constant memory.

Holds one part of the file and one record at a time. Never guesses. If the file leaves a doubt (a byte that the encoding
does not have, a NUL, a quotation mark that is not closed, an endless field), the import ends with an error that names
the line.
"""

from __future__ import annotations

import codecs
import csv
import io
from collections.abc import Callable, Iterable, Iterator
from itertools import chain, islice
from typing import BinaryIO, Protocol

from batches.files.errors import UnreadableFile
from batches.files.survey import CHUNK_BYTES

FIELD_MAX_LENGTH = 131_072
"""The most characters in one field: the csv module's own limit. An unclosed quotation mark soon exceeds it."""

LINE_MAX_LENGTH = 1 << 20
"""The most characters in one line."""

_NO_LINES = "This is not a list of recipients, or its lines have no line breaks. Export it again as CSV."


class RejectedRecord(csv.Error):
    """A record that its reader can't give out as a recipient. Reading goes on with the next record.

    A reader raises it in place of the record, after it has counted the record's lines.
    """

    def __init__(self, *, cells: list[str], reason: str, is_hidden: bool = False) -> None:
        super().__init__(reason)
        self.cells = cells
        self.reason = reason
        self.is_hidden = is_hidden
        """Whether the reason is that the sheet hides the row."""


class Reader(Protocol):
    """An iterator of records that knows how many lines it has read. The csv module's reader is one."""

    @property
    def line_num(self) -> int: ...
    def __iter__(self) -> Iterator[list[str]]: ...
    def __next__(self) -> list[str]: ...


class Records(Protocol):
    """The records of one source."""

    @property
    def reader(self) -> Reader: ...

    @property
    def read_limit(self) -> int:
        """An upper bound, 1 or more, on the records in the next CHUNK_BYTES or so.

        A caller that gathers no more records than this at once uses constant memory, however long the records are.
        """

    def recover_line(self, exc: csv.Error, *, line: int) -> str:
        """Return the raw text of the line that an error of the reader is about.

        Raises:
            UnreadableFile: nobody can know where the bad record ends, so the import must end.
        """


class TextParts:
    """Cuts a byte stream into decoded parts. Each part ends with a whole line and is an iterator of lines."""

    def __init__(self, stream: BinaryIO, encoding: str) -> None:
        self._stream = stream
        self._encoding = encoding
        self._decoder = codecs.getincrementaldecoder(encoding)()
        self.text = ""
        self.first_line = 1
        """The number of the first line of ``text``."""
        self.last_line = 0
        """The number of the last line of ``text``, or one more."""
        self.count_lines: Callable[[], int] = lambda: 0
        """Counts the lines before the next part. Set by the owner of the reader."""

    def __iter__(self) -> Iterator[io.StringIO]:
        tail = ""
        is_last = False
        while not is_last:
            chunk = self._stream.read(CHUNK_BYTES)
            is_last = not chunk
            tail += self._decode(chunk, tail, is_last=is_last)
            end = len(tail) if is_last else _find_end_of_lines(tail)
            if end:
                yield self._make_part(tail[:end])
                tail = tail[end:]
            if len(tail) > LINE_MAX_LENGTH:
                raise UnreadableFile(
                    f"Line {self.count_lines() + 1} is longer than {LINE_MAX_LENGTH:,} characters. {_NO_LINES}"
                )

    def line_text(self, number: int) -> str:
        """Return one line of the last part, without its line end."""
        lines = io.StringIO(self.text, newline="")
        return next(islice(lines, max(number - self.first_line, 0), None), "").rstrip("\r\n")

    def _make_part(self, text: str) -> io.StringIO:
        self.first_line = self.count_lines() + 1
        self.text = text
        self.last_line = self.first_line + _count_lines(text)
        _refuse_nul(text, first_line=self.first_line)
        # newline="" ends a line at LF, CRLF or a single CR and leaves the line end as it is, because a line end inside
        # quotation marks belongs to the cell. str.splitlines would also cut at U+2028, VT and others.
        return io.StringIO(text, newline="")

    def _decode(self, chunk: bytes, tail: str, *, is_last: bool) -> str:
        _, state = self._decoder.getstate()
        try:
            return self._decoder.decode(chunk, final=is_last)
        except UnicodeDecodeError as exc:
            # The second decoder starts in the same state, because a byte order mark is only at the start of a file.
            lenient = codecs.getincrementaldecoder(self._encoding)(errors="replace")
            lenient.setstate((b"", state))
            before = tail + lenient.decode(exc.object[: exc.start])
            raise _bad_encoding(self._encoding, line=self.count_lines() + 1 + _count_lines(before)) from exc


class CsvRecords:
    """The records of the csv module's strict reader. A blank line is an empty list."""

    def __init__(
        self,
        stream: BinaryIO,
        *,
        encoding: str,
        delimiter: str,
        quote: str = '"',
        skips_blanks: bool = False,
        tidy_line: Callable[[str], str] | None = None,
    ) -> None:
        """Blanks before a cell are skipped on request. ``tidy_line`` changes each line before it is read."""
        self.parts = TextParts(stream, encoding)
        lines: Iterable[str] = chain.from_iterable(self.parts)
        self.reader = csv.reader(
            map(tidy_line, lines) if tidy_line else lines,
            delimiter=delimiter,
            quotechar=quote,
            skipinitialspace=skips_blanks,
            strict=True,
        )
        # The reader asks for the next part after it has read every line of the parts before it.
        self.parts.count_lines = lambda: self.reader.line_num

    @property
    def read_limit(self) -> int:
        return max(1, self.parts.last_line - self.reader.line_num)

    def recover_line(self, exc: csv.Error, *, line: int) -> str:
        """Return the text of the line that an error of the reader is about, or end the import.

        A misplaced quotation mark within one line costs that line only. Over several lines nobody can know where the
        record ends, and going on could lose recipients silently.

        Raises:
            UnreadableFile: the bad record may go on after its line.
        """
        last = self.reader.line_num
        if "field limit" in str(exc):
            raise UnreadableFile(
                f"The record that begins in line {line} has a cell of more than {FIELD_MAX_LENGTH:,} characters. "
                "Shorten it. If you see no cell that long, a quotation mark opens there and is never closed."
            ) from exc
        if last > line or "unexpected end" in str(exc):
            raise UnreadableFile(
                f"In the record of line {line}, a quotation mark opens and is never closed. "
                "Close it. If it is part of the text, write it twice."
            ) from exc
        return self.parts.line_text(line)


def limit_records(count: int, length: int) -> int:
    """Return the ``read_limit`` of a source that has read this many records with this many characters."""
    return max(1, CHUNK_BYTES * count // max(length, 1))  # if the next records are as long as those read


class CountedRecords:
    """Records that exist already, as those of a group. The line of a record is its place among them, from 1."""

    def __init__(self, rows: Iterable[list[str]]) -> None:
        self._rows = iter(rows)
        self.reader = self
        self.line_num = 0
        self._length = 0

    @property
    def read_limit(self) -> int:
        return limit_records(self.line_num, self._length)

    def __iter__(self) -> Iterator[list[str]]:
        return self

    def __next__(self) -> list[str]:
        cells = next(self._rows)
        self.line_num += 1
        self._length += sum(map(len, cells))
        return cells

    def recover_line(self, exc: csv.Error, *, line: int) -> str:
        raise exc


class ChangedRecords:
    """The records of others, each changed. Their lines stay the same."""

    def __init__(self, records: Records) -> None:
        self._records = records

    @property
    def reader(self) -> Reader:
        return self

    @property
    def line_num(self) -> int:
        return self._records.reader.line_num

    @property
    def read_limit(self) -> int:
        return self._records.read_limit

    def __iter__(self) -> Iterator[list[str]]:
        return self

    def __next__(self) -> list[str]:
        try:
            cells = next(self._records.reader)
        except RejectedRecord as exc:
            exc.cells = self._change(exc.cells)
            raise
        return self._change(cells)

    def _change(self, cells: list[str]) -> list[str]:
        """Return the cells of a record as they should be. A subclass says how."""
        raise NotImplementedError

    def recover_line(self, exc: csv.Error, *, line: int) -> str:
        return self._records.recover_line(exc, line=line)


class UnwrappedRecords(ChangedRecords):
    """The records of a file in which some lines are quoted as a whole: "ann@example.org,Ann"."""

    def __init__(self, records: CsvRecords, *, delimiter: str) -> None:
        super().__init__(records)
        self._delimiter = delimiter

    def _change(self, cells: list[str]) -> list[str]:
        return unwrap_line(cells, delimiter=self._delimiter)


def unwrap_line(cells: list[str], *, delimiter: str) -> list[str]:
    """Return the cells of a line that was quoted as a whole, and the cells of any other line as they are."""
    if not cells or delimiter not in cells[0] or any(cell.strip() for cell in cells[1:]):
        return cells
    lines = io.StringIO(cells[0], newline="")
    return next(csv.reader(lines, delimiter=delimiter), cells)


def read_head(stream: BinaryIO, encoding: str) -> str:
    """Decode the first whole lines of a file, to find its layout, and leave the file at its start.

    Bytes that the encoding does not have are replaced, because the import itself reports them with their line.

    Raises:
        UnreadableFile: the file is binary, has an endless first line, or lacks the byte order mark of its encoding.
    """
    stream.seek(0)
    raw = stream.read(CHUNK_BYTES)
    stream.seek(0)
    try:
        text = codecs.getincrementaldecoder(encoding)(errors="replace").decode(raw)
    except UnicodeError as exc:  # utf-32, for one, requires its byte order mark
        raise _bad_encoding(encoding, line=1) from exc
    _refuse_nul(text, first_line=1)
    if len(raw) < CHUNK_BYTES:
        return text
    if not (end := _find_end_of_lines(text)):
        raise UnreadableFile(f"Line 1 is longer than {CHUNK_BYTES:,} bytes. {_NO_LINES}")
    return text[:end]


def _bad_encoding(encoding: str, *, line: int) -> UnreadableFile:
    name = encoding.removesuffix("-sig")
    return UnreadableFile(
        f"Line {line} is not valid {name}. Choose the encoding that the file was saved in, or save the file again."
    )


def _refuse_nul(text: str, *, first_line: int) -> None:
    if "\0" in text:
        raise UnreadableFile(
            f"Line {first_line + _count_lines(text[: text.index(chr(0))])} contains a NUL character. "
            "The file is damaged or is not text. Export it again as CSV."
        )


def _find_end_of_lines(text: str) -> int:
    """Return where the last whole line ends. A CR at the very end may be half of a CRLF, so its line is not whole."""
    return max(text.rfind("\n"), text.rfind("\r", 0, len(text) - 1)) + 1


def _count_lines(text: str) -> int:
    return text.count("\n") + text.count("\r") - text.count("\r\n")
