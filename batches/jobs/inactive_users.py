"""Pause the jobs of users whose account is not active any more: locked, or deleted.

A user enters, or nothing: then all of them. Paused jobs leave, each with a sentence. Somebody who may steer the batch
can resume it, and answers for it then.

An account that is locked may have been stolen, so its mail stops at once, also the mail of a job that runs: a pause
loses nothing.
"""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import Q
from django.db.models.signals import post_save, pre_delete

from batches import audit
from batches.jobs.lifecycle import follow_job_status
from batches.models import AuditAction, EmailJob, JobStatus

MOVING = (JobStatus.SCHEDULED, JobStatus.QUEUED, JobStatus.PROCESSING)

IS_NOT_ACTIVE = "is not active"
IS_DELETED = "was deleted"


def watch_accounts() -> None:
    """Pause the jobs of an account as soon as it is locked or deleted.

    Changes of many rows at once send no signal. The sweep finds what they left.
    """
    post_save.connect(_pause_if_locked, sender=User, dispatch_uid="pause_jobs_of_locked_user")
    pre_delete.connect(_pause_before_deletion, sender=User, dispatch_uid="pause_jobs_of_deleted_user")


def _pause_if_locked(sender: Any, instance: User, raw: bool = False, **kwargs: Any) -> None:
    if not raw and not instance.is_active:
        pause_jobs_of_inactive_users(Q(created_by=instance) | Q(resumed_by=instance))


def _pause_before_deletion(sender: Any, instance: User, **kwargs: Any) -> None:
    """Pause before the deletion: after it, nobody knows who made the job."""
    with transaction.atomic():
        is_answered = Q(resumed_by__is_active=True) & ~Q(resumed_by=instance)
        for job in _find_moving(Q(created_by=instance)).exclude(is_answered):
            _pause(job, instance.get_username(), because=IS_DELETED)


def pause_jobs_of_inactive_users(chosen: Q | None = None) -> int:
    """Pause each job for which no active user answers, and return how many were paused. Safe to call at any time.

    Args:
        chosen: Which jobs. None: all live ones.
    """
    found = _find_moving(chosen or Q()).exclude(pk__in=EmailJob.objects.filter(completed_at=None).answered_for())
    ids = list(found.values_list("pk", flat=True))  # without a lock, because nearly always there is none
    paused = 0
    for job_id in ids:
        with transaction.atomic():
            job = _find_moving(Q(pk=job_id)).select_for_update(of=("self",)).first()
            if job is not None and not EmailJob.objects.filter(pk=job_id).answered_for().exists():
                _pause(job, job.created_by.get_username() if job.created_by else "", because=IS_NOT_ACTIVE)
                paused += 1
    return paused


def _find_moving(chosen: Q) -> Any:
    return EmailJob.objects.filter(chosen, status__in=MOVING, completed_at=None).select_related("created_by")


def _pause(job: EmailJob, name: str, *, because: str) -> None:
    """Pause a job. Needs a transaction."""
    sentence = (
        f"The batch is paused because the account of {name} {because}. "
        "Somebody who may steer the batches of others can resume it."
    )
    changed = EmailJob.objects.filter(pk=job.pk, status__in=MOVING, completed_at=None).update(
        status=JobStatus.PAUSED, last_error=sentence, relay_retry_at=None, relay_failure_count=0
    )
    if changed:
        follow_job_status(EmailJob.objects.get(pk=job.pk))
        audit.record(AuditAction.PAUSE, job.batch, reason=f"the account {because}")
