"""The rows that the statements about attempts answer."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple


class AttemptRow(NamedTuple):
    """One attempt at an email that has ended, with the job in which it was made."""

    email_id: int
    job_id: int
    job_kind: str
    at: datetime
    outcome: str
    code: int | None
    reply: str
    relay: str


class HistoryRow(NamedTuple):
    """The attempts at an email in words, the job of the last one, and job, code and reply of the last that was sent."""

    email_id: int
    text: str
    last_job_id: int | None
    sent_job_id: int | None
    sent_code: int | None
    sent_reply: str | None
