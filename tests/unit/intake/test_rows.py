from __future__ import annotations

import io
import json

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batches.files.dialect import make_layout
from batches.files.reading import CountedRecords, CsvRecords
from batches.intake import rows
from batches.intake.rows import BlockReader, SeenAddresses, split_json

CELLS = st.one_of(
    st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=6),
    st.sampled_from(["],[", '"],["', '["', "[]", "\\N", "\\.", "a\tb", "é", "\x85", ""]),
)


@given(st.integers(0, 3).flatmap(lambda width: st.lists(st.lists(CELLS, min_size=width, max_size=width), min_size=1)))
def test_each_row_has_its_own_json_when_all_were_packed_at_once(table: list[list[str]]) -> None:
    texts = split_json(orjson.dumps(table), table)
    assert [json.loads(text) for text in texts] == table


ADDRESSES = st.sampled_from(["ann@example.com", "ANN@example.com", "Ann <ann@Example.com>", "bob@example.com", "nope"])
NAMES = st.sampled_from(["Ann", 'Ann "A"', "a\\b", "°", "],[", "x\x07"])


@given(table=st.lists(st.tuples(ADDRESSES, NAMES), max_size=40), run_rows=st.integers(1, 7))
def test_first_of_one_address_wins_when_plain_and_odd_rows_are_mixed(
    table: list[tuple[str, str]], run_rows: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rows, "PLAIN_ROWS_MAX", run_rows)
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
    """The lines of the emails, of the possible_duplicates and of the rejected rows."""
    layout = make_layout(["email", "name"], address_index=0, has_header=True)
    blocks = list(BlockReader(CountedRecords(table), layout=layout, batch_id=7, seen=SeenAddresses()))
    columns = [
        b"".join(getattr(block, name) for block in blocks) for name in ("emails", "possible_duplicates", "rejected")
    ]
    return tuple(  # type: ignore[return-value]
        [int(line.split(b"\t")[place]) for line in column.splitlines()]
        for column, place in zip(columns, (1, 0, 1), strict=True)
    )


def test_rows_before_a_bad_quote_are_kept_when_they_are_of_the_same_run() -> None:
    records = CsvRecords(io.BytesIO(b'a@x.org,1\nb@x.org,"x "y" z"\nc@x.org,3\n'), encoding="utf-8", delimiter=",")
    layout = make_layout(["email", "name"], address_index=0, has_header=False)
    blocks = list(BlockReader(records, layout=layout, batch_id=7, seen=SeenAddresses()))
    assert b"".join(block.emails for block in blocks) == b'7\t1\ta@x.org\t["1"]\n7\t3\tc@x.org\t["3"]\n'
    assert sum(block.rejected_count for block in blocks) == 1
