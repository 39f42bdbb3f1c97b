"""Tell what became of each email: its record, and its history of attempts over all jobs of its batch.

Emails that were read with ``with_state`` enter. A History for each leaves, with one query however many there are.
The record is that of the last attempt, with one exception: an email that was sent before a replay of all keeps the
record of that sending until it is sent again (docs/decisions/0030).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from batches.models import Attempt, Email, EmailStatus, JobKind
from batches.outcomes import Outcome


class PastAttempt(NamedTuple):
    """One attempt at an email that has ended, with the job in which it was made."""

    job_id: int
    job_kind: str
    at: datetime
    outcome: str
    code: int | None
    reply: str
    relay: str

    @property
    def said(self) -> str:
        """The attempt in words: ``2026-03-31T09:00:00+00:00 job 7 (first send): sent, 250 Ok, through relay``."""
        job = f"job {self.job_id} ({JobKind(self.job_kind).label})"
        answer = f"{self.code} {self.reply}" if self.code else self.reply
        parts = [Outcome(self.outcome).label.lower(), answer, f"through {self.relay}" if self.relay else ""]
        return f"{self.at.isoformat(timespec='seconds')} {job}: {', '.join(filter(None, parts))}"

    @property
    def outcome_label(self) -> str:
        return str(Outcome(self.outcome).label)

    @property
    def job_label(self) -> str:
        return str(JobKind(self.job_kind).label)


@dataclass(frozen=True, kw_only=True, slots=True)
class History:
    """The record of one email, and its attempts in all jobs, oldest first."""

    state: EmailStatus
    code: int | None
    reply: str
    completed_at: datetime | None
    job_id: int | None
    """The job that made the record. None: no attempt has ended."""
    is_resending: bool
    """Whether the email was sent before, and a replay of all is to send it again."""
    attempts: Sequence[PastAttempt]

    @property
    def sent_at(self) -> datetime | None:
        return self.completed_at if self.state == EmailStatus.SENT else None


def read_histories(emails: Iterable[Email]) -> dict[int, History]:
    """Read the histories of emails that were read with ``with_state``, by their ids."""
    listed = list(emails)
    attempts: dict[int, list[PastAttempt]] = {email.pk: [] for email in listed}
    found = (
        Attempt.objects.filter(email_id__in=attempts)
        .order_by("email_id", "at", "number")
        .values_list("email_id", "lane__job_id", "lane__job__kind", "at", "outcome", "code", "reply", "relay")
    )
    for email_id, *attempt in found:
        attempts[email_id].append(PastAttempt._make(attempt))
    return {email.pk: _tell(email, attempts[email.pk]) for email in listed}


def _tell(email: Email, attempts: list[PastAttempt]) -> History:
    sending = next((attempt for attempt in reversed(attempts) if attempt.outcome == Outcome.SENT), None)
    if email.sent_before_at is not None and email.status != EmailStatus.SENT:
        return History(
            state=EmailStatus.SENT,
            code=sending.code if sending else None,
            reply=sending.reply if sending else "",
            completed_at=email.sent_before_at,
            job_id=sending.job_id if sending else None,
            is_resending=email.status in (EmailStatus.PENDING, EmailStatus.SENDING),
            attempts=attempts,
        )
    last = sending if email.status == EmailStatus.SENT else attempts[-1] if attempts else None
    # Neither a cancelled email nor one whose replay has not begun owes its record to its last attempt.
    is_of_attempt = email.attempts > 0 and email.status != EmailStatus.CANCELLED
    return History(
        state=EmailStatus(email.state),
        code=email.code,
        reply=email.reply,
        completed_at=email.completed_at,
        job_id=last.job_id if last and is_of_attempt else None,
        is_resending=False,
        attempts=attempts,
    )
