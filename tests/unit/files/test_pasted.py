from __future__ import annotations

import io
import time

import pytest

from batches.files.pasted import PastedRecords, is_pasted, parse_recipients


@pytest.mark.parametrize(
    ("line", "recipients"),
    [
        ('"Berg, Ann" <ann@x.org>', [("Berg, Ann", "ann@x.org")]),
        ("Berg, Ann <ann@x.org>; Cole, Bo <bo@x.org>;", [("Berg, Ann", "ann@x.org"), ("Cole, Bo", "bo@x.org")]),
        ("Ann <ann@x.org>, bo@x.org, <cy@x.org>", [("Ann", "ann@x.org"), ("", "bo@x.org"), ("", "cy@x.org")]),
        ("'Ann Berg' <ann@x.org>", [("Ann Berg", "ann@x.org")]),
        ("Ann O'Neil <ann@x.org>", [("Ann O'Neil", "ann@x.org")]),
        ("ann@x.org <ann@x.org>", [("", "ann@x.org")]),
        ('"Ann \\"A\\" Berg" <ann@x.org>', [('Ann "A" Berg', "ann@x.org")]),
        ("To: Ann <ann@x.org>, Bo <bo@x.org>", [("Ann", "ann@x.org"), ("Bo", "bo@x.org")]),
        ("Ann <mailto:ann@x.org>", [("Ann", "ann@x.org")]),
    ],
)
def test_recipients_are_parsed_when_mail_programs_wrote_them(line: str, recipients: list[tuple[str, str]]) -> None:
    parsed = parse_recipients(line) or []
    assert [(recipient.name, recipient.address) for recipient in parsed] == recipients


@pytest.mark.parametrize(
    "line",
    ["", "Ann", "ann@x.org,Ann", "17,Ann <ann@x.org>", "Ann;Rome;<ann@x.org>", "Ann <ann@x.org>,Rome", "Ann <x>"],
)
def test_line_holds_no_recipients_when_it_is_a_row_of_a_table(line: str) -> None:
    assert parse_recipients(line) is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Ann <ann@x.org>\nBo <bo@x.org>\n", True),
        ("E-Mail\nAnn <ann@x.org>\nBo <bo@x.org>\n", True),
        ("a@x.org, b@x.org; c@x.org\n", True),
        ("a@x.org, b@x.org\nc@x.org, d@x.org, e@x.org\n", True),
        ("a@x.org\nb@x.org\n", False),
        ("a@x.org;b@x.org\nc@x.org;d@x.org\n", False),
        ("a@x.org;b@x.org\nc@x.org\nd@x.org\n", False),
        ("name,email\nAnn <ann@x.org>\n", False),
        ("ann@x.org,Ann\nbo@x.org,Bo\n", False),
        ("", False),
    ],
)
def test_text_is_a_pasted_list_when_most_lines_hold_recipients_only(text: str, expected: bool) -> None:
    assert is_pasted(text) == expected


def test_lines_are_counted_on_when_a_line_holds_several_recipients() -> None:
    text = "E-Mail\nAnn <a@x.org>\n\nBo <b@x.org>, Cy <c@x.org>\nno address\nDi <d@x.org>\n"
    records = PastedRecords(io.BytesIO(text.encode()), encoding="utf-8")
    lines = [(records.line_num, cells) for cells in records if cells]
    assert lines == [
        (2, ["a@x.org", "Ann"]),
        (4, ["b@x.org", "Bo"]),
        (5, ["c@x.org", "Cy"]),
        (6, ["no address", ""]),
        (7, ["d@x.org", "Di"]),
    ]


def test_recipient_is_read_whole_when_its_line_was_folded() -> None:
    text = "To: Ann <a@x.org>, Bo\n <b@x.org>,\n\tCy <c@x.org>, d@x.org\n  Eve <e@x.org>\n"
    assert is_pasted(text)
    records = [cells for cells in PastedRecords(io.BytesIO(text.encode()), encoding="utf-8") if cells]
    assert records == [["a@x.org", "Ann"], ["b@x.org", "Bo"], ["c@x.org", "Cy"], ["d@x.org", ""], ["e@x.org", "Eve"]]


@pytest.mark.parametrize("line", [" " * 500_000 + "x", "@" * 500_000, "a@" * 250_000, '"' * 500_000, "a <" * 170_000])
def test_line_costs_no_more_than_its_length_when_it_is_hostile(line: str) -> None:
    begin = time.process_time()
    parse_recipients(line)
    assert time.process_time() - begin < 1
