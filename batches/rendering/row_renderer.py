"""Render the letters of many rows of one list in one child process, which is started again after a row has ended it.

Rows enter, each with the cells of one recipient. Rendered letters and faults leave, in the order of the rows. A row
that ends the child is a fault of that row, and the next one goes on. Its caller is a worker, and blocks meanwhile.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any, NamedTuple

import orjson

from batches.rendering.analysis import ListNames
from batches.rendering.child import Child, ChildEnded, ChildNotStarted
from batches.rendering.child_answers import FAULT, LATER, OK, TOO_MUCH
from batches.rendering.template import TOO_EXPENSIVE, MessageParts, Rendered, TemplateFault

logger = logging.getLogger(__name__)

ROW_TOO_EXPENSIVE = (
    "The message for this recipient takes too much time or memory. "
    "Make the loops and repetitions of the template smaller, or the values of this row shorter."
)

REQUEST_MAX_BYTES = 1 << 20
"""How much text of cells is sent to the child at once. A single row may be bigger."""

ENDED_MAX = 5
"""So many rows may end the child before somebody has to look at the template, unless they are few among many."""

ENDED_SHARE = 200
"""One among so many is few. Each costs as much time as thousands of others."""

STARTS_MAX = 3
"""How many times in a row the child may end before it has a template ready."""

NOT_STARTED = (
    "The program that renders messages can't be started. The worker's log says why. Correct that, then resume."
)


Answer = Rendered | TemplateFault | int
"""What became of a row: its message, or its fault, or if messages are not shown, the size of one in bytes."""


class Row(NamedTuple):
    """The cells of one recipient as a Fragment of JSON, the address, and how long the cells are."""

    id: int
    cells: orjson.Fragment
    address: str
    size: int
    unsubscribe_url: str = ""
    """Of news that will be sent. Empty: of service mail, or nobody will look at the letter."""


def _limit_request(rows: Sequence[Row]) -> Iterator[Row]:
    size = 0
    for row in rows:
        size += row.size
        if size > max(REQUEST_MAX_BYTES, row.size):
            return
        yield row


class RowRenderer:
    """Renders the letters of one template for the rows of one list.

    ``obstacle`` is a sentence once nothing more can be rendered before somebody has done something about it.

    Args:
        shows: Whether what was rendered is wanted. Otherwise ``render`` gives its size in bytes.
    """

    def __init__(self, parts: MessageParts, names: ListNames, *, shows: bool = True) -> None:
        self._parts, self._names, self._shows = parts, names, shows
        self._child: Child | None = None
        self._fault: TemplateFault | None = None
        self._suspects: set[int] = set()
        """Rows at which a child ended for a reason that may be the machine's."""
        self._failed_starts = 0
        self._is_interrupted = self._was_interrupted = False
        self.row_count = 0
        self.ended_count = 0
        """How many rows ended the child."""
        self.obstacle = ""

    def render(self, rows: Sequence[Row]) -> list[Answer]:
        """Render the first of the rows. The result is shorter than ``rows`` if they take long, or are big.

        It is empty only if there is an obstacle, or after ``interrupt``.
        """
        answers: list[Answer] = []
        if self._was_interrupted:  # the child was killed, though perhaps after its last answer: no row is to blame
            self._was_interrupted = False
            self._forget_child()
        while not answers and rows and self._start():
            if self._fault is not None:
                return [TemplateFault(str(self._fault), group=self._fault.group) for _ in rows]
            try:
                self._ask(rows, answers)
            except ChildEnded as exc:
                self._on_ended(rows[len(answers)], exc, answers)
        self.row_count += len(answers)
        return answers

    def _ask(self, rows: Sequence[Row], answers: list[Answer]) -> None:
        """Append an answer for each row, for as long as they come."""
        assert self._child is not None  # noqa: S101  (it was started)
        asked = list(_limit_request(rows))
        self._child.write(
            action="render_rows",
            rows=[(row.id, row.cells, row.address, row.unsubscribe_url) for row in asked],
            shows=self._shows,
        )
        for row in asked:
            code, *values = self._child.read_about(row.id)
            if code == LATER:
                return
            answers.append(self._take_answer(row, code, values))

    def _take_answer(self, row: Row, code: int, values: list[Any]) -> Answer:
        self._suspects.discard(row.id)
        if code == OK:
            return Rendered(*values) if self._shows else int(values[0])
        if code == FAULT:
            return TemplateFault(values[0], group=values[1])
        return self._count_ended()

    def _on_ended(self, row: Row, exc: ChildEnded, answers: list[Answer]) -> None:
        """Blame the row at which the child ended, unless the machine may have ended it: then it is tried once more."""
        self._forget_child()
        if self._is_interrupted:
            return
        logger.info("The child that renders messages ended at a row: %s", exc)
        if exc.is_by_request or row.id in self._suspects:
            self._suspects.discard(row.id)
            answers.append(self._count_ended())
        else:
            self._suspects.add(row.id)

    def count_earlier(self, *, ended_count: int, row_count: int) -> None:
        """Add what became of other rows of the list: how many ended a child, of how many."""
        self.ended_count += ended_count
        self.row_count += row_count
        self._look_for_obstacle()

    def _count_ended(self) -> TemplateFault:
        self.ended_count += 1
        self._look_for_obstacle()
        return TemplateFault(ROW_TOO_EXPENSIVE)

    def _look_for_obstacle(self) -> None:
        if self.ended_count >= ENDED_MAX and self.ended_count * ENDED_SHARE > self.row_count:
            self.obstacle = (
                f"{TOO_EXPENSIVE} It could not be rendered for {self.ended_count} recipients, and they "
                "failed with that reason. Cancel this batch and send a new one with a better template, or resume it."
            )

    def _start(self) -> bool:
        """See to it that there is a child with the template ready. False: there is an obstacle, or it is not wanted."""
        while not (self.obstacle or self._is_interrupted):
            if self._child is not None:
                return True
            try:
                self._compile()
            except TemplateFault as exc:
                self._fault = exc
            except (ChildEnded, ChildNotStarted) as exc:
                self._forget_child()
                self._count_failed_start(exc)
        return False

    def _compile(self) -> None:
        self._child = Child()
        self._child.write(
            action="compile",
            parts=asdict(self._parts),
            columns=list(self._names.merge_fields or ()),
            address_heading=self._names.address_heading,
        )
        code, *values = self._child.read()
        self._failed_starts = 0
        if code == FAULT:
            raise TemplateFault(values[0], group=values[1])
        if code == TOO_MUCH:
            self.obstacle = TOO_EXPENSIVE

    def _count_failed_start(self, exc: Exception) -> None:
        if self._is_interrupted:
            return
        logger.warning("The child that renders messages could not be started: %s", exc)
        self._failed_starts += 1
        if isinstance(exc, ChildEnded) and exc.is_by_request:
            self.obstacle = TOO_EXPENSIVE
        elif self._failed_starts >= STARTS_MAX:
            self.obstacle = NOT_STARTED

    def _forget_child(self) -> None:
        if self._child is not None:
            self._child.close()
            self._child = None

    def interrupt(self) -> None:
        """Let ``render`` return at once with what it has, until ``allow``. Safe to call from any thread."""
        self._is_interrupted = self._was_interrupted = True
        child = self._child
        if child is not None:
            child.kill()

    def allow(self) -> None:
        """Let ``render`` work again. Only when no thread is in it."""
        self._is_interrupted = False

    def close(self) -> None:
        """End the child. Only when no thread is in ``render``."""
        self._forget_child()
