"""The pages that show batches: the list of batches, and one batch with the state of each of its emails.

A batch's id and a tab enter. A page leaves, which the script then keeps up to date from snapshots.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from django.contrib.auth.decorators import login_required
from django.db.models import Q
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_safe

from batches.history import JOB_LABELS, OUTCOME_LABELS, History, read_histories
from batches.jobs.forecasts import read_snapshot
from batches.jobs.queues import fleet_status
from batches.mailboxes import split_mailbox
from batches.models import Batch, BatchStatus, Email, EmailState, EmailStatus, RejectionKind, Return
from batches.models.sql import AttemptRow
from batches.paging import read_page
from batches.permissions import Act, say_refusal
from batches.progress import Snapshot
from batches.returns.summary import RETURN_KINDS, filter_returned, read_returns, say_answer, say_return, summarise
from batches.suppressions import count_ended
from batches.web.approval_state import find_open_approval
from batches.web.findings import count_hidden_rows
from batches.web.progressbar import make_card, make_cards
from batches.web.requests import SignedInRequest, batches_of, find_batch
from batches.web.steering import list_acts, make_buttons
from batches.wording import (
    HIDDEN_MEANING,
    NO_WORKER,
    REJECTED_MEANING,
    RETURN_MEANINGS,
    STATE_MEANINGS,
    WAITING,
    say_rate,
    say_suppressed,
    say_why_waiting,
)

REJECTED = "rejected"
"""The value of the tab that lists the rejected rows. All tabs but this and the next list emails by their state."""

HIDDEN = RejectionKind.HIDDEN
"""The value of the tab that lists the rows that the sheet hides."""

REJECTED_MEANINGS = {REJECTED: REJECTED_MEANING, HIDDEN: HIDDEN_MEANING}

OPEN_STATUSES = (EmailStatus.PENDING, EmailStatus.SENDING)
"""What the tab Pending lists: every email that has not ended. A snapshot counts them together, as ``pending``."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Tab:
    """One way to filter the table of recipients."""

    value: str
    label: str
    count: int
    is_chosen: bool
    live_count: str
    """The count of a snapshot that keeps the tab up to date, or an empty string."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ListedAttempt:
    """An attempt as the table lists it, oldest first."""

    attempt: AttemptRow
    outcome: str
    job: str


@dataclass(frozen=True, kw_only=True, slots=True)
class ListedReturn:
    """A report about an email as the table lists it, oldest first."""

    report: Return
    words: str
    """What it means."""
    answer: str
    """What the receiver said."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ListedEmail:
    """An email as the table lists it."""

    email: Email
    history: History
    attempts: list[ListedAttempt]
    is_to_be_retried: bool
    """Whether the email waits for its next attempt, whose time is then known."""
    returns: list[ListedReturn]

    @property
    def attempt_count(self) -> int:
        """How many attempts there were in all jobs. The email's own count is of its last job."""
        return max(self.email.attempts, len(self.history.attempts))

    @property
    def has_more_to_tell(self) -> bool:
        """Whether there were attempts that the row's own record does not tell of."""
        return len(self.history.attempts) > (0 if self.history.job_id is None else 1)

    @property
    def return_states(self) -> list[EmailState]:
        """Say that it came back, or that its recipient complained, beside that it was sent."""
        kinds = {each.report.kind for each in self.returns}
        return [state for state, kind in RETURN_KINDS.items() if kind in kinds]


@require_safe
@login_required
def show_batches(request: SignedInRequest) -> HttpResponse:
    """List the batches that the user may see, newest first."""
    page = read_page(batches_of(request).select_related("created_by"), order=["-pk"], query=request.GET, size=25)
    return render(request, "batches/batches.html", {"page": page, "cards": make_cards(page.rows)})


@require_safe
@login_required
def show_batch(request: SignedInRequest, batch_id: int) -> HttpResponse:
    """Show the progress of a batch, the buttons that steer it, and the state of each recipient's email."""
    batch = find_batch(request, batch_id)
    now = read_snapshot(batch.pk)
    if now is None:  # somebody deleted the batch between the two queries
        return redirect("batches")
    job = batch.jobs.order_by("-pk").first()
    status = request.GET.get("status", "")
    hidden_count = count_hidden_rows(batch)
    acts = list_acts(request.user, batch)
    context = {
        "batch": batch,
        "card": make_card(batch, now),
        "job": job,
        "comes_from": split_mailbox(job.from_email) if job else None,
        "replies_to": split_mailbox(job.reply_to) if job and job.reply_to else None,
        "approval": find_open_approval(batch),
        "buttons": [] if batch.purged_at else make_buttons(now, acts),  # nothing of it can be sent again
        "refusal": _say_refusal(request, batch, acts),
        "draft": BatchStatus.DRAFT,
        "scheduled": BatchStatus.SCHEDULED,
        "came_back": summarise(batch.pk, returned=now["returned"], complained=now["complained"]),
        "has_rejected_rows": batch.rejected_count or batch.duplicate_count or hidden_count,
        "rate": say_rate(now),
        "waiting": say_why_waiting(BatchStatus(now["status"]), fleet_status()),
        "no_worker": NO_WORKER,
        "may_wait": WAITING,
        "moving": BatchStatus.PROCESSING,
        "tabs": _make_tabs(batch, now, hidden_count=hidden_count, chosen=status),
        "meaning": _say_meaning(status, batch),
        "left_out": say_suppressed(count_ended(batch.pk)) if now["suppressed"] else "",
        **_read_rows(request, batch, status),
    }
    return render(request, "batches/batch.html", context)


def _say_refusal(request: SignedInRequest, batch: Batch, acts: Collection[Act]) -> str:
    """Say why buttons are missing. Empty: none is. A draft has only the button that leads to its review."""
    wanted = (Act.SEND,) if batch.status == BatchStatus.DRAFT else (Act.STOP, Act.RESTART)
    return next((say_refusal(request.user, batch, act) for act in wanted if act not in acts), "")


def _read_rows(request: SignedInRequest, batch: Batch, status: str) -> dict[str, object]:
    if status in (REJECTED, HIDDEN):
        is_hidden = Q(kind=HIDDEN)
        rows = batch.rejected_rows.filter(is_hidden if status == HIDDEN else ~is_hidden)
        return {"rejected": read_page(rows, order=["line", "pk"], query=request.GET)}
    emails = batch.emails.with_state()
    if status in RETURN_MEANINGS:
        emails = filter_returned(emails, batch_id=batch.pk, state=EmailState(status))
    elif status == EmailStatus.PENDING:
        emails = emails.filter(status__in=OPEN_STATUSES)
    elif status in EmailStatus.values:
        emails = emails.in_state(status)
    page = read_page(emails, order=["row"], query=request.GET)
    return {"emails": page, "listed_emails": _list_emails(page.rows)}


def _list_emails(emails: Sequence[Email]) -> list[ListedEmail]:
    histories = read_histories(emails)
    returns = read_returns([email.pk for email in emails])
    return [
        ListedEmail(
            email=email,
            history=histories[email.pk],
            attempts=[
                ListedAttempt(
                    attempt=attempt, outcome=OUTCOME_LABELS[attempt.outcome], job=JOB_LABELS[attempt.job_kind]
                )
                for attempt in histories[email.pk].attempts
            ],
            is_to_be_retried=email.status == EmailStatus.PENDING and email.next_attempt_at is not None,
            returns=[
                ListedReturn(report=each, words=say_return(each), answer=say_answer(each))
                for each in returns.get(email.pk, [])
            ],
        )
        for email in emails
    ]


def _say_meaning(status: str, batch: Batch) -> str:
    if status in REJECTED_MEANINGS:
        return REJECTED_MEANINGS[status].format(places=f"{batch.place_word}s")
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
        Tab(value=value, label=label, count=count, is_chosen=value == chosen, live_count=live_count)
        for value, (label, count, live_count) in counts.items()
        if count or value in ("", chosen)
    ]
