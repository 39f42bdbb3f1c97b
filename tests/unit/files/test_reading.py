from __future__ import annotations

import codecs
import csv
import io
import json
from pathlib import Path
from typing import BinaryIO, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batches.files import reading
from batches.files.dialect import DELIMITERS
from batches.files.errors import UnreadableFile
from batches.files.reading import CsvRecords, read_head
from batches.files.survey import CHUNK_BYTES

SPECTRUM = Path(__file__).parents[2] / "data" / "csv-spectrum"

# A cell can hold anything except a NUL (refused) and surrogates (no encoding has them).
CELLS = st.text(alphabet=st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
TABLES = st.integers(1, 5).flatmap(lambda width: st.lists(st.lists(CELLS, min_size=width, max_size=width), max_size=20))


def read(data: bytes, *, encoding: str = "utf-8", delimiter: str = ",") -> list[list[str]]:
    return list(CsvRecords(io.BytesIO(data), encoding=encoding, delimiter=delimiter).reader)


@pytest.mark.parametrize("path", sorted(SPECTRUM.glob("*.csv")), ids=lambda path: path.stem)
def test_rows_are_the_expected_when_a_csv_spectrum_file_is_read(path: Path) -> None:
    header, *rows = read(path.read_bytes())
    expected = json.loads(path.with_suffix(".json").read_text("utf-8"))
    if path.stem == "location_coordinates":  # its JSON is not a list, and has another telephone number
        expected = [expected | {"Contact Phone Number": "2095257564"}]
    assert [dict(zip(header, row, strict=True)) for row in rows if row] == expected


@given(
    table=TABLES,
    delimiter=st.sampled_from(DELIMITERS),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
    line_end=st.sampled_from(["\n", "\r\n", "\r"]),
    chunk_bytes=st.integers(2, 50),
)
@settings(max_examples=300)
def test_table_comes_back_when_it_was_written_in_any_dialect(
    table: list[list[str]], delimiter: str, encoding: str, line_end: str, chunk_bytes: int
) -> None:
    text = io.StringIO(newline="")
    csv.writer(text, delimiter=delimiter, lineterminator=line_end, quoting=csv.QUOTE_ALL).writerows(table)
    with pytest.MonkeyPatch.context() as patch:
        # Small chunks, so that cuts fall everywhere: inside a CRLF, inside a letter.
        patch.setattr(reading, "CHUNK_BYTES", chunk_bytes)
        assert read(text.getvalue().encode(encoding), encoding=encoding, delimiter=delimiter) == table


@given(rows=st.lists(st.tuples(st.integers(0, 3), st.sampled_from(["\n", "\r\n", "\r"])), min_size=1, max_size=30))
def test_line_numbers_are_those_of_an_editor_when_cells_hold_line_breaks(rows: list[tuple[int, str]]) -> None:
    text = "".join(f'a,"{end.join("x" * (breaks + 1))}"\n' for breaks, end in rows)
    reader = CsvRecords(io.BytesIO(text.encode()), encoding="utf-8", delimiter=",").reader
    lines = 0
    for (breaks, _), _record in zip(rows, reader, strict=True):
        lines += breaks + 1
        assert reader.line_num == lines


def test_one_part_is_held_when_the_file_is_long() -> None:
    class Endless(io.RawIOBase):
        """A file of 200 MB that is never in memory."""

        left = 200_000_000

        def readable(self) -> bool:
            return True

        def read(self, size: int = -1) -> bytes:
            size = min(size, self.left)
            self.left -= size
            return (b"ann@example.com,Ann\n" * (size // 20 + 1))[:size]

    parts = reading.TextParts(cast(BinaryIO, Endless()), "utf-8")
    assert max(len(parts.text) for _ in parts) <= CHUNK_BYTES + 20


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b'a,b\n1,2\n3,"4\n5,6\n', "In the record of line 3, a quotation mark opens and is never closed"),
        (b'a,b\n1,"2\n3,"4"\n', "In the record of line 2, a quotation mark opens and is never closed"),
        (b"a,b\n1,2\n3,\x004\n", "Line 3 contains a NUL"),
        (b"a,b\n1,\xff\n", "Line 2 is not valid utf-8"),
        (b"a,b\n" + b"x" * 10_000_000 + b"\n", "Line 2 is longer than"),
        (b'a,b\n"' + b"x\n" * 5_000_000 + b'"\n', "begins in line 2 has a cell of more than 131,072"),
        (b'a,b\n"' + b"x" * 200_000 + b'"\n', "begins in line 2 has a cell of more than 131,072"),
    ],
    ids=["quote", "quote-midway", "nul", "encoding", "long-line", "unclosed-10-MB", "long-field"],
)
def test_error_names_the_line_when_the_file_is_broken(data: bytes, message: str) -> None:
    records = CsvRecords(io.BytesIO(data), encoding="utf-8", delimiter=",")
    line = 1
    with pytest.raises(UnreadableFile, match=message):
        try:
            for _ in records.reader:
                line = records.reader.line_num + 1
        except csv.Error as exc:
            records.recover_line(exc, line=line)


@pytest.mark.parametrize("mark", [codecs.BOM_UTF16_BE, codecs.BOM_UTF16_LE])
@pytest.mark.parametrize("before", [0, 30_000])
def test_error_names_the_line_when_utf16_breaks_after_its_mark(mark: bytes, before: int) -> None:
    codec = "utf-16-be" if mark == codecs.BOM_UTF16_BE else "utf-16-le"
    half_letter = "\ud800".encode(codec, "surrogatepass")
    data = mark + ("ann@example.com\n" * before + "bob,").encode(codec) + half_letter + "x\n".encode(codec)
    with pytest.raises(UnreadableFile, match=f"Line {before + 1} is not valid utf-16"):
        read(data, encoding="utf-16")


def test_error_names_the_line_when_a_byte_of_two_is_cut_off() -> None:
    data = ("ann@example.com,山田\n" * 20_000).encode("cp932") + b"bob@example.com,\x81"
    with pytest.raises(UnreadableFile, match="Line 20001 is not valid cp932"):
        read(data, encoding="cp932")


@pytest.mark.parametrize(
    "data", [b"x" * 300_000, b"ann@example.com," * 20_000, b"email," + b"x" * 300_000 + b"\nann@x.org,1"]
)
def test_head_is_refused_when_the_first_line_never_ends(data: bytes) -> None:
    with pytest.raises(UnreadableFile, match="Line 1 is longer than 262,144 bytes"):
        read_head(io.BytesIO(data), "utf-8")


def test_head_is_refused_when_the_byte_order_mark_is_missing() -> None:
    with pytest.raises(UnreadableFile, match="Line 1 is not valid utf-32"):
        read_head(io.BytesIO(b"email\nann@example.com\n"), "utf-32")


def test_raw_text_is_returned_when_a_quotation_mark_is_misplaced_on_one_line() -> None:
    records = CsvRecords(io.BytesIO(b'a,b\n1,"x "y" z"\n3,4\n'), encoding="utf-8", delimiter=",")
    assert next(records.reader) == ["a", "b"]
    with pytest.raises(csv.Error) as caught:
        next(records.reader)
    assert records.recover_line(caught.value, line=2) == '1,"x "y" z"'
    assert list(records.reader) == [["3", "4"]]
