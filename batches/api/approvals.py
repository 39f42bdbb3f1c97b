"""Approve for programs: list what waits, look at one approval, approve exactly its digest, refuse, or take it back.

A batch and an answer enter. The job leaves, or the Approval with the answer.
"""

from __future__ import annotations

from django.http import HttpRequest
from ninja import Field, Router, Status

from batches.api.approval_schemas import ApprovalList, ApprovalOut, describe_approval
from batches.api.batches import describe_sent
from batches.api.errors import ApiError, not_found
from batches.api.proof import require_session_proof
from batches.api.schemas import SentOut
from batches.api.unknown_fields import Body
from batches.jobs import approvals
from batches.jobs.reviewed import DIGEST_PATTERN
from batches.models import Approval, Batch
from batches.permissions import Permission, require

router = Router(tags=["approvals"])


class ApproveBatch(Body):
    digest: str = Field(pattern=DIGEST_PATTERN, description="The `digest` of the approval that you have looked at.")


class RefuseBatch(Body):
    reason: str = Field(min_length=1, max_length=approvals.REASON_MAX_CHARS, description="Why, for the asker.")


@router.get("/approvals", response=ApprovalList)
def list_approvals(request: HttpRequest) -> ApprovalList:
    """What waits for approval, the oldest first. Needs the permission to approve batches."""
    require(request.user, Permission.APPROVE_BATCH)
    approvals.void_changed()
    waiting = approvals.list_waiting().select_related("decided_by")
    return ApprovalList(items=[describe_approval(approval) for approval in waiting], next=None)


@router.get("/batches/{int:batch_id}/approval", response=ApprovalOut)
def get_approval(request: HttpRequest, batch_id: int) -> ApprovalOut:
    """The last approval of a batch, with its answer. 404 if the batch never needed one."""
    return describe_approval(_find_current(_find_batch(request, batch_id)))


@router.post("/batches/{int:batch_id}/approve", response={202: SentOut}, exclude_unset=True)
def approve_batch(request: HttpRequest, batch_id: int, payload: ApproveBatch) -> Status[SentOut]:
    """Approve exactly what `digest` stands for. It is then sent, at once or at its time, as a job of the asker.

    409 if something of it has changed: then nothing is sent, and the approval is void. Nobody approves their own.
    """
    batch = _find_batch(request, batch_id)
    require_session_proof(request, batch)
    return Status(202, describe_sent(approvals.approve(batch, digest=payload.digest, by=request.user)))


@router.post("/batches/{int:batch_id}/refuse", response=ApprovalOut)
def refuse_batch(request: HttpRequest, batch_id: int, payload: RefuseBatch) -> ApprovalOut:
    """Refuse an approval, with the reason. Nothing is sent. A draft stays, and can be corrected and sent again."""
    batch = _find_batch(request, batch_id)
    approvals.refuse(batch, by=request.user, reason=payload.reason)
    return describe_approval(_find_current(batch))


@router.post("/batches/{int:batch_id}/withdraw", response=ApprovalOut)
def withdraw_batch(request: HttpRequest, batch_id: int) -> ApprovalOut:
    """Take back a question that waits for approval."""
    batch = _find_batch(request, batch_id)
    approvals.withdraw(batch, by=request.user)
    return describe_approval(_find_current(batch))


def _find_batch(request: HttpRequest, batch_id: int) -> Batch:
    """Find a batch that the caller may see, or that waits for an approval that the caller may give.

    Raises:
        ApiError: 404, with the same sentence for a batch that does not exist and for another user's.
    """
    batch = approvals.find_batches(request.user).filter(pk=batch_id).first()
    if batch is None:
        raise not_found(f"batch {batch_id}")
    return batch


def _find_current(batch: Batch) -> Approval:
    current = approvals.find_current(batch)
    if current is None:
        raise ApiError(404, f"Batch {batch.pk} never needed an approval.")
    return current
