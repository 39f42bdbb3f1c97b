from __future__ import annotations

import io
import json
import re

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batches.files.layout import make_layout
from batches.files.reading import CountedRecords, CsvRecords
from batches.intake import rows
from batches.intake.rows import BlockReader, SeenAddresses, split_json

CELLS = st.one_of(
    st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=6),
    st.sampled_from(["],[", '"],["', '["', "[]", "\\N", "\\.", "a\tb", "é", "\x85", ""]),
)


@given(st.integers(0, 3).flatmap(lambda width: st.lists(st.lists(CELLS, min_size=width, max_size=width), min_size=1)))
def test_each_row_has_its_own_json_when_all_rows_were_packed_together(table: list[list[str]]) -> None:
    texts = split_json(orjson.dumps(table), table)
    assert [json.loads(text) for text in texts] == table


ADDRESSES = st.sampled_from(["ann@example.com", "ANN@example.com", "Ann <ann@Example.com>", "bob@example.com", "nope"])
NAMES = st.sampled_from(["Ann", 'Ann "A"', "a\\b", "°", "],[", "two\r\nlines", "x\x07"])


@given(
    table=st.lists(st.tuples(ADDRESSES, NAMES), max_size=40),
    plain_rows_max=st.integers(1, 7),
    block_length=st.sampled_from([1, 40, rows.BLOCK_LENGTH]),
)
def test_first_row_with_an_address_wins_when_plain_and_other_rows_are_mixed(
    table: list[tuple[str, str]], plain_rows_max: int, block_length: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rows, "PLAIN_ROWS_MAX", plain_rows_max)
        patch.setattr(rows, "BLOCK_LENGTH", block_length)
        emails, possible_duplicates, rejected = sort([list(row) for row in table])
    seen: set[str] = set()
    first, later, bad = [], [], []
    for line, (address, name) in enumerate(table, start=1):
        key = "ann@example.com" if "ann" in address.lower() else address
        if address == "nope" or name == "x\x07":
            bad.append(line)
        elif key in seen:
            later.append(line)
        else:
            seen.add(key)
            first.append(line)
    assert (sorted(emails), sorted(possible_duplicates), sorted(rejected)) == (first, later, bad)


def sort(table: list[list[str]]) -> tuple[list[int], list[int], list[int]]:
    """Return the lines of the emails, of the possible duplicates and of the rejected rows."""
    layout = make_layout(["email", "name"], address_index=0, has_header=True)
    blocks = list(BlockReader(CountedRecords(table), layout=layout, batch_id=7, seen=SeenAddresses()))
    return (
        _lines([block.emails for block in blocks], column=1),
        _lines([block.possible_duplicates for block in blocks], column=0),
        _lines([block.rejected for block in blocks], column=1),
    )


def without_digests(text: bytes) -> bytes:
    """Remove the digest of each address, whose form the integration tests check."""
    return re.sub(rb"\t\\\\x[0-9a-f]{32}(?=\t)", b"", text)


def _lines(texts: list[bytes], *, column: int) -> list[int]:
    return [int(row.split(b"\t")[column]) for row in b"".join(texts).splitlines()]


def test_rows_before_a_misplaced_quotation_mark_are_kept_when_they_are_read_together() -> None:
    records = CsvRecords(io.BytesIO(b'a@x.org,1\nb@x.org,"x "y" z"\nc@x.org,3\n'), encoding="utf-8", delimiter=",")
    layout = make_layout(["email", "name"], address_index=0, has_header=False)
    blocks = list(BlockReader(records, layout=layout, batch_id=7, seen=SeenAddresses()))
    assert (
        without_digests(b"".join(block.emails for block in blocks)) == b'7\t1\ta@x.org\t["1"]\n7\t3\tc@x.org\t["3"]\n'
    )
    assert sum(block.rejected_count for block in blocks) == 1


def test_line_breaks_become_line_feeds_and_lines_are_counted_when_cells_hold_them() -> None:
    data = b'a@x.org,"one\r\ntwo"\nb@x.org,"\r"\nnope,3\nc@x.org,4\n'
    records = CsvRecords(io.BytesIO(data), encoding="utf-8", delimiter=",")
    layout = make_layout(["email", "note"], address_index=0, has_header=False)
    blocks = list(BlockReader(records, layout=layout, batch_id=7, seen=SeenAddresses()))
    emails = without_digests(b"".join(block.emails for block in blocks))
    assert emails == b'7\t1\ta@x.org\t["one\\\\ntwo"]\n7\t3\tb@x.org\t[""]\n7\t6\tc@x.org\t["4"]\n'
    assert [block.rejected.split(b"\t")[1] for block in blocks if block.rejected] == [b"5"]


@pytest.mark.parametrize("row_count", [0, 1, rows.PLAIN_ROWS_MAX - 1, rows.PLAIN_ROWS_MAX, rows.PLAIN_ROWS_MAX + 1])
def test_every_row_is_read_when_their_number_is_near_the_limit(row_count: int) -> None:
    emails, _, _ = sort([[f"user{number}@example.com", ""] for number in range(row_count)])
    assert len(emails) == row_count


@pytest.mark.parametrize(
    ("cell", "stored"),
    [
        *[
            (" Ann", "Ann"),
            ("Ann ", "Ann"),
            ("\tAnn\n", "Ann"),
            ("\u00a0", ""),
            ("Ann\u00a0", "Ann"),
            ("\u3000Ann", "Ann"),
        ],
        *[
            ("Ann\u200b", "Ann"),
            ("\u202fAnn", "Ann"),
            ("\ufeffAnn", "Ann"),
            ("Ann Berg", "Ann Berg"),
            ('="0123"', "0123"),
        ],
        *[('="a ""b"""', 'a "b"'), ("=1+1", "=1+1"), ("a\u00a0b", "a\u00a0b"), ("a\n b", "a\n b")],
    ],
)
def test_blanks_around_a_cell_are_left_out_when_the_row_is_plain_or_not(cell: str, stored: str) -> None:
    for address in ("ann@example.com", "Ann <ann@example.com>"):
        layout = make_layout(["email", "name"], address_index=0, has_header=True)
        records = CountedRecords([["bo@example.com", "Bo"], [address, cell]])
        [block] = BlockReader(records, layout=layout, batch_id=7, seen=SeenAddresses())
        fields = block.emails.decode().splitlines()[1].split("\t")[4]
        assert json.loads(fields.replace("\\\\", "\\")) == [stored]
