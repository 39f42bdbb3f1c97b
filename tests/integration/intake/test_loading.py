from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from hypothesis import example, given, settings
from hypothesis import strategies as st

from batches import intake
from batches.files.cells import tidy_cell
from batches.models import Batch, Email, RejectedRow, SharedAddresses, UploadChunk
from tests.integration.conftest import Upload, emails_of, rejected_of

pytestmark = pytest.mark.django_db

TRAPS = Path(__file__).parents[2] / "data" / "csv"
EXPECTED: dict[str, dict[str, Any]] = json.loads((TRAPS / "expected.json").read_text("utf-8"))
GOOD = sorted(name for name, trap in EXPECTED.items() if "error" not in trap)
BAD = sorted(name for name, trap in EXPECTED.items() if "error" in trap)


@pytest.mark.parametrize("name", GOOD)
def test_rows_are_the_expected_when_a_trap_is_uploaded(upload: Upload, name: str) -> None:
    expected = EXPECTED[name]
    batch = upload((TRAPS / name).read_bytes())
    assert batch.columns == expected["columns"]
    assert batch.merge_fields == expected["merge_fields"]
    assert emails_of(batch) == expected["emails"]
    assert rejected_of(batch) == expected["rejected"]
    assert batch.encoding == expected.get("encoding", batch.encoding)
    assert batch.delimiter == expected.get("delimiter", batch.delimiter)
    invalid = sum(kind == "invalid" for _, kind in expected["rejected"])
    duplicate = len(expected["rejected"]) - invalid
    assert (batch.total_count, batch.rejected_count, batch.duplicate_count) == (
        len(expected["emails"]),
        invalid,
        duplicate,
    )


@pytest.mark.parametrize("name", BAD)
def test_nothing_is_kept_when_a_trap_breaks_the_import(upload: Upload, name: str) -> None:
    kind, message = EXPECTED[name]["error"]
    with pytest.raises(getattr(intake, kind), match=message):
        upload((TRAPS / name).read_bytes())
    for model in (Batch, Email, RejectedRow, UploadChunk):
        assert not model.objects.exists()


def test_every_trap_has_an_expectation_and_there_are_forty_of_them() -> None:
    assert len(EXPECTED) >= 40
    assert {path.name for path in TRAPS.iterdir()} == {*EXPECTED, "expected.json"}


CELLS = st.text(alphabet=st.characters(exclude_categories=["Cs", "Cc"], include_characters="\n\t"), max_size=30)


@given(
    rows=st.lists(st.lists(CELLS, min_size=3, max_size=3), min_size=1, max_size=20),
    delimiter=st.sampled_from([",", ";", "\t", "|"]),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC]),
)
@example(rows=[["", "", "=Ã¢"]], delimiter=",", quoting=csv.QUOTE_MINIMAL)  # repaired, unless a person chose UTF-8
@settings(max_examples=60, deadline=None)
def test_cells_come_back_from_the_database_when_any_table_was_written(
    rows: list[list[str]], delimiter: str, quoting: int
) -> None:
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=delimiter, quoting=quoting)  # type: ignore[arg-type]
    writer.writerow(["a", "email", "b", "c"])
    writer.writerows([one, f"user{number}@example.com", two, three] for number, (one, two, three) in enumerate(rows))
    data = io.BytesIO(text.getvalue().encode())
    batch = intake.import_csv(
        data, filename="x.csv", user=None, options=intake.ReadingOptions(delimiter=delimiter, encoding="utf-8")
    ).batch
    assert [fields for _, _, fields in emails_of(batch)] == [list(map(tidy_cell, row)) for row in rows]


def test_ten_thousand_rows_are_sorted_right_when_all_kinds_are_mixed(upload: Upload) -> None:
    lines = ["email,name"]
    for number in range(10_000):
        kind = number % 10
        address = {3: "nope", 7: f"USER{number - 7}@example.com"}.get(kind, f"user{number}@example.com")
        lines.append(f"{address},Name {number}")
    batch = upload("\n".join(lines))
    assert (batch.total_count, batch.rejected_count, batch.duplicate_count) == (8000, 1000, 1000)
    assert batch.emails.count() == 8000
    first = batch.rejected_rows.order_by("line").first()
    assert first is not None
    assert (first.line, first.raw) == (5, ["nope", "Name 3"])
    twin = batch.rejected_rows.filter(kind="duplicate").order_by("line").first()
    assert twin is not None
    assert (twin.line, twin.reason) == (9, "The same address is already in line 2.")
    assert list(batch.emails.filter(row=4).values_list("fields", flat=True)) == [["Name 2"]]


def test_all_rows_but_one_are_duplicates_when_one_address_fills_the_file(upload: Upload) -> None:
    batch = upload("email\n" + "ann@example.com\n" * 20_000)
    assert (batch.total_count, batch.duplicate_count) == (1, 19_999)
    assert emails_of(batch) == [[2, "ann@example.com", []]]


SETTING_AT_INSERT = """
    CREATE TEMPORARY TABLE setting_at_insert (is_copy boolean, nestloop text) ON COMMIT DROP;
    CREATE FUNCTION pg_temp.note_setting() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        INSERT INTO setting_at_insert VALUES (current_query() LIKE 'COPY%', current_setting('enable_nestloop'));
        RETURN NULL;
    END $$;
    CREATE TRIGGER note_setting AFTER INSERT ON batches_email
        FOR EACH STATEMENT EXECUTE FUNCTION pg_temp.note_setting();
"""


@pytest.mark.parametrize(
    ("shared", "counts"),
    [(SharedAddresses.FIRST, (500, 160)), (SharedAddresses.EACH, (660, 0)), (SharedAddresses.TOGETHER, (500, 0))],
)
def test_nested_loops_are_forbidden_just_while_duplicates_are_resolved(
    sender: User, shared: SharedAddresses, counts: tuple[int, int]
) -> None:
    numbers = [*range(500), *range(160)]
    stream = io.BytesIO(("email\n" + "".join(f"user{number}@example.com\n" for number in numbers)).encode())
    with connection.cursor() as cursor:
        cursor.execute(SETTING_AT_INSERT)
        batch = intake.import_csv(stream, filename="list.csv", user=sender, shared=shared).batch
        cursor.execute("SELECT * FROM setting_at_insert UNION ALL SELECT NULL, current_setting('enable_nestloop')")
        assert cursor.fetchall() == [(True, "on"), (False, "off"), (None, "on")]
    assert (batch.total_count, batch.duplicate_count) == counts


def test_duplicates_are_found_in_time_when_statistics_are_old(upload: Upload) -> None:
    for _ in range(7):
        upload("email\n" + "".join(f"old{number}@example.com\n" for number in range(100)))
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE batches_email")  # from now on the statistics say that it is small
        cursor.execute("SET LOCAL statement_timeout = '15s'")  # comparing each row with each takes a minute
    numbers = [*range(50_000), *range(16_000)]
    batch = upload("email\n" + "".join(f"user{number}@example.com\n" for number in numbers))
    assert (batch.total_count, batch.duplicate_count) == (50_000, 16_000)


def test_every_row_is_kept_when_all_rows_but_one_are_bad(upload: Upload) -> None:
    batch = upload("email\nann@example.com\n" + "nope\n" * 20_000)
    assert (batch.total_count, batch.rejected_count) == (1, 20_000)
    assert batch.rejected_rows.count() == 20_000


def test_options_take_precedence_over_what_is_found_when_they_are_given(upload: Upload) -> None:
    data = "email;name\nann@example.com;Zoë\n".encode()
    batch = upload(data, encoding="cp1252", delimiter=";")
    assert (batch.encoding, batch.delimiter) == ("cp1252", ";")
    assert emails_of(batch) == [[2, "ann@example.com", ["ZoÃ«"]]]


@pytest.mark.parametrize(("choice", "message"), [({"encoding": "klingon"}, "encoding"), ({"delimiter": "x"}, "comma")])
def test_import_is_refused_when_an_option_is_unknown(upload: Upload, choice: dict[str, str], message: str) -> None:
    with pytest.raises(intake.UnreadableFile, match=message):
        upload("email\nann@example.com\n", **choice)
    assert not Batch.objects.exists()
