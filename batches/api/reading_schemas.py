"""The shapes of how a file is read: what a caller says about it, and what was found in it."""

from __future__ import annotations

from typing import Annotated, Any

from ninja import Field, Schema
from pydantic import field_validator

from batches.models import SharedAddresses

LINE_MAX = 2**31 - 1
"""Lines are PostgreSQL integers."""
COLUMN_MAX = 2**15 - 1
ADDRESS_COLUMNS_MAX = 500
"""As many as a list may have columns."""

LIST_FIELDS = ("addressColumns",)
"""The fields that a form may have several times."""


def leave_out_blank(value: object) -> object:
    """Return None for the empty text that a form sends for a field that nobody filled in."""
    return None if value == "" else value


class ReadingChoices(Schema):
    """What a caller says about the file of a list."""

    headerRow: int | None = Field(
        default=None, ge=0, le=LINE_MAX, description="The line of the headings, from 1. 0: the file has no headings."
    )
    addressColumns: list[Annotated[int, Field(ge=0, le=COLUMN_MAX)]] | None = Field(
        default=None,
        min_length=1,
        max_length=ADDRESS_COLUMNS_MAX,
        description="The columns of the addresses, from 0, as in `columns` of a review. Several: one email for each "
        "address of a row. A form has the field once for each column, or the numbers with commas, as in 1,2.",
    )
    sheet: str | None = Field(default=None, max_length=200, description="The name of the sheet of a spreadsheet.")
    hiddenRows: bool | None = Field(
        default=None, description="true: read the rows that the sheet hides too. Otherwise they are rejected."
    )
    splitCells: bool | None = Field(
        default=None,
        description="true: a cell with several addresses makes an email for each. Otherwise its row is rejected.",
    )
    sharedAddresses: SharedAddresses | None = Field(
        default=None,
        description="What happens to rows with the same address: only the `first` makes an email (the default), `each` "
        "makes one, or all go `together` in one email, whose template shows them with {% for row in rows %}.",
    )

    _leave_out_blank = field_validator(
        "headerRow", "hiddenRows", "splitCells", "sharedAddresses", "sheet", mode="before"
    )(leave_out_blank)

    @field_validator("addressColumns", mode="before")
    @classmethod
    def _split_numbers(cls, value: Any) -> Any:
        """Take ``1,2`` of a form as two numbers, and an empty field as left out."""
        if not isinstance(value, list):
            return value
        if len(value) + sum(item.count(",") for item in value if isinstance(item, str)) > ADDRESS_COLUMNS_MAX:
            raise ValueError(f"There are too many columns. Name at most {ADDRESS_COLUMNS_MAX}")
        parts = [part for item in value for part in (item.split(",") if isinstance(item, str) else [item])]
        return None if parts == [""] else parts

    @field_validator("addressColumns")
    @classmethod
    def _refuse_repeated(cls, value: list[int] | None) -> list[int] | None:
        if value and len(set(value)) < len(value):
            raise ValueError("A column is named twice. Name each column once")
        return value


class AddressColumnOut(Schema):
    index: int
    heading: str
    count: int = Field(description="How many of the first rows have an address in it.")
    isUsed: bool


class SheetOut(Schema):
    name: str
    isHidden: bool
    addressCount: int = Field(description="How many addresses its first rows hold.")


class EncodingOut(Schema):
    encoding: str
    samples: list[list[str]] = Field(description="Pairs of a word as it was read, and as this encoding would read it.")


class SlipOut(Schema):
    domain: str
    suggestion: str
    count: int


class ReadingOut(Schema):
    """How a file was read, and what else it could be. The options of the same names choose that."""

    headerLine: int | None = Field(description="null: the file has no headings, or is not a file.")
    skippedLines: int = Field(description="How many lines with text are above the headings.")
    addressColumns: list[AddressColumnOut] = Field(description="All columns that hold addresses. Empty: no choice.")
    sheet: str = Field(description="Empty for a text file.")
    sheets: list[SheetOut]
    encodings: list[EncodingOut] = Field(description="Encodings that fit the file nearly as well.")
    isEncodedTwice: bool
    hiddenCount: int = Field(description="Rows that the sheet hides.")
    hiddenRows: bool = Field(description="Whether these rows were read.")
    splitCount: int = Field(description="Cells that hold several addresses.")
    splitCells: bool = Field(description="Whether such a cell made an email for each of them.")
    cleanedCount: int = Field(description="Addresses from which clinging signs were removed, as in `mailto:`.")
    sharedCount: int = Field(description="Rows whose address an earlier row has too.")
    slips: list[SlipOut] = Field(description="Domains that are probably misspelt, with the number of their rows.")
    chosen: dict[str, Any] = Field(description="What a person or a program chose, by name. All else was found.")
