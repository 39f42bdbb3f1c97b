"""Read batches, their emails and their jobs. Send, pause, resume, cancel and replay batches.

The id of a batch or job enters, with the user of the request. Schemas of ``batches.api.schemas`` leave. A batch that
the user may not see has the same answer as a batch that does not exist.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime
from typing import Any

from django.conf import settings
from django.contrib.auth.models import AnonymousUser, User
from django.db.models import Q
from django.http import HttpRequest
from django.utils.translation import get_language
from ninja import Field, Query, Router, Status

from batches import intake, paging, progress, suppressions
from batches.api.email_schemas import AttemptOut, EmailList, EmailOut, ReturnOut
from batches.api.errors import not_found
from batches.api.proof import require_session_proof
from batches.api.replay_schemas import Replay
from batches.api.schemas import (
    LEFT_OUT_MAX,
    BatchList,
    BatchListOptions,
    BatchOut,
    JobOut,
    LeftOut,
    ListOptions,
    MomentOut,
    MovedOut,
    SendDraft,
    SentOut,
)
from batches.api.sender_schemas import SenderOut
from batches.api.senders import describe_sender, describe_sender_of, find_choice
from batches.api.topics import describe_topic_of
from batches.api.unknown_fields import refuse_query
from batches.history import read_histories
from batches.jobs import creation, failure_groups, forecasts, lifecycle
from batches.jobs.left_out import read_left_out
from batches.languages import say_snapshot
from batches.mailboxes import parse_mailbox
from batches.models import (
    Batch,
    Email,
    EmailJob,
    EmailQuerySet,
    EmailState,
    EmailStatus,
    EmailTemplate,
    JobKind,
    Return,
    ReturnClass,
    ReturnKind,
    SharedAddresses,
)
from batches.models.sql import AttemptRow
from batches.outcomes import Outcome
from batches.paging import Walk
from batches.permissions import Act, require_act
from batches.rendering.message import derive_message_key, make_message_id
from batches.returns.summary import RETURN_KINDS, choose_return, filter_returned, name_return, read_returns, say_answer
from batches.state_search import find_in_states

router = Router(tags=["batches"])


class EmailListOptions(ListOptions):
    status: EmailState | None = Field(
        default=None, description="Only the emails with this status, or those that came back or were complained about."
    )
    state: EmailState | None = Field(
        default=None, description="The same as `status`. With both, only the emails that are both."
    )


def find_batch(request: HttpRequest, batch_id: int, *, act: Act | None = None) -> Batch:
    """Find a batch that the caller may see, and with ``act`` one with which the caller may do that.

    Raises:
        ApiError: 404, with the same sentence for a batch that does not exist and for another user's.
        NotPermitted: the caller may see the batch, but not do this with it.
    """
    batch = Batch.objects.visible_to(request.user).filter(pk=batch_id).first()
    if batch is None:
        raise not_found(f"batch {batch_id}")
    if act is not None:
        require_act(request.user, batch, act)
    return batch


@router.get("/batches", response=BatchList)
def list_batches(request: HttpRequest, options: Query[BatchListOptions]) -> BatchList:
    """Your batches, newest first. With the permission to see the batches of others, theirs too."""
    visible = Batch.objects.visible_to(request.user)
    if options.tests != "with":
        visible = visible.filter(is_test=options.tests == "only")
    batches, following = paging.cut(visible, order=["-id"], cursor=options.cursor or "", size=options.limit)
    return BatchList(items=describe_batches(batches, request.user), next=following)


@router.get("/batches/{int:batch_id}", response=BatchOut)
def get_batch(request: HttpRequest, batch_id: int) -> BatchOut:
    """One batch with its counts."""
    batch = find_batch(request, batch_id)
    described = describe_batches([batch], request.user)[0]
    if described.suppressedCount and (now := progress.read_snapshot(batch_id)):
        reasons = read_left_out(batch, now).reasons
        described.suppressedReasons = {reason: count for reason, count in reasons.items() if reason}
    return described


def describe_batches(batches: list[Batch], user: User | AnonymousUser) -> list[BatchOut]:
    """Describe batches with counts that are at most 2 s old. Takes a few queries, however many batches there are."""
    ids = [batch.pk for batch in batches]
    snapshots = forecasts.read_snapshots(ids)
    latest = EmailJob.objects.filter(batch__in=ids).order_by("batch", "-pk").distinct("batch")
    latest = latest.select_related("sender", "topic")
    jobs = {job.batch_id: job for job in latest.defer("subject", "html", "text")}
    of_drafts = _describe_default_sender(user) if len(jobs) < len(ids) else None
    return [
        _describe(batch, snapshots[batch.pk], jobs.get(batch.pk), of_drafts)
        for batch in batches
        if batch.pk in snapshots
    ]


def _describe_default_sender(user: User | AnonymousUser) -> SenderOut | None:
    """Describe the sender of a user's drafts: a draft has no sender of its own until it is sent."""
    return describe_sender(find_choice(None, template=EmailTemplate.objects.find_default(), user=user))


def _describe(batch: Batch, snapshot: progress.Snapshot, job: EmailJob | None, of_drafts: SenderOut | None) -> BatchOut:
    said = say_snapshot(snapshot, get_language() or settings.LANGUAGE_CODE)
    waiting = said["waitingFor"] or ""
    return BatchOut(
        id=batch.pk,
        filename=batch.filename,
        name=batch.name,
        isTest=batch.is_test,
        source=batch.source,
        status=snapshot["status"],
        **progress.name_counts(snapshot),
        suppressedReasons=None,
        waitingFor=waiting or None,
        moments=[MomentOut(**each) for each in said.get("moments", []) if each["words"] in waiting],  # type: ignore[arg-type]
        doneAt=datetime.fromisoformat(snapshot["doneAt"]) if snapshot["doneAt"] else None,
        rejectedRows=batch.rejected_count,
        duplicateRows=batch.duplicate_count,
        sharedAddresses=SharedAddresses(batch.shared_addresses),
        createdAt=batch.created_at,
        completedAt=batch.completed_at,
        purgedAt=batch.purged_at,
        jobId=job.pk if job else None,
        sender=describe_sender_of(job) if job else of_drafts,
        topic=describe_topic_of(job) if job else None,
    )


@router.get("/batches/{int:batch_id}/emails", response=EmailList)
def list_emails(request: HttpRequest, batch_id: int, options: Query[EmailListOptions]) -> EmailList:
    """The emails of a batch in the order of the list: all of them, or those with one status."""
    batch = find_batch(request, batch_id)
    # Before the emails: an email that is sending then belongs to this job, even if the job ends in between.
    live_job_id = EmailJob.objects.filter(batch=batch, completed_at=None).values_list("pk", flat=True).first()
    wanted = {state for state in (options.state, options.status) if state}
    emails = _find_emails(batch, wanted)
    rows, following = paging.cut(emails, order=["row"], cursor=options.cursor or "", size=options.limit)
    return EmailList(items=list(_describe_emails(rows, live_job_id=live_job_id)), next=following)


def _find_emails(batch: Batch, wanted: Collection[EmailState]) -> EmailQuerySet | Walk[Email]:
    """Find the emails of a batch that are in all of some states: one, or two if one of them is about what came back."""
    emails = batch.emails.select_related("lane").with_state()
    came_back = RETURN_KINDS.keys() & set(wanted)
    states = [EmailStatus(state) for state in wanted if state not in came_back]
    if not wanted:
        return Walk([emails])
    if len(states) > 1:
        return Walk([])
    if not came_back:
        now = progress.read_snapshot(batch.pk)
        walk = find_in_states(batch, states, now) if now else Walk([])
        return Walk([part.select_related("lane") for part in walk.parts])
    for state in came_back:
        emails = filter_returned(emails, batch_id=batch.pk, state=state)
    return emails.in_state(states[0]) if states else emails


def _describe_emails(emails: list[Email], *, live_job_id: int | None) -> Iterable[EmailOut]:
    key = derive_message_key(settings.SECRET_KEY)
    histories = read_histories(emails)
    returns = read_returns([email.pk for email in emails])
    job_ids = {email.lane.job_id for email in emails if email.lane} | {each.job_id for each in histories.values()}
    found = EmailJob.objects.filter(Q(pk__in=job_ids) | Q(pk=live_job_id)).only("from_email", "names_emails")
    jobs = {job.pk: job for job in found}
    for email in emails:
        history = histories[email.pk]
        # The lane of an email that is sending may still be the lane of an earlier job.
        job_id = (
            live_job_id if email.state == EmailStatus.SENDING else history.job_id or (email.lane and email.lane.job_id)
        )
        yield EmailOut(
            row=email.row,
            line=email.shown_line,
            address=email.address,
            status=email.state,
            attempts=email.attempts,
            code=history.code,
            reply=history.reply,
            messageId=_message_id(email, jobs[job_id], key) if job_id else None,
            sentAt=history.sent_at,
            jobId=history.job_id,
            resending=history.is_resending,
            **_describe_returns(returns.get(email.pk, [])),
            history=[_describe_attempt(attempt) for attempt in history.attempts],
            nextAttemptAt=email.next_attempt_at if email.status == EmailStatus.PENDING else None,
        )


def _describe_returns(reports: list[Return]) -> dict[str, Any]:
    """Describe what came back of one email: the report that says most, and all of them."""
    chosen = choose_return(reports)
    return {
        "returned": name_return(chosen) if chosen else None,
        "returnedAt": chosen.received_at if chosen else None,
        "returnedText": say_answer(chosen) if chosen else "",
        "returns": [
            ReturnOut(
                kind=ReturnKind(report.kind),
                returnClass=ReturnClass(report.return_class),
                statusCode=report.status_code,
                text=report.text,
                domain=report.domain,
                door=report.door,
                happenedAt=report.happened_at,
                receivedAt=report.received_at,
            )
            for report in reports
        ],
    }


def _describe_attempt(attempt: AttemptRow) -> AttemptOut:
    return AttemptOut(
        jobId=attempt.job_id,
        jobKind=JobKind(attempt.job_kind),
        at=attempt.at,
        outcome=Outcome(attempt.outcome),
        code=attempt.code,
        reply=attempt.reply,
        relay=attempt.relay,
    )


def _message_id(email: Email, job: EmailJob, key: bytes) -> str:
    domain = parse_mailbox(job.from_email).domain
    return make_message_id(key=key, email_id=email.pk, job_id=job.pk, domain=domain, names_email=job.names_emails)


@router.post("/batches/{int:batch_id}/send", response={202: SentOut}, exclude_unset=True)
def send_batch(request: HttpRequest, batch_id: int, payload: SendDraft | None = None) -> Status[SentOut]:
    """Send a draft, now or at a time.

    With `reviewed`, only what was reviewed is sent. Above a site's limit of recipients nothing is sent yet: the answer
    has `approval` instead of a job, and another user must approve it.
    """
    refuse_query(request, fields=SendDraft.model_fields)
    batch = find_batch(request, batch_id, act=Act.SEND)
    require_session_proof(request, batch)
    options = payload or SendDraft()
    try:
        job = _send_draft(request, batch, options)
    except creation.ApprovalAsked:
        _rename(batch, options.name)
        raise
    _rename(batch, options.name)
    return Status(202, describe_sent(job))


def _send_draft(request: HttpRequest, batch: Batch, options: SendDraft) -> EmailJob:
    return creation.create_job(
        batch,
        template=EmailTemplate.objects.find_named(options.templateId),
        user=request.user,
        subject=options.subject or None,
        priority=options.priority,
        scheduled_at=options.scheduledAt,
        sender=options.sender,
        topic=options.topic,
        reviewed=creation.Reviewed(digest=options.reviewed) if options.reviewed else None,
    )


def _rename(batch: Batch, name: str | None) -> None:
    """Give a batch the name of the request, once it is certain that the request was not refused."""
    if name is not None:
        intake.rename_batch(batch, name)


@router.post("/batches/{int:batch_id}/replay", response={202: SentOut}, exclude_unset=True)
def replay_batch(request: HttpRequest, batch_id: int, payload: Replay) -> Status[SentOut]:
    """Send the failed, the unknown or all emails of an ended batch again, or to those who have not got it.

    With `failure`, only those failed emails to which the mail server gave one answer. That is a new job. Whatever
    becomes of it, an email that was sent before stays known as sent.
    """
    refuse_query(request, fields=Replay.model_fields)
    batch = find_batch(request, batch_id, act=Act.RESTART)
    require_session_proof(request, batch)
    chosen = payload.failure and failure_groups.find_choice(batch, payload.failure, domain=payload.domain)
    job = creation.replay_batch(
        batch,
        which=payload.which,
        failure=chosen or None,
        user=request.user,
        include_unknown=payload.includeUnknown,
        sender=payload.sender,
    )
    return Status(202, describe_sent(job))


def describe_sent(job: EmailJob) -> SentOut:
    """Describe a job that was made, with those whom it leaves out."""
    sent = SentOut(success=True, jobId=job.pk, batchId=job.batch_id, totalCount=job.total_count)
    if job.batch.suppressed_count:  # otherwise the answer is as it was in earlier versions
        left_out = suppressions.list_ended(job.batch_id, limit=LEFT_OUT_MAX)
        sent.suppressedCount = job.batch.suppressed_count
        sent.suppressed = [LeftOut(address=address, reason=reason) for address, reason in left_out]
    return sent


@router.post("/batches/{int:batch_id}/pause", response=MovedOut)
def pause_batch(request: HttpRequest, batch_id: int) -> MovedOut:
    """Stop sending a batch for now. Emails in flight are finished."""
    batch = find_batch(request, batch_id, act=Act.STOP)
    lifecycle.pause_batch(batch)
    return _describe_moved(batch)


@router.post("/batches/{int:batch_id}/resume", response=MovedOut)
def resume_batch(request: HttpRequest, batch_id: int) -> MovedOut:
    """Send the rest of a paused batch."""
    batch = find_batch(request, batch_id, act=Act.RESTART)
    lifecycle.resume_batch(batch, by=request.user)
    return _describe_moved(batch)


@router.post("/batches/{int:batch_id}/cancel", response=MovedOut)
def cancel_batch(request: HttpRequest, batch_id: int) -> MovedOut:
    """Stop sending a batch for good. Emails in flight are finished, the others are cancelled."""
    batch = find_batch(request, batch_id, act=Act.STOP)
    lifecycle.cancel_batch(batch)
    return _describe_moved(batch)


def _describe_moved(batch: Batch) -> MovedOut:
    status = Batch.objects.values_list("status", flat=True).get(pk=batch.pk)
    return MovedOut(success=True, batchId=batch.pk, status=status)


@router.get("/jobs/{int:job_id}", response=JobOut)
def get_job(request: HttpRequest, job_id: int) -> JobOut:
    """One job. While it is live, its counts are the sums over its lanes."""
    job = (
        EmailJob.objects.select_related("sender", "topic")
        .filter(pk=job_id, batch__in=Batch.objects.visible_to(request.user))
        .first()
    )
    if job is None:
        raise not_found(f"job {job_id}")
    return describe_job(job)


def describe_job(job: EmailJob) -> JobOut:
    counts = progress.read_job_counts(job)
    return JobOut(
        id=job.pk,
        batchId=job.batch_id,
        status=job.status.upper(),
        templateId=job.template_key,
        subject=job.subject,
        sender=describe_sender_of(job),
        topic=describe_topic_of(job),
        totalCount=job.total_count,
        sentCount=counts.sent,
        failedCount=counts.failed,
        createdById=job.created_by_id,
        createdAt=job.created_at,
        startedAt=job.started_at,
        completedAt=job.completed_at,
        lastError=job.last_error,
    )
