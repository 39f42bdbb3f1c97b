"""Which emails of a batch are being tried for the first time: their own rows don't say so yet."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.db.models import Q, QuerySet

from batches.models.choices import EmailStatus
from batches.models.email import Email
from batches.models.job import Lane


@dataclass(frozen=True, slots=True)
class Claims:
    """The rows that the lanes of a batch's live job hold, as ``read_claims`` found them."""

    rows: frozenset[int]
    job_id: int | None
    """The live job; None if there is none."""

    def state(self, *, status: str, row: int, next_attempt_at: datetime | None) -> str:
        """What to show for an email: its status, or ``sending`` if it is being tried for the first time."""
        is_claimed = status == EmailStatus.PENDING and next_attempt_at is None and row in self.rows
        return EmailStatus.SENDING if is_claimed else status

    def in_state(self, emails: QuerySet[Email], state: str) -> QuerySet[Email]:
        """Those of a batch's emails for which that would be shown."""
        is_claimed = Q(status=EmailStatus.PENDING, next_attempt_at=None, row__in=self.rows)
        if state == EmailStatus.SENDING:
            return emails.filter(is_claimed | Q(status=state))
        return emails.filter(status=state).exclude(is_claimed) if self.rows else emails.filter(status=state)


def read_claims(batch_id: int) -> Claims:
    """What is claimed now: at most a window for each lane."""
    live = Lane.objects.filter(job__batch=batch_id, job__completed_at=None)
    lanes: list[tuple[int, list[int]]] = list(live.values_list("job_id", "claimed_rows"))
    return Claims(
        rows=frozenset(row for _, rows in lanes for row in rows), job_id=next((job_id for job_id, _ in lanes), None)
    )
