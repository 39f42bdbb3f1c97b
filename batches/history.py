"""Tell what became of each email: its record, and its history of attempts over all jobs of its batch.

Emails that were read with ``with_state`` enter. A History for each leaves, with one query however many there are.
The record is that of the last attempt, with one exception: an email that was sent before a replay of all keeps the
record of that sending until it is sent again (docs/decisions/0030).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from django.db import connection

from batches.models import Email, EmailStatus, JobKind, sql
from batches.models.sql import AttemptRow
from batches.outcomes import Outcome

JOB_LABELS = {kind.value: str(kind.label) for kind in JobKind}
OUTCOME_LABELS = {outcome.value: str(outcome.label) for outcome in Outcome}
# Looked up once: on Python 3.11 a search in an enum's class is slow, and an export tells of a million emails.
_STATES = {status.value: status for status in EmailStatus}
_SENT, _CANCELLED, _SENT_OUTCOME = EmailStatus.SENT.value, EmailStatus.CANCELLED.value, Outcome.SENT.value
_UNFINISHED = (EmailStatus.PENDING.value, EmailStatus.SENDING.value)


class EmailRow(NamedTuple):
    """What a record needs of an email. A page has whole emails, and an export reads only these columns of many."""

    id: int
    row: int
    line: int | None
    address: str
    fields: list[Any]
    status: str
    state: str
    attempts: int
    code: int | None
    reply: str
    completed_at: datetime | None
    sent_before_at: datetime | None


def say_attempt(attempt: AttemptRow) -> str:
    """Say an attempt in words: ``2026-03-31T09:00:00+00:00 job 7 (first send): sent, 250 Ok, through relay``."""
    answer = f"{attempt.code} {attempt.reply}" if attempt.code else attempt.reply
    parts = [OUTCOME_LABELS[attempt.outcome].lower(), answer, f"through {attempt.relay}" if attempt.relay else ""]
    job = f"job {attempt.job_id} ({JOB_LABELS[attempt.job_kind]})"
    return f"{attempt.at.isoformat(timespec='seconds')} {job}: {', '.join(filter(None, parts))}"


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
    attempts: Sequence[AttemptRow]

    @property
    def sent_at(self) -> datetime | None:
        return self.completed_at if self.state == EmailStatus.SENT else None


def read_histories(emails: Iterable[Email | EmailRow]) -> dict[int, History]:
    """Read the histories of emails that were read with ``with_state``, by their ids."""
    listed = list(emails)
    attempts: dict[int, list[AttemptRow]] = {email.id: [] for email in listed}
    with connection.cursor() as cursor:
        cursor.execute(sql.ATTEMPTS, {"emails": list(attempts)})
        for attempt in sql.ATTEMPTS.rows(cursor.fetchall()):
            attempts[attempt.email_id].append(attempt)
    return {email.id: _tell(email, attempts[email.id]) for email in listed}


def _tell(email: Email | EmailRow, attempts: list[AttemptRow]) -> History:
    sending = next((attempt for attempt in reversed(attempts) if attempt.outcome == _SENT_OUTCOME), None)
    if email.sent_before_at is not None and email.status != _SENT:
        return History(
            state=EmailStatus.SENT,
            code=sending.code if sending else None,
            reply=sending.reply if sending else "",
            completed_at=email.sent_before_at,
            job_id=sending.job_id if sending else None,
            is_resending=email.status in _UNFINISHED,
            attempts=attempts,
        )
    last = sending if email.status == _SENT else attempts[-1] if attempts else None
    # Neither a cancelled email nor one whose replay has not begun owes its record to its last attempt.
    is_of_attempt = email.attempts > 0 and email.status != _CANCELLED
    return History(
        state=_STATES[email.state],
        code=email.code,
        reply=email.reply,
        completed_at=email.completed_at,
        job_id=last.job_id if last and is_of_attempt else None,
        is_resending=False,
        attempts=attempts,
    )
