"""The table of a batch's recipients: its tabs, and a page of its rows.

A batch, a tab and the query of a page enter. The context of ``batches/recipients.html`` leaves.
"""

from __future__ import annotations

from dataclasses import dataclass

from django.db.models import Q
from django.http import QueryDict

from batches.directory import WALK_ROWS, search_rows, sift
from batches.models import Batch, BatchSource, Email, EmailQuerySet, EmailState, EmailStatus, RejectionKind
from batches.paging import WHOLE_NUMBER_MAX_DIGITS, CursorFault, Page, Walk, make_page, parse, read_page
from batches.progress import Snapshot
from batches.returns.summary import filter_returned
from batches.state_search import OPEN_STATUSES, find_few_rows, find_in_states
from batches.web.findings import count_hidden_rows
from batches.web.listed_emails import list_emails
from batches.web.requests import SignedInRequest
from batches.wording import HIDDEN_MEANING, REJECTED_LINES_MEANING, REJECTED_MEANING, RETURN_MEANINGS, STATE_MEANINGS

PAGE_SIZE = 50
PRINTED_ROWS = 1000
"""How many rows ``?print=1`` shows, so that a browser prints a whole list and not its first page."""

SEARCHED_GROUPS = 6
"""How many groups of some thousand matches are looked through for a page of those in one state."""

_ENDED_STATES = [state for state in EmailStatus if state not in OPEN_STATUSES]

REJECTED = "rejected"
"""The value of the tab that lists the rejected rows. All tabs but this and the next list emails by their state."""

HIDDEN = RejectionKind.HIDDEN
"""The value of the tab that lists the rows that the sheet hides."""

REJECTED_MEANINGS = {REJECTED: REJECTED_MEANING, HIDDEN: HIDDEN_MEANING}


@dataclass(frozen=True, kw_only=True, slots=True)
class Tab:
    """One way to filter the table of recipients."""

    value: str
    label: str
    count: int
    is_chosen: bool
    live_count: str
    """The count of a snapshot that keeps the tab up to date, or an empty string."""


def show_recipients(request: SignedInRequest, batch: Batch, now: Snapshot) -> dict[str, object]:
    """Return the context of the table: the tabs, what the chosen one means, and a page of its rows."""
    status = request.GET.get("status", "")
    hidden_count = count_hidden_rows(batch)
    tabs = _make_tabs(batch, now, hidden_count=hidden_count, chosen=status)
    return {
        "has_rejected_rows": batch.rejected_count or batch.duplicate_count or hidden_count,
        "tabs": tabs,
        "status": status,
        "meaning": _say_meaning(status, batch),
        **_read_rows(request, batch, status, now),
        "total": next((tab.count for tab in tabs if tab.is_chosen), 0),
    }


def _read_rows(request: SignedInRequest, batch: Batch, status: str, now: Snapshot) -> dict[str, object]:
    size = PRINTED_ROWS if request.GET.get("print") else PAGE_SIZE
    if status in (REJECTED, HIDDEN):
        is_hidden = Q(kind=HIDDEN)
        rows = batch.rejected_rows.filter(is_hidden if status == HIDDEN else ~is_hidden)
        return {"rejected": read_page(rows, order=["line", "pk"], query=request.GET, size=size)}
    query = _jump(request.GET)
    text = " ".join(query.get("q", "").split())
    if text:
        page = _search(batch, status, text, query, now)
    else:
        page = read_page(_find_emails(batch, status, now), order=["row"], query=query, size=size)
    return {
        "emails": page,
        "listed_emails": list_emails(page.rows),
        "text": text,
        "is_searched": batch.is_listed or batch.total_count <= WALK_ROWS,
        "position": _find_position(query, page),
    }


@dataclass(frozen=True, kw_only=True, slots=True)
class Position:
    """Which recipients of the whole list a page shows: the first and the last, counted from 1."""

    first: int
    last: int
    next_query: str
    """The query of the next page, with the number of its first recipient."""
    is_last: bool


def _find_position(query: QueryDict, page: Page[Email]) -> Position | None:
    """Return what a page shows of the list. None: it was opened in the middle, so nobody has counted."""
    text = query.get("from", "") if query.get("after") else "1"
    if not (text.isascii() and text.isdigit() and len(text) < WHOLE_NUMBER_MAX_DIGITS and page.rows):
        return None
    first = int(text)
    following = query.copy()
    following["from"] = str(first + len(page.rows))
    if page.next_query:
        following["after"] = str(page.rows[-1].row)
    return Position(
        first=first,
        last=first + len(page.rows) - 1,
        next_query=f"?{following.urlencode()}" if page.next_query else "",
        is_last=not page.next_query,
    )


def _jump(query: QueryDict) -> QueryDict:
    """Return a query with the cursor before a line in place of the line to which somebody wants to go."""
    line = query.get("line", "")
    changed = query.copy()
    changed.pop("line", None)
    if line.isascii() and line.isdigit() and len(line) < WHOLE_NUMBER_MAX_DIGITS and int(line) > 1:
        changed["after"] = str(int(line) - 1)
        changed.pop("from", None)
    return changed


def _search(batch: Batch, status: str, text: str, query: QueryDict, now: Snapshot) -> Page[Email]:
    """Read a page of the recipients whose name or address has every word of a text."""
    cursor = str(query.get("after", ""))
    try:
        [after] = parse(cursor, count=1) if cursor else [0]
    except CursorFault:
        after = 0
    found, looked_to = _find_matches(batch, status, text, after=after, now=now)
    rest = found[:PAGE_SIZE]
    if len(found) > PAGE_SIZE:
        looked_to = rest[-1].row
    return make_page(rest, query=query, following=str(looked_to) if looked_to else None, is_first=not after)


def _find_matches(batch: Batch, status: str, text: str, *, after: int, now: Snapshot) -> tuple[list[Email], int | None]:
    """Find one email more than a page has, and the row up to which was looked. None: to the end, or far enough."""
    emails = _filter(batch, status).order_by("row")
    few = find_few_rows(batch, EmailStatus(status), now) if status in _ENDED_STATES else None
    if few is not None:
        wanted = [row for row in few if row > after]
        return sift(emails.filter(row__in=wanted), batch, text)[: PAGE_SIZE + 1], None
    found: list[Email] = []
    group_count = 0
    for rows in search_rows(batch, text, after_row=after):
        if not rows:
            continue
        found += emails.filter(row__in=rows)[: PAGE_SIZE + 1 - len(found)]
        group_count += 1
        if len(found) > PAGE_SIZE:
            break
        if group_count == SEARCHED_GROUPS:
            return found, rows[-1]
    return found, None


def _filter(batch: Batch, status: str) -> EmailQuerySet:
    """Return the emails of a tab, of which the caller reads some rows by their numbers."""
    emails = batch.emails.with_state()
    if status in RETURN_MEANINGS:
        return filter_returned(emails, batch_id=batch.pk, state=EmailState(status))
    if status == EmailStatus.PENDING:
        return emails.filter(status__in=OPEN_STATUSES)
    return emails.in_state(status) if status in EmailStatus.values else emails


def _find_emails(batch: Batch, status: str, now: Snapshot) -> EmailQuerySet | Walk[Email]:
    emails = batch.emails.with_state()
    if status in RETURN_MEANINGS:
        return filter_returned(emails, batch_id=batch.pk, state=EmailState(status))
    if status in EmailStatus.values:
        return find_in_states(batch, OPEN_STATUSES if status == EmailStatus.PENDING else [EmailStatus(status)], now)
    return Walk([emails])


def _say_meaning(status: str, batch: Batch) -> str:
    if status == REJECTED and batch.source == BatchSource.UPLOAD:
        return REJECTED_LINES_MEANING
    if status in REJECTED_MEANINGS:
        return REJECTED_MEANINGS[status]
    if status in RETURN_MEANINGS:
        return RETURN_MEANINGS[EmailState(status)]
    return STATE_MEANINGS[EmailStatus(status)] if status in EmailStatus.values else ""


def _make_tabs(batch: Batch, now: Snapshot, *, hidden_count: int, chosen: str) -> list[Tab]:
    counts = {
        "": ("All", now["total"], "total"),
        EmailStatus.SENT: (EmailStatus.SENT.label, now["sent"], "sent"),
        EmailState.RETURNED: (EmailState.RETURNED.label, now["returned"], "returned"),
        EmailState.COMPLAINED: (EmailState.COMPLAINED.label, now["complained"], "complained"),
        EmailStatus.FAILED: (EmailStatus.FAILED.label, now["failed"], "failed"),
        EmailStatus.UNKNOWN: (EmailStatus.UNKNOWN.label, now["unknown"], "unknown"),
        EmailStatus.PENDING: (EmailStatus.PENDING.label, now["pending"], "pending"),
        EmailStatus.SUPPRESSED: (EmailStatus.SUPPRESSED.label, now["suppressed"], "suppressed"),
        EmailStatus.CANCELLED: (EmailStatus.CANCELLED.label, now["cancelled"], "cancelled"),
        REJECTED: ("Rejected rows", batch.rejected_count + batch.duplicate_count, ""),
        HIDDEN: ("Hidden rows", hidden_count, ""),
    }
    return [
        Tab(value=value, label=str(label), count=count, is_chosen=value == chosen, live_count=live_count)
        for value, (label, count, live_count) in counts.items()
        if count or value in ("", chosen)
    ]
