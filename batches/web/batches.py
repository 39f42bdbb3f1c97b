"""The page of one batch: its progress, the buttons that steer it, and the state of each recipient's email.

A batch's id and a tab enter. A page leaves, which the script then keeps up to date from snapshots.
"""

from __future__ import annotations

from collections.abc import Collection

from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_safe

from batches.jobs.forecasts import read_snapshot
from batches.jobs.queues import fleet_status
from batches.mailboxes import split_mailbox
from batches.models import Batch, BatchStatus
from batches.permissions import Act, say_refusal
from batches.returns.summary import summarise
from batches.suppressions import count_ended
from batches.web.approval_state import find_open_approval
from batches.web.progressbar import make_card
from batches.web.recipient_table import show_recipients
from batches.web.requests import SignedInRequest, find_batch
from batches.web.steering import list_acts, make_buttons
from batches.wording import NO_WORKER, WAITING, say_rate, say_suppressed, say_why_waiting


@require_safe
@login_required
def show_batch(request: SignedInRequest, batch_id: int) -> HttpResponse:
    """Show the progress of a batch, the buttons that steer it, and the state of each recipient's email."""
    batch = find_batch(request, batch_id)
    now = read_snapshot(batch.pk)
    if now is None:  # somebody deleted the batch between the two queries
        return redirect("batches")
    job = batch.jobs.order_by("-pk").first()
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
        "rate": say_rate(now),
        "waiting": say_why_waiting(BatchStatus(now["status"]), fleet_status()),
        "no_worker": NO_WORKER,
        "may_wait": WAITING,
        "moving": BatchStatus.PROCESSING,
        "left_out": say_suppressed(count_ended(batch.pk)) if now["suppressed"] else "",
        **show_recipients(request, batch, now),
    }
    return render(request, "batches/batch.html", context)


def _say_refusal(request: SignedInRequest, batch: Batch, acts: Collection[Act]) -> str:
    """Say why buttons are missing. Empty: none is. A draft has only the button that leads to its review."""
    wanted = (Act.SEND,) if batch.status == BatchStatus.DRAFT else (Act.STOP, Act.RESTART)
    return next((say_refusal(request.user, batch, act) for act in wanted if act not in acts), "")
