"""Keep a spreadsheet program from running a cell as a formula, and undo that (OWASP, "CSV Injection"). Pure."""

from __future__ import annotations

FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""A spreadsheet program runs a cell that starts with one of these, also after spaces. The last four are the
full-width forms."""


def disarm(cell: str) -> str:
    """Put an apostrophe in front of a cell that a spreadsheet program would run as a formula."""
    return f"'{cell}" if _is_formula(cell) else cell


def rearm(cell: str) -> str:
    """Undo ``disarm``: take off the apostrophe that it added."""
    return cell[1:] if cell.startswith("'") and _is_formula(cell[1:]) else cell


def _is_formula(cell: str) -> bool:
    return cell.lstrip(" ").startswith(FORMULA_STARTS)
