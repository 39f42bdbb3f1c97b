"""The check of every letter on the review page: begin it, show how far it is, and link the rows that have a fault.

The message that is chosen for a draft enters. A part of the page leaves, which a script replaces until the check ends.
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlencode

from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods

from batches.jobs.letter_checks import AUTOMATIC_MAX_ROWS, LetterCheck, begin_check, read_check
from batches.jobs.queues import Fleet, fleet_status
from batches.models import Batch
from batches.permissions import Act, find_missing
from batches.rendering import children
from batches.rendering.template import MessageParts, TemplateFault
from batches.web.message import MessageChoice, read_choice
from batches.web.requests import SignedInRequest, find_batch
from batches.wording import say_letter_check
from batches.writing.checks import CLIPPED_BYTES, say_kilobytes


@dataclass(frozen=True, kw_only=True, slots=True)
class FaultyRow:
    """A row whose letter has a fault or is too big, and the review that shows it."""

    line: int
    address: str


@dataclass(frozen=True, kw_only=True, slots=True)
class ShownFault:
    """One reason why letters have a fault, with the first rows that have it."""

    reason: str
    count: int
    rows: list[FaultyRow]
    more_count: int
    """How many rows are not named."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LettersView:
    """The check as the review page shows it."""

    sentence: str
    check: LetterCheck | None
    faults: list[ShownFault]
    clipped: FaultyRow | None
    """The row of the biggest message, if Gmail shows only its beginning."""
    clipped_kilobytes: str
    poll_address: str
    """Where the page asks again. Empty if nothing will change by itself."""
    may_begin: bool


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def letters(request: SignedInRequest, batch_id: int) -> HttpResponse:
    """Show the part of the page (GET), or begin a check and show the review (POST)."""
    batch = find_batch(request, batch_id, act=Act.SEND if request.method == "POST" else None)
    choice = read_choice(batch, request.POST if request.method == "POST" else request.GET, user=request.user)
    if request.method == "POST":
        parts = _find_parts(choice)
        if parts is not None:
            begin_check(batch, parts, again=True)
        return redirect(f"{reverse('review', args=[batch.pk])}?{urlencode(choice.query())}#letters")
    may_ask = find_missing(request.user, batch, Act.SEND) is None
    view = describe_letters(choice, fleet=fleet_status(), is_automatic=False, may_ask=may_ask)
    return render(request, "batches/letters.html", {"letters": view, "batch": batch})


def describe_letters(
    choice: MessageChoice, *, fleet: Fleet, is_automatic: bool, may_ask: bool = True
) -> LettersView | None:
    """Describe the check of the letters. None: the template has a fault, so there are no letters.

    Args:
        is_automatic: Begin a check by itself if there is none and the list is short. It changes nothing but Redis.
        may_ask: Whether the user may begin one. Without it none begins by itself either.
    """
    parts = _find_parts(choice)
    if parts is None or not choice.batch.total_count:
        return None
    check = read_check(choice.batch, parts)
    if check is None and is_automatic and may_ask and choice.batch.total_count <= AUTOMATIC_MAX_ROWS:
        check = begin_check(choice.batch, parts)
    is_moving = check is not None and not check.has_ended
    address = f"{reverse('review-letters', args=[choice.batch.pk])}?{urlencode(choice.query())}"
    return LettersView(
        sentence=say_letter_check(check, fleet),
        check=check,
        faults=_describe_faults(choice, check) if check else [],
        clipped=_find_clipped(choice, check) if check else None,
        clipped_kilobytes=say_kilobytes(check.biggest_bytes) if check else "",
        poll_address=address if is_moving else "",
        may_begin=may_ask and fleet.redis and (check is None or (check.has_ended and check.checked < check.total)),
    )


def _find_parts(choice: MessageChoice) -> MessageParts | None:
    """Return the message parts that would be sent, unless they can't be used: the page shows that fault."""
    try:
        parts = choice.parts()
        children.analyse_sound(parts, choice.batch, user_id=choice.user_id)
    except TemplateFault:
        return None
    return parts


def _describe_faults(choice: MessageChoice, check: LetterCheck) -> list[ShownFault]:
    lines = _find_lines(choice.batch, [row for fault in check.faults for row in fault.rows])
    return [
        ShownFault(
            reason=fault.reason,
            count=fault.count,
            rows=[_link_row(choice, row, line=lines[row]) for row in fault.rows if row in lines],
            more_count=fault.count - len(fault.rows),
        )
        for fault in sorted(check.faults, key=lambda fault: -fault.count)
    ]


def _find_clipped(choice: MessageChoice, check: LetterCheck) -> FaultyRow | None:
    if check.biggest_bytes <= CLIPPED_BYTES:
        return None
    row = check.biggest_row
    return _link_row(choice, row, line=_find_lines(choice.batch, [row]).get(row, row))


def _link_row(choice: MessageChoice, row: int, *, line: int) -> FaultyRow:
    return FaultyRow(line=line, address=f"?{urlencode({**choice.query(), 'row': row})}#message")


def _find_lines(batch: Batch, rows: list[int]) -> dict[int, int]:
    """Return the line of the file for each row."""
    return {email.row: email.shown_line for email in batch.emails.filter(row__in=rows).only("batch", "row", "line")}
