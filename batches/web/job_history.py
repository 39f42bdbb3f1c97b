"""The history of a batch: each of its jobs in words, who started it, when, and what came out of it.

A batch enters. A list of PastJob leaves, the newest first.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.contrib.humanize.templatetags.humanize import intcomma
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from batches import progress
from batches.models import Batch, EmailJob, JobKind, JobStatus
from batches.translations import say

SHOWN_MAX = 20
"""So many jobs are shown. A batch that was replayed more often is a rarity, and the admin lists all."""

KINDS = {
    JobKind.FIRST: gettext_lazy("Sent"),
    JobKind.FAILED: gettext_lazy("The failed sent again"),
    JobKind.UNKNOWN: gettext_lazy("Sent again where it was not certain"),
    JobKind.ALL: gettext_lazy("All sent again"),
    JobKind.UNSENT: gettext_lazy("Sent to those who had not got it"),
}

STATUSES = {
    JobStatus.SCHEDULED: gettext_lazy("waits for its time"),
    JobStatus.QUEUED: gettext_lazy("begins soon"),
    JobStatus.PROCESSING: gettext_lazy("is being sent"),
    JobStatus.PAUSED: gettext_lazy("is paused"),
    JobStatus.FAILED: gettext_lazy("nobody got it"),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class PastJob:
    """One job of a batch, as a person reads it."""

    job: EmailJob
    what: str
    status: str
    who: str
    begun_at: datetime
    counts: str
    """``9 sent, 1 failed, 2 not sent``."""


def list_jobs(batch: Batch) -> list[PastJob]:
    """List the jobs of a batch, the newest first. Takes one query, and another one for a live job."""
    jobs = batch.jobs.select_related("created_by").defer("html", "text").order_by("-pk")[:SHOWN_MAX]
    return [_describe(job) for job in jobs]


def _describe(job: EmailJob) -> PastJob:
    if job.completed_at is None and job.kind == JobKind.ALL:
        counts = progress.JobCounts(0, 0)  # counting a live replay of all reads the whole batch
    else:
        counts = progress.read_job_counts(job)
    others = job.total_count - counts.sent - counts.failed if job.completed_at else 0
    parts = {
        _("%(count)s sent"): counts.sent,
        _("%(count)s failed"): counts.failed,
        _("%(count)s not sent or not certain"): max(0, others),
    }
    said = [words % {"count": intcomma(count)} for words, count in parts.items() if count]
    what = str(KINDS[JobKind(job.kind)])
    return PastJob(
        job=job,
        what=_("%(what)s: %(group)s") % {"what": what, "group": say(job.failure_words)} if job.failure_words else what,
        status=str(STATUSES.get(JobStatus(job.status), JobStatus(job.status).label)),
        who=str(job.created_by) if job.created_by else _("a program"),
        begun_at=job.started_at or job.created_at,
        counts=", ".join(said) or (_("0 sent") if job.completed_at else ""),
    )
