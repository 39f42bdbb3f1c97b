"""How a user says that the file is to be read: the form "Read the file again", and buttons that change one thing.

Both post the same fields. A draft and a posted form enter. The changed choices leave.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from django.http import QueryDict

from batches import intake
from batches.files.findings import Reading, SheetChoice
from batches.models import Batch, SharedAddresses
from batches.web.message import is_row_number
from batches.wording import DELIMITER_NAMES, ENCODING_NAMES, choosable_encoding

YES, NO = "yes", "no"
NO_HEADER = "0"


@dataclass(frozen=True, kw_only=True, slots=True)
class ReadingChoice:
    """How the file is read, as the form shows it. An empty text is found from the file."""

    sheet: str
    encoding: str
    delimiter: str
    header_row: str
    """The line of the headings, or NO_HEADER."""
    address_indexes: tuple[str, ...]
    hidden_rows: str
    """YES or NO, as is ``split_cells``."""
    split_cells: str
    shared_addresses: str

    @property
    def takes_hidden_rows(self) -> bool:
        return self.hidden_rows == YES

    @property
    def splits_cells(self) -> bool:
        return self.split_cells == YES


@dataclass(frozen=True, kw_only=True, slots=True)
class AddressChoice:
    """A column that may hold the addresses."""

    index: int
    heading: str
    is_chosen: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class ReadingForm:
    """The form that reads the file again. ``encodings``, ``delimiters`` and ``shared`` are pairs of value and name."""

    chosen: ReadingChoice
    address_columns: list[AddressChoice]
    sheets: Sequence[SheetChoice]
    encodings: list[tuple[str, str]]
    """Empty for a spreadsheet, as is ``delimiters``."""
    delimiters: list[tuple[str, str]]
    shared: list[tuple[str, str]]
    is_refused: bool


def present_choice(batch: Batch) -> ReadingChoice:
    """Return how the file of a draft was read."""
    reading = Reading.from_json(batch.reading)
    found_line = str(reading.header_line or "")
    return ReadingChoice(
        sheet=reading.sheet,
        encoding=choosable_encoding(batch.encoding),
        delimiter=batch.delimiter,
        header_row=found_line if batch.has_header else NO_HEADER,
        address_indexes=tuple(map(str, batch.address_indexes)),
        hidden_rows=YES if reading.hidden_rows else NO,
        split_cells=YES if reading.split_cells else NO,
        shared_addresses=batch.shared_addresses,
    )


def make_reading_form(batch: Batch, refused: ReadingChoice | None) -> ReadingForm | None:
    """Return the form, with the choice that was refused, or with the present one. None if no file is stored."""
    if not batch.upload_chunks.exists():
        return None
    chosen = refused or present_choice(batch)
    present_encoding = choosable_encoding(batch.encoding)
    encodings = {present_encoding: present_encoding} | ENCODING_NAMES
    reading = Reading.from_json(batch.reading)
    is_text = bool(batch.encoding) and not reading.sheet
    return ReadingForm(
        chosen=chosen,
        address_columns=[
            AddressChoice(index=index, heading=heading, is_chosen=str(index) in chosen.address_indexes)
            for index, heading in enumerate(batch.columns)
        ],
        sheets=reading.sheets,
        encodings=list(encodings.items()) if is_text else [],
        delimiters=list(DELIMITER_NAMES.items()) if is_text else [],
        shared=[(value, str(label)) for value, label in SharedAddresses.choices],
        is_refused=refused is not None,
    )


def read_posted(post: QueryDict, present: ReadingChoice) -> ReadingChoice:
    """Return the present choice with the fields that were posted. A button posts one field, the form posts all."""
    posted: dict[str, Any] = {name: post[name] for name in ReadingChoice.__dataclass_fields__ if name in post}
    if "address_indexes" in posted:  # one field for each ticked box, or the numbers of a button with commas
        numbers = ",".join(post.getlist("address_indexes")).split(",")
        posted["address_indexes"] = tuple(number for number in numbers if number)
    return replace(present, **posted)


def list_changes(chosen: ReadingChoice, present: ReadingChoice) -> dict[str, Any]:
    """Return what the user changed, as ``change_choices`` takes it. A field that was left as it was is no choice.

    Raises:
        ListRefused: the line of the headings is no number.
    """
    values = {
        "sheet": chosen.sheet or None,
        "encoding": chosen.encoding or None,
        "delimiter": chosen.delimiter or None,
        "header_row": _read_line(chosen.header_row),
        "address_indexes": _read_indexes(chosen.address_indexes),
        "hidden_rows": chosen.takes_hidden_rows,
        "split_cells": chosen.splits_cells,
    }
    return {name: value for name, value in values.items() if getattr(chosen, name) != getattr(present, name)}


def read_shared(chosen: ReadingChoice) -> SharedAddresses | None:
    """Return what to do with rows that share an address. None if the form does not say it."""
    known = chosen.shared_addresses in SharedAddresses.values
    return SharedAddresses(chosen.shared_addresses) if known else None


def _read_line(text: str) -> int | None:
    if not text.strip():
        return None
    if not is_row_number(text.strip()):
        raise intake.ListRefused("The line of the headings must be a number. Write 0 if the list has no headings.")
    return int(text)


def _read_indexes(numbers: tuple[str, ...]) -> list[int] | None:
    """Return the columns that the user ticked, or None to find them: for no tick, or a number that no page made."""
    return [int(number) for number in numbers] if numbers and all(map(is_row_number, numbers)) else None
