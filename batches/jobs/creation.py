"""Create a job: the first send of a draft, or a replay of a batch that has ended.

A batch and a template enter; a job with its lanes leaves, and its work items are enqueued after the commit. Above
APPROVAL_ABOVE recipients an Approval leaves instead. A trial message is rendered before the transaction: that takes up
to ten seconds in a child process, and no caller should wait for a lock that long.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import TypedDict

from django.conf import settings
from django.contrib.auth.models import AnonymousUser, User
from django.db import transaction

from batches.jobs import approvals
from batches.jobs.failure_groups import FailureChoice
from batches.jobs.lifecycle import JobRefused
from batches.jobs.opening import (
    Sending,
    count_recipients,
    digest_of,
    lock_batch,
    open_job,
    prepare_first,
    prepare_replay,
)
from batches.jobs.reviewed import ReviewChanged
from batches.jobs.user_limits import check_limits
from batches.models import (
    Approval,
    ApprovalStatus,
    Batch,
    BatchStatus,
    EmailJob,
    EmailStatus,
    EmailTemplate,
    JobKind,
    JobPriority,
)
from batches.permissions import Act, require_act
from batches.rendering import children
from batches.rendering.template import TemplateFault, make_context
from batches.returns.refusals import forgive_refusals

BATCH_SENT = "The batch was sent."


class Timing(TypedDict):
    """When a job goes out, as arguments of ``prepare_first``."""

    priority: str
    scheduled_at: datetime | None


class ApprovalAsked(JobRefused):
    """Nothing is sent yet: a second person must approve it first. Raised after the question was committed.

    It is a refusal, so that a door that knows nothing of approvals says so and sends nothing. Inside a transaction of
    the caller, catch it there: a rollback would take the question back.
    """

    http_status = 202

    def __init__(self, approval: Approval) -> None:
        super().__init__(say_asked(approval))
        self.approval = approval


class TemplateRefused(JobRefused):
    """The template does not fit the list. The message says why and what to do."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Reviewed:
    """What a caller says that it has reviewed."""

    digest: str
    has_time: bool = True
    """Whether the digest covers the time and the priority. A form that holds both itself has one without them."""


def send_once(
    batch: Batch,
    *,
    template: EmailTemplate,
    user: User | AnonymousUser | None,
    subject: str | None = None,
    priority: str = JobPriority.DEFAULT,
    scheduled_at: datetime | None = None,
    sender: str | None = None,
    topic: str | None = None,
    approved_by: User | None = None,
) -> EmailJob:
    """Find the first job of a batch, or create it. Safe to call twice and concurrently: one job is created.

    Args:
        subject: Replaces the template's subject, unless it is empty.
        sender: The key or address of the sender. None or empty: see ``senders.choose_sender``.
        topic: The key of the topic. None or empty: the template's.
        approved_by: The user who has approved it, as the operator of a command says.

    Raises:
        ApprovalAsked: It is for more than APPROVAL_ABOVE recipients. The answer may have been given meanwhile.
        TemplateRefused: The template can't be rendered for this list.
        SenderRefused: The user may not use the sender, or no mail can come from it.
        TopicRefused: There is no such topic, or no news can be sent from here.
        NotPermitted: The user may not send the batch, or the one in ``approved_by`` may not approve it.
        LargeListRefused, LimitReached: It is more than the user may send.
        JobRefused: The batch has no recipients.
    """
    former = _find_first_job(batch)
    if former is not None:
        return former
    require_act(user, batch, Act.SEND)
    timing: Timing = {"priority": priority, "scheduled_at": scheduled_at}
    sending = prepare_first(template=template, user=user, subject=subject, sender=sender, topic=topic, **timing)
    _render_trial(batch, sending)
    with transaction.atomic():
        # The lock makes callers that want to send the same batch wait for the one that creates the job.
        locked = lock_batch(batch)
        sent = _find_first_job(locked) or approvals.find_asked(locked, sending)
        if sent is None:
            sent = _open_or_ask(locked, sending, approved_by=approved_by)
    return _follow(sent, batch)


def create_job(
    batch: Batch,
    *,
    template: EmailTemplate,
    user: User | AnonymousUser | None,
    subject: str | None = None,
    priority: str = JobPriority.DEFAULT,
    scheduled_at: datetime | None = None,
    sender: str | None = None,
    topic: str | None = None,
    reviewed: Reviewed | None = None,
) -> EmailJob:
    """Start the first send of a draft, now or at a time. The arguments are those of ``send_once``.

    Args:
        reviewed: What the user looked at. None: the caller reviewed nothing.

    Raises:
        ApprovalAsked: It is for more than APPROVAL_ABOVE recipients.
        ReviewChanged: Something else would be sent than what was reviewed.
        TemplateRefused: The template can't be rendered for this list.
        SenderRefused: The user may not use the sender, or no mail can come from it.
        TopicRefused: There is no such topic, or no news can be sent from here.
        NotPermitted: The user may not send the batch.
        LargeListRefused, LimitReached: It is more than the user may send.
        JobRefused: The batch has no recipients, or it was already sent.
    """
    require_act(user, batch, Act.SEND)
    timing: Timing = {"priority": priority, "scheduled_at": scheduled_at}
    sending = prepare_first(template=template, user=user, subject=subject, sender=sender, topic=topic, **timing)
    if reviewed is not None:
        _refuse_changed(batch, sending, reviewed)  # before the trial, whose fault may come from the change
    _render_trial(batch, sending)
    with transaction.atomic():
        locked = lock_batch(batch)
        if locked.status != BatchStatus.DRAFT:
            raise JobRefused(
                f"Batch {batch.pk} was already sent. Use replay to send it, or the emails that failed, again."
            )
        if reviewed is not None:  # again, because the list may have changed until it was locked
            _refuse_changed(locked, sending, reviewed)
        sent = _open_or_ask(locked, sending)
    return _follow(sent, batch)


def replay_batch(
    batch: Batch,
    *,
    which: JobKind,
    user: User | AnonymousUser | None,
    include_unknown: bool = False,
    sender: str | None = None,
    failure: FailureChoice | None = None,
    approved_by: User | None = None,
) -> EmailJob:
    """Send a part of an ended batch again, as a new job with the message parts and priority of the last one.

    Only a replay of all sends to people who have the mail. Their emails stay known as sent: see ``opening``.

    Args:
        include_unknown: With the kind *unsent*, send also to those of whom nobody knows whether they have the mail.
        sender: The key or address of another sender. None or empty: the sender of the last job, as it was then.
        failure: With the kind *failed*, send only to those of this group of failures.
        approved_by: As in ``send_once``.

    Raises:
        ApprovalAsked: It is for more than APPROVAL_ABOVE recipients.
        SenderRefused: The user may not use the sender, or no mail can come from it.
        NotPermitted: The user may not replay the batch, or the one in ``approved_by`` may not approve it.
        LargeListRefused, LimitReached: It is more than the user may send.
        JobRefused: The batch is live, was never sent, or has no such emails.
    """
    require_act(user, batch, Act.RESTART)
    with transaction.atomic():
        locked = lock_batch(batch)
        sending = prepare_replay(
            locked, which=which, user=user, include_unknown=include_unknown, sender=sender, failure=failure
        )
        if which != JobKind.UNKNOWN:
            forgive_refusals(locked.pk)
        sent = _open_or_ask(locked, sending, approved_by=approved_by)
    return _follow(sent, batch)


def say_asked(approval: Approval) -> str:
    """Say what became of a send that needs an approval."""
    many = f"{approval.recipient_count:,} recipients"
    if approval.status == ApprovalStatus.REFUSED:
        return f"The approval of this batch with {many} was refused: {approval.reason} Nothing was sent."
    return f"Nothing is sent yet: {many} need the approval of a second person. Batch {approval.batch_id} waits for it."


def _follow(sent: EmailJob | Approval, batch: Batch) -> EmailJob:
    """Return the job, with the batch as it is after the commit. Raises ApprovalAsked if there is no job."""
    batch.refresh_from_db()
    if isinstance(sent, Approval):
        raise ApprovalAsked(sent)
    sent.batch = batch
    return sent


def _open_or_ask(locked: Batch, sending: Sending, *, approved_by: User | None = None) -> EmailJob | Approval:
    """Open the job, or ask for approval. Needs the batch's row locked."""
    # Counted only where the number decides something: a replay's takes as long as its UPDATE.
    count = count_recipients(locked, sending) if settings.APPROVAL_ABOVE else 0
    if not approvals.is_needed(count):
        approvals.void_waiting(locked, BATCH_SENT)
        return open_job(locked, sending)
    if approved_by is not None:
        approvals.void_waiting(locked, BATCH_SENT)
        return approvals.open_approved(locked, sending, count=count, approver=approved_by)
    check_limits(sending.user, count)  # nobody should have to approve what can't be sent then
    return approvals.ask(locked, sending, count=count)


def _refuse_changed(batch: Batch, sending: Sending, reviewed: Reviewed) -> None:
    covered = sending if reviewed.has_time else replace(sending, scheduled_at=None, priority=JobPriority.DEFAULT)
    now = digest_of(batch, covered)
    if now != reviewed.digest:
        raise ReviewChanged(reviewed.digest, now)


def _find_first_job(batch: Batch) -> EmailJob | None:
    return batch.jobs.order_by("pk").first()


def _render_trial(batch: Batch, sending: Sending) -> None:
    """Render the trial message: that of the first email, in a child process unless the template is plain."""
    parts, user_id = sending.parts, sending.user.pk if sending.user is not None else None
    first = batch.emails.filter(status=EmailStatus.PENDING).order_by("row").first()
    try:
        children.analyse_sound(parts, batch, user_id=user_id)
        if first is None:
            return
        context = make_context(batch.merge_fields, first.fields, address=first.address)
        children.render(parts, context, address_heading=batch.address_heading, user_id=user_id)
    except TemplateFault as exc:
        raise TemplateRefused(str(exc)) from exc
