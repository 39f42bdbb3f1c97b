"""The attempts of one job in the admin: those that did not send, or all in the order of the list.

A job enters. A page of its attempts leaves. The table of attempts has a key of three columns, which Django's own admin
can't list, and no index by time: so each list walks an index that there is, whatever the size of the job.
"""

from __future__ import annotations

from dataclasses import dataclass

from django.contrib import admin
from django.db.models import Max, Min
from django.http import HttpRequest, QueryDict
from django.template.response import TemplateResponse

from batches.models import Attempt, Email, EmailJob, Lane
from batches.outcomes import Outcome
from batches.paging import Page, Walk, make_page, read_page

ROWS = 100
"""How many attempts that did not send a page has, or the recipients of how many rows."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ShownAttempt:
    """One attempt, with its email and its words."""

    attempt: Attempt
    email: Email | None
    """None: the email was deleted meanwhile."""

    @property
    def outcome(self) -> str:
        return str(Outcome(self.attempt.outcome).label)


def show_attempts(request: HttpRequest, job: EmailJob) -> TemplateResponse:
    """Show a page of the attempts of a job. ``?all=1`` shows the sent ones too, in the order of the list."""
    is_all = bool(request.GET.get("all"))
    read = _read_all if is_all else _read_not_sent
    page, attempts = read(job, request.GET)
    context = {
        **admin.site.each_context(request),
        "title": f"Attempts of job {job.pk}",
        "opts": EmailJob._meta,
        "job": job,
        "is_all": is_all,
        "attempts": attempts,
        "page": page,
    }
    return TemplateResponse(request, "admin/batches/attempts.html", context)


def _read_not_sent(job: EmailJob, query: QueryDict) -> tuple[Page[Attempt], list[ShownAttempt]]:
    """Read along the index attempt_not_sent. The lanes of a job have neighbouring ids: one part of the index."""
    lanes = Lane.objects.filter(job=job)
    ends = lanes.aggregate(first=Min("pk"), last=Max("pk"))
    if ends["first"] is None:
        return make_page([], query=query, following=None, is_first=True), []
    found = Attempt.objects.filter(lane__gte=ends["first"], lane__lte=ends["last"], lane__in=lanes.values("pk"))
    walk = Walk([found.exclude(outcome=Outcome.SENT)])
    page = read_page(walk, order=["lane_id", "email_id", "number"], query=query, size=ROWS)
    emails = Email.objects.in_bulk([attempt.email_id for attempt in page.rows])
    return page, [ShownAttempt(attempt=attempt, email=emails.get(attempt.email_id)) for attempt in page.rows]


def _read_all(job: EmailJob, query: QueryDict) -> tuple[Page[Email], list[ShownAttempt]]:
    """Read some rows of the batch, and the attempts at them in this job."""
    page = read_page(Email.objects.filter(batch=job.batch_id), order=["row"], query=query, size=ROWS)
    emails = {email.pk: email for email in page.rows}
    found = Attempt.objects.filter(email__in=emails, lane__in=Lane.objects.filter(job=job).values("pk"))
    attempts = sorted(found, key=lambda attempt: (emails[attempt.email_id].row, attempt.number))
    return page, [ShownAttempt(attempt=attempt, email=emails[attempt.email_id]) for attempt in attempts]
