"""The card of a batch's page that shows what was sent: from whom, the message of a chosen person, and who sent it when.

A batch and the query of its page enter. The context of ``batches/batch_message.html`` leaves.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Q
from django.utils.translation import gettext as _

from batches.directory import find_row
from batches.models import Approval, ApprovalStatus, Batch, Email, EmailJob, JobStatus
from batches.web.message import SEARCHED_ROWS, find_near, is_row_number
from batches.web.requests import SignedInRequest
from batches.web.sent_message import FRAME_SANDBOX, read_sent_message
from batches.wording import outline

SHOW_FOR = "for"
"""The parameter of the query that names the person: the line, the address, or a part of the address or a cell."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """Somebody did something with the batch."""

    words: str
    who: str
    at: datetime | None


def describe_message(request: SignedInRequest, batch: Batch, job: EmailJob | None) -> dict[str, object]:
    """Describe the message of a batch that was sent. A draft has none yet: its review shows it."""
    if job is None:
        return {"sent_message": None}
    wanted = request.GET.get(SHOW_FOR, "").strip()
    email = find_recipient(batch, wanted) if wanted else None
    missed = wanted if wanted and email is None else ""
    email = email or batch.emails.with_state().order_by("row").first()
    sent = read_sent_message(batch, email, user_id=request.user.pk) if email else None
    return {
        "sent_message": sent,
        "message_job": job,
        "plain_subject": outline(job.subject),
        "message_steps": list(_list_steps(batch, job)),
        "show_for": wanted,
        "missed": missed,
        "searched_rows": SEARCHED_ROWS,
        "sandbox": FRAME_SANDBOX,
    }


def find_recipient(batch: Batch, wanted: str) -> Email | None:
    """Find a recipient of a batch by the line, by the address, or by a part of the name, the address or a cell."""
    emails = batch.emails.with_state().order_by("row")
    if is_row_number(wanted):
        number = int(wanted)
        return emails.filter(Q(line=number) | Q(line=None, row=number)).first()
    row = find_row(batch, wanted)
    found = emails.filter(row=row).first() if row is not None else None
    return found or find_near(emails, wanted)


def _list_steps(batch: Batch, job: EmailJob) -> Iterator[Step]:
    """List who made, approved and sent the batch. ``job`` is the last one; the first is the one that was sent."""
    nobody = _("a program")
    yield Step(words=_("Created"), who=str(batch.created_by or nobody), at=batch.created_at)
    approved = Approval.objects.filter(batch=batch, status=ApprovalStatus.APPROVED).order_by("pk")
    for approval in approved.select_related("asked_by", "decided_by"):
        yield Step(words=_("Approval asked for"), who=str(approval.asked_by or nobody), at=approval.asked_at)
        yield Step(words=_("Approved"), who=str(approval.decided_by or nobody), at=approval.decided_at)
    first = batch.jobs.select_related("created_by").order_by("pk").first() or job
    is_scheduled = first.status == JobStatus.SCHEDULED
    words = _("Scheduled") if is_scheduled else _("Sent")
    yield Step(words=words, who=str(first.created_by or nobody), at=first.created_at)
    if first.started_at:
        yield Step(words=_("Began"), who="", at=first.started_at)
