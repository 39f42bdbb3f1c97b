"""The function that RQ runs for a letter check: render every letter of a draft, a page of rows at a time.

A check works in turns. When its turn is over and another entry waits in a queue, it is enqueued again after that one,
so neither a check nor a lane keeps the other waiting for long. It changes nothing in PostgreSQL.
"""

from __future__ import annotations

import logging
import resource
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
from django.db.models import Max
from redis.exceptions import RedisError
from rq import get_current_job

from batches.delivery import stop
from batches.jobs import queues
from batches.jobs.letter_checks import (
    LetterCheck,
    forget,
    is_wanted,
    read_record,
    read_task,
    write_record,
)
from batches.models import Batch, LetterCheckState
from batches.rendering.analysis import ListNames
from batches.rendering.letters import LetterFaults, check_letters, count_faults
from batches.rendering.plain_template import read_plain
from batches.rendering.row_renderer import Row, RowRenderer
from batches.rendering.template import MessageParts, TemplateFault

logger = logging.getLogger(__name__)

PAGE_ROWS = 500
"""How many rows are in memory at once."""

TURN_SECONDS = 2.0
"""How long a check works before it lets others go first. A lane's turn is about as long."""

WORK_MAX_SECONDS = 60.0
"""How long a check works in all. A million plain letters take less than half of it."""

REPORT_SECONDS = 0.3
"""The least time between two reports. A killed check is noticed by the lack of them."""

MEMORY_MAX_BYTES = 1 << 30
"""How much memory a check may take beyond what its work-horse has when it starts."""

LetterRow = tuple[int, str, list[Any]]
"""The row of an email, its address and its cells."""


def check_every_letter(*, run: str) -> str:
    """Work on a letter check until it is done or its turn is over. Safe to run twice.

    Returns:
        Why it ended, in words, for RQ's log.
    """
    if get_current_job() is not None:
        _limit_this_process()
    try:
        return _continue(run)
    except RedisError as exc:
        logger.warning("The letter check %s is given up, because Redis can't be used: %s", run, exc)
        return "Redis is away"


def _continue(run: str) -> str:
    check, task = read_record(run), read_task(run)
    if check is None or task is None or check.has_ended:
        return "the check is no longer wanted"
    pointer, parts = task
    ended = _work(write_record(replace(check, state=LetterCheckState.RUNNING)), pointer, parts)
    if ended is None:
        forget(check, pointer)
        return "the draft was changed, sent or discarded"
    write_record(ended)
    if ended.has_ended:
        return f"{ended.checked} letters checked, {ended.faulty} with a fault"
    queues.enqueue_check(run, turn=ended.turn)
    return "another's turn"


def _work(check: LetterCheck, pointer: str, parts: MessageParts) -> LetterCheck | None:
    """Check page after page. Returns the check as it is at the end of this turn, or None if it is no longer wanted."""
    batch = Batch.objects.filter(pk=check.batch_id).first()
    if batch is None:
        return None
    try:
        checker = LetterChecker(parts, ListNames.of(batch))
    except TemplateFault:  # such a template can be neither saved nor sent, so it has no letters to check
        return None
    with closing(checker):
        return _check_pages(check, pointer, parts, batch=batch, checker=checker)


def _check_pages(
    check: LetterCheck, pointer: str, parts: MessageParts, *, batch: Batch, checker: LetterChecker
) -> LetterCheck | None:
    began_at = reported_at = time.monotonic()
    worked_before = check.worked_seconds
    last_row = batch.emails.aggregate(last=Max("row"))["last"] or 0
    while check.after_row < last_row:
        found, last_checked = checker.check(_read_page(batch, check.after_row))
        # Asked after the page was read: if the draft is the same now, the page was a page of it.
        if not is_wanted(check, pointer, parts):
            return None
        now = time.monotonic()
        after_row = check.after_row + PAGE_ROWS if last_checked is None else last_checked
        check = replace(check.add(found, after_row=after_row), worked_seconds=worked_before + now - began_at)
        if check.worked_seconds >= WORK_MAX_SECONDS or checker.obstacle:
            break
        if _is_turn_over(now - began_at):
            return replace(check, state=LetterCheckState.WAITING, turn=check.turn + 1)
        if now - reported_at >= REPORT_SECONDS:
            check, reported_at = write_record(check), now
    return replace(check, state=LetterCheckState.DONE)


class LetterChecker:
    """Renders the letters of pages of rows: here if the template is plain, else in a child process.

    ``obstacle`` is not empty if the template costs so much that no further row is looked at.

    Raises:
        TemplateFault: The template can't be read.
    """

    def __init__(self, parts: MessageParts, names: ListNames) -> None:
        self._plain = read_plain(parts, names.merge_fields, address_heading=names.address_heading)
        self._renderer = RowRenderer(parts, names, shows=False)

    def check(self, page: Sequence[LetterRow]) -> tuple[LetterFaults, int | None]:
        """Render the first rows of a page. Returns what was found and the last of them, or None for the whole page."""
        if self._plain is not None:
            plain = self._plain
            return check_letters(
                plain, ((row, plain.make_context(cells, address=address)) for row, address, cells in page)
            ), None
        answers = self._renderer.render([_make_row(*row) for row in page])
        found = count_faults(
            (row, answer if isinstance(answer, TemplateFault | int) else answer.size_bytes)
            for (row, _, _), answer in zip(page, answers, strict=False)
        )
        return found, None if len(answers) == len(page) else page[max(0, len(answers) - 1)][0]

    @property
    def obstacle(self) -> str:
        return self._renderer.obstacle

    def close(self) -> None:
        """End the child process."""
        self._renderer.close()


def _make_row(row: int, address: str, cells: list[Any]) -> Row:
    octets = orjson.dumps(cells)
    return Row(row, orjson.Fragment(octets), address, len(octets))


def _is_turn_over(seconds: float) -> bool:
    return stop.is_requested() or (seconds >= TURN_SECONDS and queues.has_waiting_items())


def _read_page(batch: Batch, after_row: int) -> list[LetterRow]:
    """Read the rows of the next page, whose bounds are rows of the list.

    With LIMIT in place of the upper bound, PostgreSQL would sort the whole list for each page: it expects a new list to
    be tiny until its next ANALYZE.
    """
    rows = batch.emails.filter(row__gt=after_row, row__lte=after_row + PAGE_ROWS).order_by("row")
    return list(rows.values_list("row", "address", "fields"))


def _limit_this_process() -> None:
    """Limit the work-horse, which ends after this check. A template may ask for any amount of memory in one row."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + MEMORY_MAX_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    seconds = int(WORK_MAX_SECONDS + TURN_SECONDS)
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
