"""The failures of a batch by what the mail server said: the recipients of one group, and the button that sends to them
again.

A batch's id and the key of a group enter. A page or a redirect leaves. ``api.exports`` has the download.
"""

from __future__ import annotations

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from batches.accounts.proof import require_fresh_proof
from batches.jobs import creation
from batches.jobs.failure_groups import FoundGroup, find_choice, find_group
from batches.jobs.lifecycle import JobRefused
from batches.models import Batch, JobKind
from batches.paging import read_page
from batches.permissions import Act, find_missing
from batches.progress import read_snapshot
from batches.web.listed_emails import list_emails
from batches.web.progressbar import ENDED
from batches.web.requests import SignedInRequest, find_batch, posted_from
from batches.web.steering import say_being_sent

DOMAIN = "at"
"""The parameter that limits a group to one domain."""


@require_safe
@login_required
def show_group(request: SignedInRequest, batch_id: int, key: str) -> HttpResponse:
    """List the recipients to whom the mail server gave the same answer, of as many failures as a page looks at."""
    batch = find_batch(request, batch_id)
    found = _find_group(request, batch, key)
    page = read_page(batch.emails.with_state().filter(pk__in=found.ids), order=["pk"], query=request.GET)
    context = {
        "batch": batch,
        "choice": found.choice,
        "count": len(found.ids),
        "scope": found.scope,
        "emails": page,
        "listed_emails": list_emails(page.rows),
        "may_send": _may_send(request, batch),
    }
    return render(request, "batches/failure_group.html", context)


@posted_from("failures", "batch_id", "key")
def send_group(request: SignedInRequest, batch_id: int, key: str) -> HttpResponse:
    """Send to the recipients of a group again, as a replay of the failed that is limited to them."""
    batch = find_batch(request, batch_id, act=Act.RESTART)
    require_fresh_proof(request, recipient_count=batch.total_count)
    try:
        choice = find_choice(batch, key, domain=request.POST.get(DOMAIN, ""))
        job = creation.replay_batch(batch, which=JobKind.FAILED, user=request.user, failure=choice)
    except creation.ApprovalAsked:
        pass  # the page of the batch says what it waits for
    except JobRefused as exc:
        messages.error(request, str(exc))
    else:
        messages.success(request, say_being_sent(job.total_count))
    return redirect("batch", batch_id=batch.pk)


def _find_group(request: SignedInRequest, batch: Batch, key: str) -> FoundGroup:
    """Find a group.

    Raises:
        Http404: No failure is of this group, perhaps because it was sent again.
    """
    now = read_snapshot(batch.pk)
    try:
        return find_group(batch, key, domain=request.GET.get(DOMAIN, ""), count=now["failed"] if now else 0)
    except JobRefused as exc:
        raise Http404(_("No failed email of this batch has this answer now.")) from exc


def _may_send(request: SignedInRequest, batch: Batch) -> bool:
    is_over = batch.status in ENDED and batch.purged_at is None
    return is_over and find_missing(request.user, batch, Act.RESTART) is None
