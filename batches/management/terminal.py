"""Show on a terminal how far a batch is: one line that is written over, and above it sentences, each once.

Where the stream is no terminal, the sentences alone are written. Nothing is read or waited for here.
"""

from __future__ import annotations

import os

from django.core.management.base import OutputWrapper

from batches.progress import Snapshot
from batches.wording import say_rate

FALLBACK_COLUMNS = 80
BAR_MAX_CELLS = 40
CELLS = {"utf-8": "█░", "": "#-"}
"""What a done and an open cell look like, by the stream's encoding."""


class ProgressLine:
    """The line of one batch on a stream."""

    def __init__(self, stream: OutputWrapper) -> None:
        self._stream = stream
        self._is_terminal = stream.isatty()
        encoding = (getattr(stream, "encoding", None) or "").lower()
        self._cells = CELLS.get(encoding, CELLS[""])
        self._line = ""
        self._said = ""

    def draw(self, now: Snapshot) -> None:
        """Write the line anew, as wide as the terminal is now."""
        if self._is_terminal:
            self._line = make_line(now, columns=self._columns(), cells=self._cells)
            self._write(f"\r{self._line}\x1b[K")

    def say(self, sentence: str) -> None:
        """Write a sentence above the line, unless it is the one that was said last. An empty one is not written."""
        if sentence and sentence != self._said:
            self._write(f"\r\x1b[K{sentence}\n{self._line}" if self._is_terminal else f"{sentence}\n")
        self._said = sentence

    def close(self) -> None:
        """Leave the line as it is; what comes next begins below it."""
        if self._line:
            self._write("\n")
            self._line = ""

    def _columns(self) -> int:
        try:
            return os.get_terminal_size(self._stream.fileno()).columns or FALLBACK_COLUMNS
        except OSError:
            return FALLBACK_COLUMNS

    def _write(self, text: str) -> None:
        self._stream.write(text, as_it_is, ending="")
        self._stream.flush()


def make_line(now: Snapshot, *, columns: int, cells: str) -> str:
    """The line itself, at least one column narrower than the terminal, so that it never wraps.

    The bar has a fixed share of the width, so that it grows and nothing else; words that don't fit are left out.
    """
    # Rounded down, as on the page: it says 100 only when all is done.
    percent = 100 * now["processed"] // now["total"] if now["total"] else 100
    width = min(columns // 4, BAR_MAX_CELLS)
    full = width * percent // 100
    line = f"{percent:3}%  {cells[0] * full}{cells[1] * (width - full)}  {now['processed']:,} of {now['total']:,}"
    failed = f"{now['failed']:,} failed" if now["failed"] else ""
    for words in filter(None, (failed, say_rate(now))):
        if len(f"{line}, {words}") < columns:
            line += f", {words}"
    return line[: columns - 1]


def as_it_is(text: str) -> str:
    """In place of the red in which Django writes to standard error."""
    return text
