"""Tidy a cell, and say what it may be: an address, something meant as one, or a heading. Pure."""

from __future__ import annotations

import re

from batches.files.addresses import SPACES, is_address

_TEXT_FORMULA = re.compile(r'="((?:[^"]|"")*)"')
"""What programs write so that a spreadsheet program keeps the zeros in front: ="0123"."""

_BLANKS = " \t\r\n\v\f" + SPACES

_AT_SIGN = re.compile(r"[@\uff20]|[(\[{]\s*(?:at|ät|arobase)\s*[)\]}]", re.IGNORECASE)
_MEANT_AS_ADDRESS = re.compile(r"\S[@\uff20]\S")
_DOMAIN_ALONE = re.compile(r"[^\s@]+\.[a-z]{2,}", re.IGNORECASE)
"""An address without its @-sign: "ann.example.org"."""

_NO_ADDRESS = re.compile(
    r"(?:none|no|n/?a|null|nil|unknown|missing|empty|keine?|ohne|leer|fehlt|unbekannt|aucun|ninguno|nessuno|geen|нет)\W*",
    re.IGNORECASE,
)
"""What people write where somebody has no address."""

_BETWEEN_ADDRESSES = re.compile(r"[;,|/\s]+")
_RULER = re.compile(r"[-=_+|:*~#.\s]*")


def tidy_cell(cell: str) -> str:
    """Return a cell without the blanks around it, and the text of a formula that is only a text."""
    text = cell.strip(_BLANKS)
    formula = _TEXT_FORMULA.fullmatch(text) if text.startswith('="') else None
    return formula[1].replace('""', '"').strip(_BLANKS) if formula else text


def tidy_cells(cells: list[str]) -> list[str]:
    """Return all cells of a record, each of them tidied."""
    return [tidy_cell(cell) for cell in cells]


def holds_address(cell: str) -> bool:
    """Say whether a cell holds an address, or several of which one is good."""
    if "@" not in cell and "\uff20" not in cell:
        return False
    return is_address(cell) or any(map(is_address, _BETWEEN_ADDRESSES.split(cell)))


def is_meant_as_address(cell: str) -> bool:
    """Say whether a cell was probably meant as an address, good or bad."""
    return _MEANT_AS_ADDRESS.search(cell) is not None


def has_at_sign(cell: str) -> bool:
    """Say whether a cell has an @-sign in any form, so that its record can't be a title or a header."""
    return _AT_SIGN.search(cell) is not None


def is_wording(cell: str) -> bool:
    """Say whether a cell may be a heading: it has letters, and is no damaged address and no "none"."""
    is_text = any(map(str.isalpha, cell))
    return is_text and not has_at_sign(cell) and not _DOMAIN_ALONE.fullmatch(cell) and not _NO_ADDRESS.fullmatch(cell)


def is_value(cell: str) -> bool:
    """Say whether a cell is a number, a date or the like, which no heading is."""
    return any(map(str.isdigit, cell)) and not any(map(str.isalpha, cell))


def is_ruler(cells: list[str]) -> bool:
    """Say whether a record only draws a line, as "-----" and "|---|---|" do."""
    return max(map(len, cells), default=0) > 2 and all(map(_RULER.fullmatch, cells))
