"""The failed emails of a batch, grouped by what the mail server said.

The id of a batch enters. The groups leave, each with the key by which a replay can be limited to it.
"""

from __future__ import annotations

from django.http import HttpRequest
from ninja import Router

from batches import progress
from batches.api.batches import find_batch
from batches.api.replay_schemas import FailureDomainOut, FailureGroupOut, FailuresOut
from batches.jobs.failure_groups import group_failures

router = Router(tags=["batches"])


@router.get("/batches/{int:batch_id}/failures", response=FailuresOut)
def list_failures(request: HttpRequest, batch_id: int) -> FailuresOut:
    """The failed emails of a batch, grouped by the answer of the mail server."""
    batch = find_batch(request, batch_id)
    snapshot = progress.read_snapshot(batch.pk)
    found = group_failures(batch, snapshot["failed"] if snapshot else 0)
    return FailuresOut(
        groups=[
            FailureGroupOut(
                key=group.key,
                words=group.words,
                count=group.count,
                domains=[FailureDomainOut(domain=domain, count=count) for domain, count in group.domains],
            )
            for group in found.groups
        ],
        otherCount=found.other_count,
        isPartial=found.is_partial,
    )
