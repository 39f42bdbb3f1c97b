"""Keep a spreadsheet from running a cell as a formula, and take that back (OWASP, "CSV Injection"). Pure."""

from __future__ import annotations

FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""What makes a spreadsheet run a cell, behind blanks too; the last four are the full-width forms."""


def disarm(cell: str) -> str:
    """Keep a spreadsheet from running the cell as a formula."""
    return f"'{cell}" if _is_formula(cell) else cell


def rearm(cell: str) -> str:
    """Take back what ``disarm`` did."""
    return cell[1:] if cell.startswith("'") and _is_formula(cell[1:]) else cell


def _is_formula(cell: str) -> bool:
    return cell.lstrip(" ").startswith(FORMULA_STARTS)
