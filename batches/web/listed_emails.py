"""Emails as pages list them: with the recipient's name, the history, and what came back.

Emails that were read with ``with_state`` enter. A ListedEmail for each leaves, with two queries however many there are.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from batches.history import JOB_LABELS, OUTCOME_LABELS, History, read_histories
from batches.models import Batch, Email, EmailJob, EmailState, EmailStatus, Return
from batches.models.sql import AttemptRow
from batches.names import make_key
from batches.people_names import find_name
from batches.returns.summary import RETURN_KINDS, read_returns, say_answer, say_return

_GAP = re.compile(r"\{\{-?\s*([^{}|()\"']+?)\s*-?\}\}")
"""A gap of a template with a name alone, such as ``{{ name }}``."""

_TAG = re.compile(r"\{[{%#]")


@dataclass(frozen=True, kw_only=True, slots=True)
class ListedAttempt:
    """An attempt as a page lists it, oldest first."""

    attempt: AttemptRow
    outcome: str
    job: str


@dataclass(frozen=True, kw_only=True, slots=True)
class ListedReturn:
    """A report about an email as a page lists it, oldest first."""

    report: Return
    words: str
    """What it means."""
    answer: str
    """What the receiver said."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ListedEmail:
    """An email as a page lists it."""

    email: Email
    batch: Batch
    name: str
    """The recipient's name, or an empty string."""
    history: History
    attempts: list[ListedAttempt]
    is_to_be_retried: bool
    """Whether the email waits for its next attempt, whose time is then known."""
    returns: list[ListedReturn]
    subject: str = ""
    """As a list shows it. Only those have it that ``add_subjects`` returned."""

    @property
    def attempt_count(self) -> int:
        """How many attempts there were in all jobs. The email's own count is of its last job."""
        return max(self.email.attempts, len(self.history.attempts))

    @property
    def has_more_to_tell(self) -> bool:
        """Whether there were attempts that the row's own record does not tell of."""
        return len(self.history.attempts) > (0 if self.history.job_id is None else 1)

    @property
    def is_sent(self) -> bool:
        """Whether the message was sent, in this job or an earlier one."""
        return self.history.state == EmailStatus.SENT

    @property
    def return_states(self) -> list[EmailState]:
        """Say that it came back, or that its recipient complained, beside that it was sent."""
        kinds = {each.report.kind for each in self.returns}
        return [state for state, kind in RETURN_KINDS.items() if kind in kinds]


def add_subjects(listed: Sequence[ListedEmail]) -> list[ListedEmail]:
    """Return listed emails with their subjects: of the job that made the record, or of the last one of the batch.

    A list renders no templates. So an email whose subject has more than names in its gaps is listed by the name of its
    template, or without a subject if that template is gone.
    """
    subjects: dict[int, dict[int, tuple[str, str]]] = {}
    jobs = EmailJob.objects.filter(batch__in={each.batch.pk for each in listed}).order_by("pk")
    for job_id, batch_id, subject, name in jobs.values_list("pk", "batch_id", "subject", "template__name"):
        subjects.setdefault(batch_id, {})[job_id] = (subject, name or "")
    return [replace(each, subject=_choose_subject(each, subjects.get(each.batch.pk, {}))) for each in listed]


def _choose_subject(listed: ListedEmail, of_jobs: Mapping[int, tuple[str, str]]) -> str:
    last = next(reversed(list(of_jobs.values())), ("", ""))
    subject, template_name = of_jobs.get(listed.history.job_id or 0, last)
    names = listed.batch.merge_fields
    if _TAG.search(fill_subject(subject, names, [""] * len(names))):  # not of the cells, which may have braces
        return template_name
    return fill_subject(subject, names, listed.email.fields)


def fill_subject(subject: str, merge_fields: Sequence[str], cells: Sequence[str]) -> str:
    """Return a subject with the cells in place of the gaps that name a merge field and nothing else.

    Whatever else a template may have in its subject stays as it is written: a list renders no templates.
    """
    values = {make_key(name): str(cell) for name, cell in zip(merge_fields, cells, strict=False)}
    return _GAP.sub(lambda gap: values.get(make_key(gap[1]), gap[0]), subject)


def list_emails(emails: Sequence[Email]) -> list[ListedEmail]:
    """Tell of emails that were read with ``with_state``, in their order. Their batches are read already."""
    histories = read_histories(emails)
    returns = read_returns([email.pk for email in emails])
    return [_list_email(email, histories[email.pk], returns.get(email.pk, [])) for email in emails]


def _list_email(email: Email, history: History, returns: Sequence[Return]) -> ListedEmail:
    return ListedEmail(
        email=email,
        batch=email.batch,
        name=find_name(email.batch.merge_fields, email.fields),
        history=history,
        attempts=[
            ListedAttempt(attempt=attempt, outcome=OUTCOME_LABELS[attempt.outcome], job=JOB_LABELS[attempt.job_kind])
            for attempt in history.attempts
        ],
        is_to_be_retried=email.status == EmailStatus.PENDING and email.next_attempt_at is not None,
        returns=[ListedReturn(report=each, words=say_return(each), answer=say_answer(each)) for each in returns],
    )
