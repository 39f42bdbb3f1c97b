"""Tell what became of each email: its record, and its history of attempts over all jobs of its batch.

Emails that were read with ``with_state`` enter. A History for each leaves, with one query however many there are.
The record is that of the last attempt, with one exception: an email that was sent before a replay of all keeps the
record of that sending until it is sent again (docs/decisions/0029).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from django.db import connection

from batches.models import Email, EmailStatus, JobKind, sql
from batches.models.sql import AttemptRow, HistoryRow
from batches.outcomes import Outcome

JOB_LABELS = {kind.value: str(kind.label) for kind in JobKind}
OUTCOME_LABELS = {outcome.value: str(outcome.label) for outcome in Outcome}
_ISO_TIME, _LOCAL_TIME = 'YYYY-MM-DD"T"HH24:MI:SS+00:00', "YYYY-MM-DD HH24:MI:SS"
"""As PostgreSQL's to_char takes them."""
_KINDS = json.dumps(JOB_LABELS)
_OUTCOMES = json.dumps({name: label.lower() for name, label in OUTCOME_LABELS.items()})
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


class Record(NamedTuple):
    """What became of an email, and which job made it so."""

    state: EmailStatus
    code: int | None
    reply: str
    completed_at: datetime | None
    job_id: int | None
    """The job that made the record. None: no attempt has ended."""


class SaidHistory(NamedTuple):
    """The record of one email, and its attempts in words."""

    record: Record
    text: str
    """Each attempt as ``2026-03-31T09:00:00+00:00 job 7 (first send): sent, 250 Ok, through relay``, oldest first."""


@dataclass(frozen=True, kw_only=True, slots=True)
class History:
    """The record of one email, and its attempts in all jobs, oldest first."""

    state: EmailStatus
    code: int | None
    reply: str
    completed_at: datetime | None
    job_id: int | None
    is_resending: bool
    """Whether the email was sent before, and a replay of all is to send it again."""
    attempts: Sequence[AttemptRow]

    @property
    def sent_at(self) -> datetime | None:
        return self.completed_at if self.state == EmailStatus.SENT else None


def read_histories(emails: Iterable[Email]) -> dict[int, History]:
    """Read the histories of emails that were read with ``with_state``, by their ids."""
    listed = list(emails)
    attempts: dict[int, list[AttemptRow]] = {email.id: [] for email in listed}
    with connection.cursor() as cursor:
        cursor.execute(sql.ATTEMPTS, {"emails": list(attempts)})
        for attempt in sql.ATTEMPTS.rows(cursor.fetchall()):
            attempts[attempt.email_id].append(attempt)
    return {email.id: _tell(email, attempts[email.id]) for email in listed}


def _tell(email: Email, attempts: list[AttemptRow]) -> History:
    sending = next((attempt for attempt in reversed(attempts) if attempt.outcome == _SENT_OUTCOME), None)
    said = HistoryRow(
        email.id,
        "",
        attempts[-1].job_id if attempts else None,
        *((sending.job_id, sending.code, sending.reply) if sending else (None, None, None)),
    )
    return History(
        **_choose_record(email, said)._asdict(),
        is_resending=email.sent_before_at is not None and email.status in _UNFINISHED,
        attempts=attempts,
    )


def say_histories(emails: Sequence[Email | EmailRow], *, separator: str, zone: str = "") -> Iterator[SaidHistory]:
    """Say the histories of emails that were read with ``with_state``, in their order: the fast way, for exports.

    Times are those of a zone, such as Europe/Berlin. Without one they are in UTC, as ISO 8601.

    They are made one by one. A list of them would make Python's garbage collector search the whole process.
    """
    ids = [email.id for email in emails]
    form = _LOCAL_TIME if zone else _ISO_TIME
    values = {"separator": separator, "kinds": _KINDS, "outcomes": _OUTCOMES, "zone": zone or "UTC", "time": form}
    with connection.cursor() as cursor:
        cursor.execute(sql.HISTORIES, {"emails": ids, **values})
        rows = {row[0]: row for row in cursor.fetchall()}
    for email in emails:
        said = HistoryRow._make(rows.get(email.id) or (email.id, "", None, None, None, None))
        yield SaidHistory(_choose_record(email, said), said.text)


def _choose_record(email: Email | EmailRow, said: HistoryRow) -> Record:
    """Choose whose record an email has: that of its row, or of its last sending if a replay of all has begun since."""
    if email.sent_before_at is not None and email.status != _SENT:
        return Record(EmailStatus.SENT, said.sent_code, said.sent_reply or "", email.sent_before_at, said.sent_job_id)
    # Neither a cancelled email nor one whose replay has not begun owes its record to its last attempt.
    is_of_attempt = email.attempts > 0 and email.status != _CANCELLED
    last_job_id = said.sent_job_id if email.status == _SENT else said.last_job_id
    return Record(
        _STATES[email.state], email.code, email.reply, email.completed_at, last_job_id if is_of_attempt else None
    )
