"""The pages of approvals: what waits, the review of one batch for its approver, and the buttons that answer.

An approver's request enters. A page leaves that shows the list and the message that would go out, read only; or a
redirect after the answer.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial, wraps
from urllib.parse import urlencode

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_safe

from batches import reviewing
from batches.accounts.proof import require_fresh_proof
from batches.jobs import approvals
from batches.jobs.lifecycle import JobRefused
from batches.jobs.opening import Sending
from batches.jobs.reviewed import ReviewChanged
from batches.mailboxes import split_mailbox
from batches.models import Approval, ApprovalStatus, Batch, JobKind
from batches.paging import read_page
from batches.permissions import Permission, may, require
from batches.rendering import children
from batches.rendering.template import Rendered, TemplateFault
from batches.web.list_view import NO_TEMPLATE
from batches.web.message import MessageChoice, read_choice
from batches.web.middleware import MESSAGE_POLICY
from batches.web.requests import SignedInRequest, posted_from
from batches.wording import say_suppressed

Answer = Callable[[SignedInRequest, Batch], str]
"""Gives an answer, and returns the sentence that says so. Raises ``JobRefused``."""


@require_safe
@login_required
def show_approvals(request: SignedInRequest) -> HttpResponse:
    """List what waits for approval, the oldest first."""
    require(request.user, Permission.APPROVE_BATCH)
    page = read_page(approvals.list_waiting(), order=["pk"], query=request.GET)
    if approvals.void_changed(among=[each.pk for each in page.rows]):
        page = read_page(approvals.list_waiting(), order=["pk"], query=request.GET)
    return render(request, "batches/approvals.html", {"waiting": page.rows, "page": page})


@require_safe
@login_required
def show_approval(request: SignedInRequest, batch_id: int) -> HttpResponse:
    """Show what would go out, to whom, from whom and when, with the buttons that answer."""
    return _show(request, _find_batch(request, batch_id))


@require_safe
@login_required
def show_message(request: SignedInRequest, batch_id: int) -> HttpResponse:
    """Show the HTML of one row's message. The page puts it into a frame in which nothing runs."""
    batch = _find_batch(request, batch_id)
    sending = approvals.find_sending(batch)
    choice = read_choice(batch, request.GET, user=request.user)
    message = _render(request, sending, choice) if sending else ""
    html = message.html if isinstance(message, Rendered) else ""
    return HttpResponse(html, headers={"Content-Security-Policy": MESSAGE_POLICY})


def _answering(answer: Answer) -> Callable[..., HttpResponse]:
    """Make the view of a button. A refused answer shows the page again, as it is now, with the reason."""

    @posted_from("approval", "batch_id")
    @wraps(answer)
    def respond(request: SignedInRequest, batch_id: int) -> HttpResponse:
        batch = _find_batch(request, batch_id)
        try:
            sentence = answer(request, batch)
        except Batch.DoesNotExist as exc:
            raise Http404(f"Batch {batch_id} was discarded meanwhile.") from exc
        except JobRefused as exc:
            status = exc.http_status if isinstance(exc, ReviewChanged) else 409
            return _show(request, batch, error=str(exc), status=status)
        messages.success(request, sentence)
        if may(request.user, Permission.APPROVE_BATCH):
            return redirect("approvals")
        return redirect("batch", batch_id=batch.pk)

    return respond


@_answering
def approve(request: SignedInRequest, batch: Batch) -> str:
    """Approve exactly what the page has shown."""
    require_fresh_proof(request, recipient_count=batch.total_count)
    job = approvals.approve(batch, digest=request.POST.get("digest", ""), by=request.user)
    at = " at its time" if job.scheduled_at else ""
    return f"You approved “{batch.title}”. It goes out to {job.total_count:,} recipients{at}."


@_answering
def refuse(request: SignedInRequest, batch: Batch) -> str:
    """Refuse, with the reason that the asker will read."""
    approvals.refuse(batch, by=request.user, reason=request.POST.get("reason", ""))
    return f"You refused “{batch.title}”. Nothing is sent."


@_answering
def withdraw(request: SignedInRequest, batch: Batch) -> str:
    """Take the question back."""
    approvals.withdraw(batch, by=request.user)
    return f"“{batch.title}” no longer waits for approval. Nothing is sent."


def _find_batch(request: SignedInRequest, batch_id: int) -> Batch:
    """Find a batch that the user may see, or that waits for an approval that the user may give.

    Raises:
        Http404: there is none, or it never waited for an approval.
    """
    batch = approvals.find_batches(request.user).select_related("created_by").filter(pk=batch_id).first()
    if batch is None or not batch.approvals.exists():
        raise Http404(f"Batch {batch_id} waits for no approval.")
    return batch


def _show(request: SignedInRequest, batch: Batch, *, error: str = "", status: int = 200) -> HttpResponse:
    batch.refresh_from_db()
    approval = approvals.find_current(batch)
    assert approval is not None  # noqa: S101  (_find_batch has found one, and none is ever deleted)
    sending = approvals.find_sending(batch) if approval.status == ApprovalStatus.WAITING else None
    context: dict[str, object] = {
        "batch": batch,
        "approval": approval,
        "error": error,
        "is_own": request.user.pk in (approval.asked_by_id, batch.created_by_id),
        "may_approve": may(request.user, Permission.APPROVE_BATCH),
        "may_see_batch": Batch.objects.visible_to(request.user).filter(pk=batch.pk).exists(),
    }
    if sending is not None:
        context |= _describe(request, batch, approval, sending)
    return render(request, "batches/approval.html", context, status=status)


def _describe(request: SignedInRequest, batch: Batch, approval: Approval, sending: Sending) -> dict[str, object]:
    choice = read_choice(batch, request.GET, user=request.user)
    message = _render(request, sending, choice)
    row = choice.email.row if choice.email else ""
    review = _review(request, batch, sending)
    return {
        "choice": choice,
        "review": review,
        "suppressed": say_suppressed(review.suppressed),
        "message": message if isinstance(message, Rendered) else None,
        "fault": "" if isinstance(message, Rendered) else message,
        "frame": f"{reverse('approval-message', args=[batch.pk])}?{urlencode({'row': row})}",
        "comes_from": split_mailbox(sending.sender.from_email),
        "replies_to": split_mailbox(sending.sender.reply_to) if sending.sender.reply_to else None,
        "replay": JobKind(approval.kind).label if approval.kind != JobKind.FIRST else "",
    }


def _review(request: SignedInRequest, batch: Batch, sending: Sending) -> reviewing.Review:
    compare = partial(
        reviewing.review,
        batch,
        sender_id=sending.sender.sender_id,
        topic_id=sending.topic.pk if sending.topic else None,
        reader=request.user,
    )
    try:
        return compare(sending.parts)
    except TemplateFault:  # the page shows the fault in place of the message
        return compare(NO_TEMPLATE)


def _render(request: SignedInRequest, sending: Sending, choice: MessageChoice) -> Rendered | str:
    """Render the message of the chosen row, or say why that is impossible."""
    if choice.email is None:
        return "The list has no recipients, so there is no message to show."
    try:
        return children.render(
            sending.parts,
            choice.context(),
            address_heading=choice.batch.address_heading,
            user_id=request.user.pk,
        )
    except TemplateFault as exc:
        return str(exc)
