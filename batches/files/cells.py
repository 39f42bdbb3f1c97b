"""Tidy a cell, and say what it may be: an address, something meant as one, or a heading. Pure."""

from __future__ import annotations

import re

from batches.files.addresses import SPACES, BadAddress, SeveralAddresses, normalise_address

_TEXT_FORMULA = re.compile(r'="((?:[^"]|"")*)"')
"""What programs write so that a spreadsheet program keeps the zeros in front: ="0123"."""

_BLANKS = " \t\r\n\v\f" + SPACES

_has_sign = re.compile("[@\uff20]").search
_AT_SIGN = re.compile(
    r"[@\uff20]|[(\[{]\s*(?:at|ät|arobase)\s*[)\]}]|\w\s+at\s+[\w-]+(?:\.|\s+dot\s+)[\w-]+", re.IGNORECASE
)
_MEANT_AS_ADDRESS = re.compile(r"[\w.+'-][@\uff20]\w")
_DOMAIN_ALONE = re.compile(r"[^\s@]+\.[a-z]{2,}", re.IGNORECASE)
"""An address without its @-sign: "ann.example.org"."""

_NO_ADDRESS = re.compile(
    r"(?:(?:none|no|not|has no|without|n/?a|null|nil|unknown|missing|empty|tba|tbd|keine?|hat keine?|ohne|leer|fehlt"
    r"|unbekannt|folgt|entfällt|k\.?\s?a|n\.?\s?v|aucune?|pas de?|sans|ninguno|sin|nessuno|senza|geen|нет)\b\W*"
    r"(?:an? )?(?:e-?mail|mail|address|adresse|почты|courriel|correo)?.{0,10}"
    r")",
    re.IGNORECASE,
)
"""What people write where somebody has no address: "none", "keine E-Mail"."""

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
    """Say whether a cell holds an address, or several."""
    if not _has_sign(cell):
        return False
    try:
        normalise_address(cell)
    except SeveralAddresses:
        return True
    except BadAddress:
        return False
    return True


def is_meant_as_address(cell: str) -> bool:
    """Say whether a cell was probably meant as an address, good or bad."""
    return _MEANT_AS_ADDRESS.search(cell) is not None


def has_at_sign(cell: str) -> bool:
    """Say whether a cell has an @-sign in any form, so that its record can't be a title or a header."""
    return _AT_SIGN.search(cell) is not None


def is_no_address(cell: str) -> bool:
    """Say whether a cell says that somebody has no address."""
    return _NO_ADDRESS.fullmatch(cell) is not None


def is_wording(cell: str) -> bool:
    """Say whether a cell may be a heading: it has letters, and is no damaged address and no "none"."""
    is_text = any(map(str.isalpha, cell))
    return is_text and not has_at_sign(cell) and not _DOMAIN_ALONE.fullmatch(cell) and not is_no_address(cell)


def is_value(cell: str) -> bool:
    """Say whether a cell is a number, a date or the like, which no heading is."""
    return any(map(str.isdigit, cell)) and not any(map(str.isalpha, cell))


def is_ruler(cells: list[str]) -> bool:
    """Say whether a record only draws a line, as "-----" and "|---|---|" do."""
    return max(map(len, cells), default=0) > 2 and all(map(_RULER.fullmatch, cells))
