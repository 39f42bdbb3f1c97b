"""The page of one batch: its progress, the buttons that steer it, and the state of each recipient's email.

A batch's id and a tab enter. A page leaves, which the script then keeps up to date from snapshots.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable

from django.contrib.auth.context_processors import PermWrapper
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.translation import get_language
from django.views.decorators.http import require_safe

from batches.feeds import count_watchers, shared_seconds
from batches.jobs.failure_groups import group_failures
from batches.jobs.forecasts import read_snapshot
from batches.jobs.left_out import read_left_out
from batches.jobs.queues import fleet_status
from batches.models import Batch, BatchStatus
from batches.permissions import Act, say_refusal
from batches.progress import Snapshot
from batches.returns.summary import summarise
from batches.web.approval_state import find_open_approval
from batches.web.batch_message import describe_message
from batches.web.chart import make_chart
from batches.web.fragments import FragmentCache, answer_fragment
from batches.web.job_history import list_jobs
from batches.web.progressbar import ENDED, make_card
from batches.web.recipient_table import show_recipients
from batches.web.requests import SignedInRequest, find_batch
from batches.web.steering import list_acts, make_buttons
from batches.web.ways_on import TIME_FIELD, make_time_form
from batches.wording import NO_WORKER, WAITING, say_rate, say_suppressed, say_why_waiting

fragments = FragmentCache()


@require_safe
@login_required
def show_batch(request: SignedInRequest, batch_id: int) -> HttpResponse:
    """Show a batch. With ``?part=``, answer only those of its PARTS, for the script of an open page."""
    batch = find_batch(request, batch_id)
    if "part" in request.GET:
        return _answer_parts(request, batch)
    now = read_snapshot(batch.pk)
    if now is None:  # somebody deleted the batch between the two queries
        return redirect("batches")
    job = batch.jobs.order_by("-pk").first()
    acts = list_acts(request.user, batch)
    context: dict[str, object] = {
        "card": make_card(batch, now),
        "job": job,
        **describe_message(request, batch, job),
        "buttons": [] if batch.purged_at else make_buttons(now, acts),  # nothing of it can be sent again
        "refusal": _say_refusal(request, batch, acts),
        "may_rename": Act.STOP in acts,
        "admin_address": _find_admin_address(request, batch),
        "time_form": make_time_form(request.GET, job.scheduled_at if job else None),
        "asks_time_again": TIME_FIELD in request.GET,
        "draft": BatchStatus.DRAFT,
        "ended": ENDED,
        "not_ended": [status for status in BatchStatus if status not in (BatchStatus.DRAFT, *ENDED)],
        "not_draft": [status for status in BatchStatus if status != BatchStatus.DRAFT],
        "scheduled": BatchStatus.SCHEDULED,
        "rate": say_rate(now),
        "waiting": _say_fault(now),
        "no_worker": NO_WORKER,
        "may_wait": WAITING,
        "moving": BatchStatus.PROCESSING,
        "left_out": say_suppressed(read_left_out(batch, now).reasons) if now["suppressed"] else "",
        "batch": batch,
        "shown": _list_shown(now),
    }
    for describe, _template in PARTS.values():
        context |= describe(request, batch, now)
    return render(request, "batches/batch.html", context)


def _find_admin_address(request: SignedInRequest, batch: Batch) -> str:
    """Return the address of the batch in the admin, for those who may open it there."""
    may_open = request.user.is_staff and request.user.has_perm("batches.view_batch")
    return reverse("admin:batches_batch_change", args=[batch.pk]) if may_open else ""


def _describe_notes(request: SignedInRequest, batch: Batch, now: Snapshot) -> dict[str, object]:
    """Describe the short parts that no snapshot holds."""
    return {
        "approval": find_open_approval(batch),
        "came_back": summarise(batch.pk, returned=now["returned"], complained=now["complained"]),
        "chart": make_chart(batch),
        "failures": group_failures(batch, now["failed"]) if now["failed"] else None,
        "may_send_group": now["status"] in ENDED
        and not batch.purged_at
        and Act.RESTART in list_acts(request.user, batch),
        "past_jobs": list_jobs(batch),
    }


Describe = Callable[[SignedInRequest, Batch, Snapshot], dict[str, object]]

PARTS: dict[str, tuple[Describe, str]] = {
    "notes": (_describe_notes, "batches/batch_notes.html"),
    "rows": (show_recipients, "batches/recipients.html"),
}
"""The parts of the page that its script fetches again: what describes each, and its template.

The templates are rendered without a request, and shared by everybody who may see the same: see ``_key_of``.
"""


def _say_fault(now: Snapshot) -> str:
    """Say why nothing is sent, unless the snapshot says it already."""
    fault = say_why_waiting(BatchStatus(now["status"]), fleet_status())
    return "" if fault == now["waitingFor"] else fault


def _list_shown(now: Snapshot) -> str:
    """List what tells whether the parts may have changed. ``static/js/batch.js`` lists the same of each snapshot."""
    counts = (now["processed"], now["sent"], now["failed"], now["unknown"], now["returned"], now["complained"])
    return ",".join([now["status"], now["waitingFor"] or "", *map(str, counts)])


def _answer_parts(request: SignedInRequest, batch: Batch) -> HttpResponse:
    query = request.GET.copy()
    asked = query.pop("part")
    parts = [part for part in PARTS if part in asked]
    request.GET = query  # type: ignore[assignment]  # so that the links of the next page name no part
    key = _key_of(request, batch, parts)
    fragment = fragments.get(
        key, lambda: _render_parts(request, batch, parts), shared_seconds=shared_seconds(count_watchers())
    )
    return answer_fragment(request, fragment)


def _key_of(request: SignedInRequest, batch: Batch, parts: Collection[str]) -> Hashable:
    """Return what a fragment depends on, besides the tables."""
    rights = (
        request.user.is_staff,
        batch.created_by_id == request.user.pk,
        *sorted(request.user.get_all_permissions()),
    )
    return (batch.pk, *parts, request.GET.urlencode(), get_language(), rights)


def _render_parts(request: SignedInRequest, batch: Batch, parts: Collection[str]) -> str:
    now = read_snapshot(batch.pk)
    if now is None:
        return ""
    context: dict[str, object] = {"batch": batch, "perms": PermWrapper(request.user)}
    for part in parts:
        context |= PARTS[part][0](request, batch, now)
    return "".join(render_to_string(PARTS[part][1], context) for part in parts)


def _say_refusal(request: SignedInRequest, batch: Batch, acts: Collection[Act]) -> str:
    """Say why buttons are missing. Empty: none is. A draft has only the button that leads to its review."""
    wanted = (Act.SEND,) if batch.status == BatchStatus.DRAFT else (Act.STOP, Act.RESTART)
    return next((say_refusal(request.user, batch, act) for act in wanted if act not in acts), "")
