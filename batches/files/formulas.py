"""Keep a spreadsheet program from running a cell as a formula, and undo that (OWASP, "CSV Injection"). Pure.

A spreadsheet program that separates cells by another sign than ours begins a cell in the middle of one of ours: with
``;`` as its list separator, ``x;=1+1`` is two cells, and the second is a formula. So an apostrophe is put at each place
where a program may begin a cell, if a formula would begin there. ``rearm`` takes exactly these apostrophes off again.
"""

from __future__ import annotations

import re

FORMULA_STARTS = (
    "=+\\-@\u2212\u207a\u207b\u208a\u208b\u207c\u208c\ufb29\ufe62\ufe63\ufe66\ufe6b\uff0b\uff0d\uff1d\uff20"
)
"""What a formula starts with, in a class of a regular expression: ``= + - @``, and the signs that Unicode calls
compatible with them (full-width, small, raised), which some programs turn into them."""

SEPARATORS = ";,|\t\r\n\x0b\x0c\x1c-\x1e\x85\u2028\u2029"
"""What may end a cell or a line in another program's reading of the file."""

SKIPPED = (
    "\x00-\x08\x0e-\x1b\x1f \x7f-\x84\x86-\xa0\xad\u034f\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u115f\u1160"
    "\u1680\u17b4\u17b5\u180b-\u180f\u2000-\u200f\u202a-\u202f\u205f-\u206f\u2800\u3000\u3164\ufe00-\ufe0f\ufeff\uffa0"
    "\ufff0-\ufffb\U000110bd\U000110cd\U00013430-\U0001345f\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"
    "\U000e0000-\U000e0fff\"'"
)
"""What a program may skip before a formula: spaces, controls, marks that nobody sees, and quotation marks."""

_MAY_BEGIN = re.compile(f"[{FORMULA_STARTS}\t\r\n]")
_AT_START = f"(?=[{SKIPPED}]*[{FORMULA_STARTS}\t\r\n])"
_INSIDE = f"(?=[{SKIPPED}]*[{FORMULA_STARTS}])"
_ARMED = re.compile(rf"(\A){_AT_START}|([{SEPARATORS}]){_INSIDE}")
_DISARMED = re.compile(rf"(\A)'{_AT_START}|([{SEPARATORS}])'{_INSIDE}")


def disarm(cell: str) -> str:
    """Put an apostrophe wherever a spreadsheet program would begin a formula: ``=1`` becomes ``'=1``.

    An apostrophe that was there before gets a second one, so that ``rearm`` returns the same cell.
    """
    # Most cells have none of the signs, and a search for them is ten times as fast.
    return _ARMED.sub(r"\1\2'", cell) if _MAY_BEGIN.search(cell) else cell


def rearm(cell: str) -> str:
    """Undo ``disarm``: take off the apostrophes that it added."""
    return _DISARMED.sub(r"\1\2", cell)
