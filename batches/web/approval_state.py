"""The part of a page that says what became of a batch's approval. A batch enters, its Approval leaves, or none."""

from __future__ import annotations

from batches.jobs import approvals
from batches.models import Approval, ApprovalStatus, Batch


def find_open_approval(batch: Batch) -> Approval | None:
    """Return the last approval if it waits, or if nothing was sent since it was refused or became void."""
    approval = approvals.find_current(batch)
    if approval is None or approval.status == ApprovalStatus.WAITING:
        return approval
    if approval.status == ApprovalStatus.APPROVED or batch.jobs.filter(created_at__gte=approval.asked_at).exists():
        return None
    return approval
