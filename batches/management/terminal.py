"""Show the progress of a batch on a terminal: one line that is overwritten, and sentences above it.

If the stream is not a terminal, only the sentences are written. This module reads nothing and never waits.
"""

from __future__ import annotations

import os

from django.core.management.base import OutputWrapper

from batches.progress import Snapshot
from batches.wording import percent_done, say_rate

FALLBACK_COLUMNS = 80
BAR_MAX_CELLS = 40
CELLS = {"utf-8": "█░", "": "#-"}
"""The characters for a full and an empty cell of the bar, by the encoding of the stream."""


class ProgressLine:
    """The progress line of one batch on a stream."""

    def __init__(self, stream: OutputWrapper) -> None:
        self._stream = stream
        self._is_terminal = stream.isatty()
        encoding = (getattr(stream, "encoding", None) or "").lower()
        self._cells = CELLS.get(encoding, CELLS[""])
        self._line = ""
        self._last_sentence = ""

    def draw(self, now: Snapshot) -> None:
        """Write the line again, as wide as the terminal is now."""
        if self._is_terminal:
            self._line = make_line(now, columns=self._columns(), cells=self._cells)
            self._write(f"\r{self._line}\x1b[K")

    def say(self, sentence: str) -> None:
        """Write a sentence above the line, unless it is empty or repeats the last one."""
        if sentence and sentence != self._last_sentence:
            self._write(f"\r\x1b[K{sentence}\n{self._line}" if self._is_terminal else f"{sentence}\n")
        self._last_sentence = sentence

    def close(self) -> None:
        """End the line: later output begins below it."""
        if self._line:
            self._write("\n")
            self._line = ""

    def _columns(self) -> int:
        try:
            return os.get_terminal_size(self._stream.fileno()).columns or FALLBACK_COLUMNS
        except OSError:
            return FALLBACK_COLUMNS

    def _write(self, text: str) -> None:
        self._stream.write(text, without_style, ending="")
        self._stream.flush()


def make_line(now: Snapshot, *, columns: int, cells: str) -> str:
    """Make the line at least one column narrower than the terminal, so that it never wraps.

    The bar has a fixed share of the width, so that the numbers after it stay in place. Words that don't fit are left
    out.
    """
    percent = percent_done(now)
    width = min(columns // 4, BAR_MAX_CELLS)
    full = width * percent // 100
    line = f"{percent:3}%  {cells[0] * full}{cells[1] * (width - full)}  {now['processed']:,} of {now['total']:,}"
    failed = f"{now['failed']:,} failed" if now["failed"] else ""
    for words in filter(None, (failed, say_rate(now))):
        if len(f"{line}, {words}") < columns:
            line += f", {words}"
    return line[: columns - 1]


def without_style(text: str) -> str:
    """A style function for ``OutputWrapper.write``: without one, Django writes standard error in red."""
    return text
