"""The table of a batch's recipients: its tabs, and a page of its rows.

A batch, a tab and the query of a page enter. The context of ``batches/recipients.html`` leaves.
"""

from __future__ import annotations

from dataclasses import dataclass

from django.db.models import Q

from batches.models import Batch, Email, EmailQuerySet, EmailState, EmailStatus, RejectionKind
from batches.paging import Walk, read_page
from batches.progress import Snapshot
from batches.returns.summary import filter_returned
from batches.state_search import OPEN_STATUSES, find_in_states
from batches.web.findings import count_hidden_rows
from batches.web.listed_emails import list_emails
from batches.web.requests import SignedInRequest
from batches.wording import HIDDEN_MEANING, REJECTED_MEANING, RETURN_MEANINGS, STATE_MEANINGS

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
    return {
        "has_rejected_rows": batch.rejected_count or batch.duplicate_count or hidden_count,
        "tabs": _make_tabs(batch, now, hidden_count=hidden_count, chosen=status),
        "meaning": _say_meaning(status, batch),
        **_read_rows(request, batch, status, now),
    }


def _read_rows(request: SignedInRequest, batch: Batch, status: str, now: Snapshot) -> dict[str, object]:
    if status in (REJECTED, HIDDEN):
        is_hidden = Q(kind=HIDDEN)
        rows = batch.rejected_rows.filter(is_hidden if status == HIDDEN else ~is_hidden)
        return {"rejected": read_page(rows, order=["line", "pk"], query=request.GET)}
    page = read_page(_find_emails(batch, status, now), order=["row"], query=request.GET)
    return {"emails": page, "listed_emails": list_emails(page.rows)}


def _find_emails(batch: Batch, status: str, now: Snapshot) -> EmailQuerySet | Walk[Email]:
    emails = batch.emails.with_state()
    if status in RETURN_MEANINGS:
        return filter_returned(emails, batch_id=batch.pk, state=EmailState(status))
    if status in EmailStatus.values:
        return find_in_states(batch, OPEN_STATUSES if status == EmailStatus.PENDING else [EmailStatus(status)], now)
    return Walk([emails])


def _say_meaning(status: str, batch: Batch) -> str:
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
