"""The shapes of approvals in answers."""

from __future__ import annotations

from datetime import datetime

from ninja import Field, Schema

from batches.models import Approval, ApprovalStatus, JobKind, JobPriority


class ApprovalOut(Schema):
    """The question whether a batch may be sent as it was reviewed, and the answer."""

    id: int
    batchId: int
    status: ApprovalStatus = Field(description="void: what was asked about has changed, so nothing was sent.")
    digest: str = Field(description="Of exactly what was asked. `approve` takes it.")
    kind: JobKind = Field(description="What would be sent: first to everybody; or a replay.")
    totalCount: int = Field(description="To how many recipients it would be sent.")
    templateId: str | None = Field(description="null for a template that was deleted.")
    subject: str = Field(description="Replaces the template's subject. Empty: it does not.")
    sender: str = Field(description="The key of the sender. Empty for a replay: the sender of the last job.")
    topic: str = Field(description="The key of the topic that was chosen. Empty: the template's.")
    scheduledAt: datetime | None
    priority: JobPriority
    askedBy: str | None
    askedAt: datetime
    decidedBy: str | None
    decidedAt: datetime | None
    reason: str = Field(description="Why it was refused or became void.")


class ApprovalList(Schema):
    items: list[ApprovalOut]
    next: str | None = Field(description="Always null: the list has one page.")


def describe_approval(approval: Approval) -> ApprovalOut:
    return ApprovalOut(
        id=approval.pk,
        batchId=approval.batch_id,
        status=ApprovalStatus(approval.status),
        digest=approval.digest,
        kind=JobKind(approval.kind),
        totalCount=approval.recipient_count,
        templateId=approval.template.key if approval.template else None,
        subject=approval.subject,
        sender=approval.sender_key,
        topic=approval.topic_key,
        scheduledAt=approval.scheduled_at,
        priority=JobPriority(approval.priority),
        askedBy=approval.asked_by.get_username() if approval.asked_by else None,
        askedAt=approval.asked_at,
        decidedBy=approval.decided_by.get_username() if approval.decided_by else None,
        decidedAt=approval.decided_at,
        reason=approval.reason,
    )
