"""The question before a list is sent without a review: to how many, from whom, with which subject.

A draft and the chosen letter enter. The question leaves, whose button posts to the review's send; or the review, if
something has to be corrected first.
"""

from __future__ import annotations

from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_safe

from batches import audit
from batches.jobs import approvals
from batches.jobs.user_limits import find_refusal
from batches.models import AuditAction, BatchStatus
from batches.permissions import Act
from batches.rendering.template import TemplateFault
from batches.reviewing import review
from batches.web.message import read_choice
from batches.web.requests import SignedInRequest, find_batch
from batches.web.review import REVIEWED, review_address
from batches.wording import say_suppressed


@require_safe
@login_required
def ask(request: SignedInRequest, batch_id: int) -> HttpResponse:
    """Ask once whether to send a draft. What can't be sent as it is leads to its review."""
    batch = find_batch(request, batch_id, act=Act.SEND)
    if batch.status != BatchStatus.DRAFT:
        return redirect("batch", batch_id=batch.pk)
    choice = read_choice(batch, request.GET, user=request.user)
    digest = choice.digest()  # first: what changes while the page is drawn is then refused, and not sent unseen
    try:
        message = choice.render()
        topic_id = choice.topic.pk if choice.topic else None
        sender_id = choice.sender.pk if choice.sender else None
        found = review(batch, choice.parts(), sender_id=sender_id, topic_id=topic_id, reader=request.user)
    except TemplateFault:  # the review shows the fault
        return redirect(review_address(choice))
    if not digest or not found.to_send_count or find_refusal(request.user, batch.total_count):
        return redirect(review_address(choice))
    audit.record_once(AuditAction.REVIEW, batch, digest=digest)
    context = {
        "batch": batch,
        "choice": choice,
        "message": message,
        "review": found,
        "digest": digest,
        "reviewed_field": REVIEWED,
        "review_address": review_address(choice),
        "suppressed": say_suppressed(found.suppressed),
        "needs_approval": approvals.is_needed(found.to_send_count),
    }
    return render(request, "batches/at_once.html", context)
