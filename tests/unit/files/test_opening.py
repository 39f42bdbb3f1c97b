from __future__ import annotations

import csv
import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batches.files.errors import ListRefused, UnreadableFile
from batches.files.opening import OpenedFile, ReadingOptions, open_records
from batches.files.reading import RejectedRecord
from tests.unit.files.spreadsheet_files import make_excel

NO_OPTIONS = ReadingOptions()


def read(
    file: str | io.BytesIO, options: ReadingOptions = NO_OPTIONS
) -> tuple[OpenedFile, dict[int, list[str]], list[tuple[int, str]]]:
    """Return the opened file, its records that are not blank by their lines, and the rejected ones with the reason."""
    rows: dict[int, list[str]] = {}
    rejected: list[tuple[int, str]] = []
    stream = io.BytesIO(file.encode()) if isinstance(file, str) else file
    with open_records(stream, options) as opened:
        while True:
            line = opened.records.reader.line_num + 1
            try:
                cells = next(opened.records.reader)
            except StopIteration:
                return opened, rows, rejected
            except RejectedRecord as exc:
                rejected.append((line, exc.reason))
                continue
            except csv.Error as exc:
                rejected.append((line, opened.records.recover_line(exc, line=line)))
                continue
            if any(cells):
                rows[line] = cells


def test_line_above_the_header_is_rejected_when_it_has_an_at_sign() -> None:
    text = "Members 2026\n\nQuestions to:,office@example.com\nname,email,city\n---,---,---\nAnn,ann@x.org,Rome\n"
    opened, rows, rejected = read(text)
    assert rows == {6: ["Ann", "ann@x.org", "Rome"]}
    assert [line for line, _ in rejected] == [3]
    assert "above the header" in rejected[0][1]
    assert (opened.reading.header_line, opened.reading.skipped_lines) == (4, 2)


def test_plain_reader_is_given_out_when_the_header_was_read() -> None:
    with open_records(io.BytesIO(b"email,name\na@x.org,Ann\nb@x.org,Bo\n"), NO_OPTIONS) as opened:
        while not isinstance(opened.records.reader, type(csv.reader([]))):
            next(opened.records.reader)
        assert opened.records.reader.line_num <= 2


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ('email, name\na@x.org, "Berg, Ann"\n', [["a@x.org", "Berg, Ann"]]),
        ('"email,name"\n"a@x.org,Ann"\n"b@x.org,""Berg, Bo"""\n', [["a@x.org", "Ann"], ["b@x.org", "Berg, Bo"]]),
        ('"email" ,"name"\n"a@x.org" ,"Berg, Ann" \n', [["a@x.org", "Berg, Ann"]]),
        ("'email','name'\n'a@x.org','Berg, Ann'\n", [["a@x.org", "Berg, Ann"]]),
        ('"sep=;"\nemail;name\na@x.org;Ann\n', [["a@x.org", "Ann"]]),
        ("sep=;\na@x.org;Ann\nb@x.org;Bo\n", [["a@x.org", "Ann"], ["b@x.org", "Bo"]]),
        ("Our club\n\na@x.org,Ann\nb@x.org,Bo\n", [["a@x.org", "Ann"], ["b@x.org", "Bo"]]),
        (",email,,name,,\n,a@x.org,,Ann,,\n,b@x.org\n", [["a@x.org", "Ann"], ["b@x.org", ""]]),
    ],
)
def test_cells_are_read_when_they_are_quoted_or_placed_in_other_ways(text: str, rows: list[list[str]]) -> None:
    assert [*read(text)[1].values()] == rows


def test_row_is_rejected_when_a_column_that_does_not_count_holds_text_later() -> None:
    text = "email,,name,,\n" + "a@x.org,,Ann,,\n" * 60 + "b@x.org,x,Bo,,\nc@x.org,,Cy,,,y\n"
    opened, rows, rejected = read(text)
    assert opened.layout.columns == ("email", "name")
    assert len(rows) == 60
    assert [(line, reason[:17]) for line, reason in rejected] == [(62, "Cell 2 holds text"), (63, "Cell 6 holds text")]


def test_names_come_from_the_recipients_when_a_mail_program_wrote_them() -> None:
    opened, rows, _ = read('"Berg, Ann" <ann@x.org>; Bo Cole <bo@x.org>\n\ncy@x.org\n')
    assert (opened.layout.columns, opened.layout.merge_fields) == (("email", "name"), ("name",))
    assert [*rows.values()] == [["ann@x.org", "Berg, Ann"], ["bo@x.org", "Bo Cole"], ["cy@x.org", ""]]
    assert opened.delimiter == ""


def test_other_delimiter_is_named_when_the_file_has_it() -> None:
    with pytest.raises(UnreadableFile, match=r"seem to be separated by \^\. Save the file as CSV"):
        read("email^name\na@x.org^Ann\n")


@pytest.mark.parametrize("sign", "^~#!=%&*")
def test_other_delimiter_is_named_when_an_address_may_have_it(sign: str) -> None:
    for text in ("Name|E-Mail\nAnn|ann@x.org\n", "Ann|ann@x.org\nBo|bo@x.org\n", "E-Mail|Name\nann@x.org|Ann\n"):
        with pytest.raises(UnreadableFile, match="seem to be separated by"):
            read(text.replace("|", sign))


def test_address_keeps_a_sign_that_other_lines_do_not_have() -> None:
    addresses = ["ann=x@x.org", "bo@x.org", "c%d@x.org", "dept/ann@x.org"]
    assert [*read("\n".join(addresses))[1].values()] == [[address] for address in addresses]


def test_header_is_the_chosen_line_when_a_person_chose_one() -> None:
    text = "email,name\nMail,Wer\na@x.org,Ann\n"
    opened, rows, _ = read(text, ReadingOptions(header_row=2))
    assert (opened.layout.columns, rows) == (("Mail", "Wer"), {3: ["a@x.org", "Ann"]})
    opened, rows, _ = read(text, ReadingOptions(header_row=0))
    assert (opened.layout.has_header, len(rows)) == (False, 3)


def test_file_is_refused_when_a_quotation_mark_in_the_header_is_never_closed() -> None:
    with pytest.raises(UnreadableFile, match=r"In the header, a quotation mark .* Correct line 1"):
        read('email,"name"x\na@x.org,Ann\n')


CELLS = st.sampled_from(
    [
        *(
            "",
            "",
            "Ann",
            "Berg, Ann",
            "17",
            "12.03.1980",
            "name",
            "E-Mail",
            "E-Mail (alt)",
            "Adresse",
            "keine",
            "Seite:",
        ),
        *(
            "ann@x.org",
            "bo@x.org",
            "cy@gmail",
            "dy @x.org",
            "e.x.org",
            "f (at) x.org",
            "Ann <g@x.org>",
            "h@x.org; i@x.org",
        ),
        *("office@example.com", "E-Mail <office@example.com>", "Twitter (@)", "@ann", "-----", '="0123"', " Bo "),
    ]
)
ADDRESSES = ("ann@x.org", "bo@x.org", "cy@gmail", "g@x.org", "h@x.org")


@given(
    table=st.lists(st.lists(CELLS, min_size=1, max_size=4), min_size=1, max_size=12),
    delimiter=st.sampled_from([",", ";", "\t", "|"]),
    has_quotes=st.booleans(),
)
@settings(max_examples=200, deadline=None)
def test_no_line_with_an_address_vanishes_when_a_file_is_any_table(
    table: list[list[str]], delimiter: str, has_quotes: bool
) -> None:
    text = io.StringIO(newline="")
    csv.writer(
        text, delimiter=delimiter, quoting=csv.QUOTE_ALL if has_quotes else csv.QUOTE_MINIMAL, lineterminator="\n"
    ).writerows(table)
    try:
        opened, rows, rejected = read(text.getvalue())
    except ListRefused:
        return  # the whole file is refused, with a sentence
    if opened.delimiter == "":
        return  # a pasted list has a row for each recipient
    lines = {line for line, cells in enumerate(table, 1) if _has_address(cells)}
    assert lines <= {*rows, *(line for line, _ in rejected)}


def _has_address(cells: list[str]) -> bool:
    return any(address in cell for cell in cells for address in ADDRESSES)


def test_cells_of_a_sheet_are_repaired_when_they_were_encoded_twice() -> None:
    twice = "Zoë Müller".encode().decode("cp1252")
    sheet = (["name", "email"], [twice, "ann@x.org"], ["René", "bo@x.org"], [twice, "hidden@x.org"])
    opened, rows, _ = read(make_excel(*sheet, hidden=[4]))
    assert [cells[0] for cells in rows.values()] == ["Zoë Müller", "René"]
    assert opened.encoding == "utf-8-twice"
    [choice] = opened.reading.encodings
    assert (choice.encoding, choice.samples[0]) == ("utf-8", ["Zoë", twice.split()[0]])
    opened, rows, _ = read(make_excel(*sheet, hidden=[4]), ReadingOptions(encoding="utf-8"))
    assert [cells[0] for cells in rows.values()] == [twice, "René"]
    assert (opened.encoding, opened.reading.encodings[0].encoding) == ("", "utf-8-twice")


def test_cells_of_a_sheet_stay_as_they_are_when_nothing_is_damaged() -> None:
    opened, rows, _ = read(make_excel(["name", "email"], ["São Ã", "ann@x.org"]))
    assert rows == {2: ["São Ã", "ann@x.org"]}
    assert (opened.encoding, opened.reading.encodings, opened.reading.is_encoded_twice) == ("", [], False)
