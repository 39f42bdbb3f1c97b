"""A realistic file of 10,000 lines, and the result that each line must have.

Names are in six scripts, with emoji, apostrophes and markup. 25 lines must be rejected, each for a different reason.
"""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass

LINE_COUNT = 10_000
NAMES = (
    "Zoë Müller",  # Latin
    "Ελένη Παπαδοπούλου",  # Greek
    "Наталья Кузнецова",  # Cyrillic
    "ليلى العمري",  # Arabic, from right to left
    "प्रिया शर्मा",  # Devanagari
    "李小龍",  # Han
    "Siobhán O'Brien",
    "Renée d\u2019Orléans",  # the typographic apostrophe
    "Ada 🎉 Lovelace",
    "The family 👨‍👩‍👧‍👦",
    '<b>Bo</b> & Söhne "GmbH"; {{ name }}',
    "Maximiliana-Wilhelmina von und zu Oberstdorf-Unterkirchen an der Schlei, geborene Freifrau von Münchhausen",
)

BAD_CELLS = (
    ("", "The address is empty"),
    ("nobody", "@-sign"),
    ("two@@example.org", "more than one @-sign"),
    ("a blank@example.org", "text beside the address blank@example.org"),
    ("dot.@example.org", "Before the @-sign, a full stop"),
    ("dots..inside@example.org", "Before the @-sign, a full stop"),
    (".first@example.org", "Before the @-sign, a full stop"),
    ("@example.org", "before the @-sign"),
    ("nowhere@", "after the @-sign"),
    ("bare@example", "no ending such as .com"),
    ("under@sco_re.org", "an underscore"),
    ("hyphen@-example.org", "After the @-sign, a hyphen"),
    ("ends@example.org...", "ends with dots"),
    ("literal@[127.0.0.1]", "After the @-sign there is a bracket"),
    (f"d@{'d' * 64}.org", "After the @-sign"),
    (f"{'x' * 600}@example.org", "too long"),
    ("one@example.org, two@example.org", "The cell holds"),
    ("one@example.org;two@example.org", "The cell holds"),
    ("control\x0b@example.org", "control character"),
    ("somebody@site.invalid", "reserved"),
)
"""Cells that are not addresses, and a part of the reason that the user reads."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RecipientFile:
    """The file, the name of each good address, and a part of the reason for each bad line."""

    content: bytes
    names: dict[str, str]
    reasons: dict[int, str]


def make_recipient_file() -> RecipientFile:
    """Make a header and 10,000 lines: 9,975 recipients and 25 rejected rows, of which three are duplicates."""
    names = {_address(number): f"{NAMES[number % len(NAMES)]} {number}" for number in range(LINE_COUNT - 25)}
    good = iter([_line(name, address) for address, name in names.items()])
    bad = dict(zip(_bad_line_numbers(), _bad_lines(), strict=True))
    # Line 1 is the header. A spreadsheet counts it as row 1 too.
    lines = [bad[number][0] if number in bad else next(good) for number in range(2, LINE_COUNT + 2)]
    return RecipientFile(
        content="".join([_line("Name", "E-Mail"), *lines]).encode(),
        names=names,
        reasons={number: reason for number, (_, reason) in bad.items()},
    )


def _address(number: int) -> str:
    """Return an address. Most are plain, and some contain characters that a wrong validator refuses."""
    if number % 100 == 7:
        return f"o'brien+{number}@example.org"
    if number % 100 == 8:
        return f"r{number}@xn--bcher-kva.example.com"
    return f"person.{number}@example.org"


def _bad_line_numbers() -> list[int]:
    return [2, *(number * 400 for number in range(1, 24)), LINE_COUNT + 1]


def _bad_lines() -> list[tuple[str, str]]:
    """Return 25 lines that are rejected. The duplicates are last, because they repeat lines from the beginning."""
    lines = [(_line("Nemo", cell), reason) for cell, reason in BAD_CELLS]
    lines += [
        ('"Ned "Stray" Miller",ned@example.org\n', "There is a quotation mark in the wrong place"),
        ("Too,many,cells@example.org\n", "cells"),
        (_line("Again", _address(0)), "is already in line 3"),
        (_line("In capitals", _address(1).upper()), "is already in line 4"),
        (_line("With a name", f"Person <{_address(2)}>"), "is already in line 5"),
    ]
    return lines


def _line(*cells: str) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(cells)
    return text.getvalue()
