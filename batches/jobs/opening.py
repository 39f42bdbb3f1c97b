"""Open a job: insert it with its lanes, for a first send or a replay. Below ``creation`` and ``approvals``.

A Sending enters: what a job would send, worked out but not yet written. An EmailJob leaves, and its work items are
enqueued after the commit. Every function that takes a locked batch needs its caller's transaction and its row lock.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime

from django.conf import settings
from django.contrib.auth.models import AnonymousUser, User
from django.db import IntegrityError, transaction
from django.db.models import Exists, OuterRef
from django.utils.formats import date_format

from batches import audit, suppressions
from batches.jobs import lifecycle, senders, stopping
from batches.jobs.failure_groups import FailureChoice
from batches.jobs.lifecycle import JobRefused
from batches.jobs.replayed_emails import reset_sent, reset_unsent, sent_emails, unsent_emails
from batches.jobs.reviewed import make_digest
from batches.jobs.topics import choose_topic
from batches.jobs.user_limits import check_limits
from batches.models import (
    AuditAction,
    Batch,
    Email,
    EmailJob,
    EmailQuerySet,
    EmailStatus,
    EmailTemplate,
    JobKind,
    JobPriority,
    Lane,
    Sender,
    Topic,
)
from batches.rendering.template import MessageParts

_REPLAYED = {
    JobKind.FAILED: (EmailStatus.FAILED,),
    JobKind.UNKNOWN: (EmailStatus.UNKNOWN,),
    JobKind.UNSENT: (EmailStatus.FAILED, EmailStatus.CANCELLED),
    JobKind.ALL: (EmailStatus.SENT, EmailStatus.FAILED, EmailStatus.UNKNOWN, EmailStatus.CANCELLED),
}
"""The emails that a replay sends, by their status. Suppressed emails are in none, and no email of an erased person."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Sending:
    """What a job would send, and in whose name. ``digest_of`` covers all of it except the user."""

    kind: JobKind
    parts: MessageParts
    sender: senders.JobSender
    template: EmailTemplate | None
    template_key: str
    user: User | None
    """None: a command of the operator."""
    subject: str = ""
    """The subject that replaces the template's, or an empty text. The parts have it already."""
    topic: Topic | None = None
    """What it is about. None: service."""
    topic_key: str = ""
    """The key of the topic that was chosen. Empty: the template's, or in a replay that of the last job."""
    sender_key: str = ""
    """The key of the sender that was chosen. Empty in a replay: the sender of the last job."""
    scheduled_at: datetime | None = None
    priority: str = JobPriority.DEFAULT
    include_unknown: bool = False
    """Of a replay of the unsent: send also to those of whom nobody knows whether they have the mail."""
    failure: FailureChoice | None = None
    """Of a replay of the failed: the group of failures to which it is limited. None: all of them."""
    last_job_id: int | None = None
    """Of a replay: the job that it follows."""


def prepare_first(
    *,
    template: EmailTemplate,
    user: User | AnonymousUser | None,
    subject: str | None,
    sender: str | None,
    priority: str,
    scheduled_at: datetime | None,
    topic: str | None = None,
) -> Sending:
    """Work out the first send of a draft. Needs no lock: nothing of it depends on the batch.

    Raises:
        SenderRefused: The user may not use the sender, or no mail can come from it.
        TopicRefused: There is no such topic, or no news can be sent from here.
    """
    chosen = senders.choose_sender(sender, template=template, user=user)
    about = choose_topic(topic, template=template)
    return Sending(
        kind=JobKind.FIRST,
        parts=MessageParts.of(template, subject, about and about.message_topic),
        sender=senders.copy_sender(chosen),
        template=template if template.pk else None,  # the one of a round trip is not stored
        template_key=template.key,
        user=user if isinstance(user, User) else None,
        subject=subject or "",
        topic=about,
        topic_key=about.key if about and topic and topic.strip() else "",
        sender_key=chosen.key,
        priority=priority,
        scheduled_at=scheduled_at,
    )


def prepare_replay(
    locked: Batch,
    *,
    which: JobKind,
    user: User | AnonymousUser | None,
    include_unknown: bool,
    sender: str | None,
    failure: FailureChoice | None = None,
) -> Sending:
    """Work out a replay, with the message parts and the priority of the last job.

    Raises:
        SenderRefused: The user may not use the sender, or no mail can come from it.
        JobRefused: The batch is live or was never sent, or there is no such replay.
    """
    if which not in _REPLAYED:
        raise JobRefused("Say which emails to send again: failed, unknown, unsent or all.")
    if include_unknown and which != JobKind.UNSENT:
        raise JobRefused("Only a replay of the unsent can include the unknown. Leave that out, or choose unsent.")
    if failure is not None and which != JobKind.FAILED:
        raise JobRefused("Only a replay of the failed can be limited to one answer of the mail server.")
    _refuse_purged(locked)
    last = _find_last_job(locked)
    chosen = senders.copy_last(last, sender, user=user)
    return Sending(
        kind=which,
        parts=MessageParts.of(last),
        sender=chosen,
        template=last.template,
        template_key=last.template_key,
        topic=_copy_topic(last),
        user=user if isinstance(user, User) else None,
        sender_key=_find_key(chosen) if sender and sender.strip() else "",
        priority=last.priority,
        include_unknown=include_unknown,
        failure=failure,
        last_job_id=last.pk,
    )


def _copy_topic(last: EmailJob) -> Topic | None:
    """Return the topic of a replay: that of the last job.

    Raises:
        TopicRefused: It is news, and none can be sent from here now.
    """
    return choose_topic(last.topic.key, template=None) if last.topic else None


def digest_of(batch: Batch, sending: Sending) -> str:
    """Return the reviewed digest of what would be sent now."""
    is_replay = sending.kind != JobKind.FIRST
    # The last job stands for the status of each email: only a job changes them.
    selection = [str(sending.kind), sending.include_unknown, sending.last_job_id] if is_replay else []
    if sending.failure is not None:
        selection += [sending.failure.key, sending.failure.domain]
    return make_digest(
        batch,
        sending.parts,
        sender=sending.sender,
        scheduled_at=sending.scheduled_at,
        priority=sending.priority,
        selection=selection,
    )


def count_recipients(locked: Batch, sending: Sending) -> int:
    """Count to how many recipients the job would send: without those who are suppressed.

    Raises:
        JobRefused: There is none.
    """
    statuses = _statuses_of(sending)
    if sending.kind == JobKind.FIRST:
        count = _count_first(locked)
    else:
        sent = sent_emails(locked).count() if EmailStatus.SENT in statuses else 0
        emails = unsent_emails(locked, statuses, sending.failure)
        count = sent + emails.count()
        if not count:
            raise JobRefused(_say_none(locked, sending.kind))
        if sending.failure is not None:
            return _count_unsuppressed(emails, count, topic_id=_topic_of(sending))
    by_reason = suppressions.count_suppressed(locked.pk, topic_id=_topic_of(sending), statuses=statuses)
    count -= sum(by_reason.values())
    if count <= 0:
        raise JobRefused(_say_nobody(by_reason))
    return count


def _count_unsuppressed(emails: EmailQuerySet, count: int, *, topic_id: int | None) -> int:
    """Count the emails of a chosen group without those that are suppressed.

    Raises:
        JobRefused: All of them are.
    """
    suppressed = suppressions.in_force(topic_id).filter(digest=OuterRef("address_digest"))
    left = count - emails.filter(Exists(suppressed)).count()
    if left <= 0:
        raise JobRefused("All of these recipients are on the do-not-send list, so nobody would get this mail.")
    return left


def _count_first(locked: Batch) -> int:
    if not locked.total_count:
        raise JobRefused(f"Batch {locked.pk} has no recipients. Upload a list with at least one good row.")
    return locked.to_send_count


def _say_nobody(by_reason: Mapping[str, int]) -> str:
    reasons = ", ".join(f"{count:,} {reason or 'for a reason not known'}" for reason, count in by_reason.items())
    nobody = f"Nobody gets this mail: all recipients are on the do-not-send list ({reasons})"
    return f"{nobody}. Name other recipients, or let somebody take these off the list."


def open_job(locked: Batch, sending: Sending) -> EmailJob:
    """Insert the job that sends what was worked out. Needs the batch's row locked.

    Raises:
        LargeListRefused, LimitReached: It is more than the user may send.
        JobRefused: There is nobody to send to, or the batch is live.
    """
    # Read first: who is suppressed after this moment, the lanes find.
    version = suppressions.read_version()
    parts = sending.parts
    if parts.is_news or settings.BOUNCE_ADDRESS:
        suppressions.read_key()  # makes the key of the list, which the lanes need for links and return paths
    job = _make_job(locked, sending)
    # Counted before the emails of a replay are reset: what is over a limit must not rewrite a million rows first.
    job.total_count = count_recipients(locked, sending)
    check_limits(sending.user, job.total_count)
    # Lanes that compare every address are right, only slower.
    job.suppression_version = version if version and suppressions.has_all_digests(locked.pk) else 0
    if sending.kind == JobKind.FIRST:
        _end_suppressed(locked, sending, job)
        job.canary_to_row = stopping.find_canary_end(locked)
        _insert(job, AuditAction.SEND, digest=digest_of(locked, sending))
        locked.upload_chunks.all().delete()  # a batch that was sent can't be read again
        return job
    job.accepted_share = stopping.read_share(locked.pk)  # before the counts of the batch are those of a replay
    job.total_count = _reset_emails(locked, sending)
    _end_suppressed(locked, sending, job)
    lifecycle.recount_ended_batch(locked.pk)
    _insert(job, AuditAction.REPLAY, digest=digest_of(locked, sending))
    return job


def _make_job(locked: Batch, sending: Sending) -> EmailJob:
    parts = sending.parts
    return EmailJob(
        batch=locked,
        kind=sending.kind,
        failure_words=sending.failure.label if sending.failure else "",
        template=sending.template,
        template_key=sending.template_key,
        created_by=sending.user,
        priority=sending.priority,
        scheduled_at=sending.scheduled_at,
        status=lifecycle.first_status(sending.scheduled_at),
        subject=parts.subject,
        html=parts.html,
        text=parts.text,
        topic=sending.topic,
        topic_footer=parts.footer,
        **asdict(sending.sender),
    )


def _end_suppressed(locked: Batch, sending: Sending, job: EmailJob) -> None:
    """End the emails as suppressed that get no mail of the job's topic, and count them."""
    ended = suppressions.end_suppressed(locked.pk, topic_id=_topic_of(sending))
    if not ended:
        return
    if sending.kind == JobKind.FIRST:
        locked.suppressed_count += ended
        locked.save(update_fields=["suppressed_count"])
        job.total_count = locked.to_send_count
    else:
        job.total_count -= ended
    if job.total_count <= 0:
        raise JobRefused(_say_nobody(suppressions.count_ended(locked.pk)))


def _topic_of(sending: Sending) -> int | None:
    return sending.topic.pk if sending.topic is not None else None


def lock_batch(batch: Batch) -> Batch:
    """Lock the batch's row until the transaction ends, as every transition of a batch does.

    Raises:
        Batch.DoesNotExist: It was deleted.
    """
    return Batch.objects.select_for_update().get(pk=batch.pk)


def _statuses_of(sending: Sending) -> tuple[EmailStatus, ...]:
    if sending.kind == JobKind.FIRST:
        return (EmailStatus.PENDING,)
    statuses = _REPLAYED[sending.kind]
    return (*statuses, EmailStatus.UNKNOWN) if sending.include_unknown else statuses


def _reset_emails(locked: Batch, sending: Sending) -> int:
    statuses = _statuses_of(sending)
    sent = reset_sent(locked, topic_id=_topic_of(sending)) if EmailStatus.SENT in statuses else 0
    return sent + reset_unsent(unsent_emails(locked, statuses, sending.failure))


def _refuse_purged(batch: Batch) -> None:
    if batch.purged_at is not None:
        raise JobRefused(
            f"The addresses of batch {batch.pk} were removed on {date_format(batch.purged_at)}, so it can't be sent "
            "again. Upload the list again, and send that."
        )


def _say_none(batch: Batch, which: JobKind) -> str:
    if which != JobKind.UNSENT:
        kind = "" if which == JobKind.ALL else f"{which.value} "
        return f"Batch {batch.pk} has no {kind}emails."
    unknown = Email.objects.filter(batch=batch, status=EmailStatus.UNKNOWN).count()
    if unknown:
        return f"Batch {batch.pk} has no failed or cancelled emails, but {unknown:,} unknown. Include the unknown."
    return f"Everybody in batch {batch.pk} has got the email."


def _find_key(chosen: senders.JobSender) -> str:
    return next(iter(Sender.objects.filter(pk__in=[chosen.sender_id]).values_list("key", flat=True)), "")


def _find_last_job(batch: Batch) -> EmailJob:
    last = batch.jobs.order_by("-pk").first()
    if last is None:
        raise JobRefused(f"Batch {batch.pk} was never sent. Send it first.")
    if last.completed_at is None:
        raise JobRefused(f"Batch {batch.pk} is being sent. Wait until it has ended, or cancel it, before a replay.")
    return last


def _insert(job: EmailJob, action: AuditAction, *, digest: str) -> None:
    """Insert a job with its lanes, and enqueue their work items after the commit. Needs the batch's row locked."""
    try:
        with transaction.atomic():
            job.save(force_insert=True)
    except IntegrityError as exc:
        raise JobRefused(f"Batch {job.batch_id} is already being sent. Wait until it has ended, or cancel it.") from exc
    # One lane for each window of emails: a list of a hundred needs no four workers.
    lane_count = max(1, min(settings.SEND_LANES, -(-job.total_count // settings.SEND_WINDOW)))
    Lane.objects.bulk_create(Lane(job=job, number=number) for number in range(lane_count))
    audit.record(
        action,
        job.batch,
        job=job.pk,
        job_kind=str(job.kind),
        recipients=job.total_count,
        template=job.template_key,
        digest=digest,
    )
    lifecycle.follow_job_status(job)
