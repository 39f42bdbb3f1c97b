"""A second person's approval: ask for it, give it, refuse it, and make it void when what it is about changes.

Above APPROVAL_ABOVE recipients a send becomes an Approval that waits. Another user approves exactly its digest, and
only then the job is opened. Every step holds the lock of the batch's row, as every other transition of a batch does.
So of two people who decide at the same time, one finds nothing waiting.

No editor of a list, a template or a sender has to know of approvals. The digest is made again at each look and before
each answer, and the sweep looks at all that wait.
"""

from __future__ import annotations

from collections.abc import Collection

from django.conf import settings
from django.contrib.auth.models import AnonymousUser, User
from django.db import transaction
from django.db.models import Q, QuerySet
from django.db.models.functions import Now
from django.utils import timezone

from batches import audit, progress
from batches.jobs.failure_groups import FailureChoice
from batches.jobs.lifecycle import JobRefused
from batches.jobs.opening import Sending, digest_of, lock_batch, open_job, prepare_first, prepare_replay
from batches.jobs.reviewed import ReviewChanged, say_changed
from batches.jobs.user_limits import LargeListRefused, LimitReached
from batches.models import Approval, ApprovalStatus, AuditAction, Batch, BatchStatus, EmailJob, JobKind
from batches.permissions import Act, NotPermitted, Permission, find_missing, may, require

REASON_MAX_CHARS = 500

SWEPT_COUNT_MAX = 50
"""How many waiting approvals one sweep looks at. Each costs some queries, and anybody who may send can ask for many."""

NOT_YOUR_OWN = "You asked for this approval, or the batch is yours. Another user must approve it."
ANOTHER_ASKED = "It was sent again in another way, which took the place of this request."
NO_REASON = "Say why you refuse, so that the asker can correct it."

AnyUser = User | AnonymousUser | None


class ApprovalVoid(JobRefused):
    """What was to be approved has changed since, so nothing was sent. The message says what changed."""


def is_needed(count: int) -> bool:
    """Whether a job to so many recipients needs a second person."""
    return bool(settings.APPROVAL_ABOVE) and count > settings.APPROVAL_ABOVE


def ask(locked: Batch, sending: Sending, *, count: int) -> Approval:
    """Ask for the approval of what would be sent now, or return the same question if it waits already.

    Raises:
        JobRefused: Nobody asks: a command without a user.
    """
    if sending.user is None:
        raise JobRefused(
            f"More than {settings.APPROVAL_ABOVE:,} recipients need the approval of a second person. Name the user who "
            "has approved it with --approved-by, or let a user send it on the pages."
        )
    digest = digest_of(locked, sending)
    waiting = _find_waiting(locked)
    if waiting and waiting.digest == digest and waiting.asked_by_id == sending.user.pk:
        return waiting
    if waiting:
        _void(waiting, ANOTHER_ASKED)
    approval = _make(locked, sending, count=count, digest=digest, status=ApprovalStatus.WAITING)
    audit.record(AuditAction.APPROVAL_ASK, approval, recipients=count, digest=digest)
    _publish_after_commit(locked.pk)
    return approval


def find_asked(locked: Batch, sending: Sending) -> Approval | None:
    """Return the question about exactly this sending, whatever its answer was, for a request that comes again."""
    asked = locked.approvals.exclude(status=ApprovalStatus.VOID)
    return asked.filter(digest=digest_of(locked, sending)).first()


def open_approved(locked: Batch, sending: Sending, *, count: int, approver: User) -> EmailJob:
    """Open the job of a command for which the operator names the approver, and keep the approval as a record.

    Raises:
        NotPermitted: The approver may not approve, or sends it.
        JobRefused: The batch can't be sent now.
    """
    require(approver, Permission.APPROVE_BATCH)
    if approver.pk in (locked.created_by_id, sending.user and sending.user.pk):
        raise NotPermitted(NOT_YOUR_OWN, Permission.APPROVE_BATCH)
    approval = _make(locked, sending, count=count, digest=digest_of(locked, sending), status=ApprovalStatus.APPROVED)
    Approval.objects.filter(pk=approval.pk).update(decided_by=approver, decided_at=Now())
    audit.record(AuditAction.APPROVE, approval, approver=approver.get_username(), digest=approval.digest)
    return open_job(locked, sending)


def void_waiting(locked: Batch, reason: str) -> None:
    """Make the waiting approval of a batch void, if there is one. Needs the batch's row locked."""
    if waiting := _find_waiting(locked):
        _void(waiting, reason)


def approve(batch: Batch, *, digest: str, by: AnyUser) -> EmailJob:
    """Approve what the approver has looked at, and open the job. Of two callers at the same time one opens it.

    Args:
        digest: The reviewed digest that was shown to the approver.

    Raises:
        NotPermitted: The user may not approve batches, or not this one.
        ReviewChanged: Another digest waits than the one that the approver has looked at.
        ApprovalVoid: What was asked about has changed. The approval is void now.
        JobRefused: Nothing waits, or the batch can't be sent now.
    """
    job = None
    with transaction.atomic():
        locked = lock_batch(batch)
        waiting = _find_to_decide(locked, by)
        _refuse_own(waiting, locked, by)
        sending, lapse = _look_again(waiting, locked)
        if sending is None:
            _void(waiting, lapse)
        elif digest != waiting.digest:
            raise ReviewChanged(digest, waiting.digest)
        else:
            job = _open_for_asker(locked, sending)
            _decide(waiting, ApprovalStatus.APPROVED, by=by)
            audit.record(AuditAction.APPROVE, waiting, digest=waiting.digest, job=job.pk)
    if job is None:  # raised after the commit, so that the approval stays void
        raise ApprovalVoid(f"It can't be approved any more. {lapse}")
    batch.refresh_from_db()
    job.batch = batch
    return job


def refuse(batch: Batch, *, by: AnyUser, reason: str) -> Approval:
    """Refuse the waiting approval of a batch. The draft stays, and its owner can correct and send it again.

    Raises:
        NotPermitted: The user may not approve batches.
        JobRefused: Nothing waits, or there is no reason.
    """
    with transaction.atomic():
        locked = lock_batch(batch)
        waiting = _find_to_decide(locked, by)
        if not reason.strip():
            raise JobRefused(NO_REASON)
        _decide(waiting, ApprovalStatus.REFUSED, by=by, reason=reason.strip()[:REASON_MAX_CHARS])
        audit.record(AuditAction.APPROVAL_REFUSE, waiting, digest=waiting.digest)
        _publish_after_commit(locked.pk)
    return waiting


def withdraw(batch: Batch, *, by: AnyUser) -> None:
    """Take back the question. The asker, the owner, and users who may steer all batches can do so.

    Raises:
        NotPermitted: The user is none of them.
        JobRefused: Nothing waits.
    """
    with transaction.atomic():
        locked = lock_batch(batch)
        waiting = _find_waiting(locked)
        if waiting is None:
            raise JobRefused(_say_nothing_waits(locked))
        if by is None or by.pk not in (waiting.asked_by_id, locked.created_by_id):
            require(by, Permission.STEER_ALL_BATCHES)
        who = by.get_username() if by is not None else "An administrator"
        _void(waiting, f"{who} withdrew the request.", by=by)


def find_batches(user: User | AnonymousUser) -> QuerySet[Batch]:
    """Return the batches whose approval a user may look at: those that the user may see anyway, and for an approver
    those that wait, or that this approver has answered.
    """
    visible = Batch.objects.visible_to(user)
    if not may(user, Permission.APPROVE_BATCH):
        return visible
    mine = Approval.objects.filter(Q(status=ApprovalStatus.WAITING) | Q(decided_by=user.pk))
    return Batch.objects.filter(Q(pk__in=visible.values("pk")) | Q(pk__in=mine.values("batch")))


def find_current(batch: Batch) -> Approval | None:
    """Return the last approval of a batch, after a look whether it is void by now. None: there is none."""
    # Not by batch.approvals, which would look at the caller's batch as it was read, and not as it is.
    related = ("batch", "asked_by", "decided_by", "template")
    last = Approval.objects.filter(batch_id=batch.pk).select_related(*related).first()
    if last is None or last.status != ApprovalStatus.WAITING or not _void_if_changed(last):
        return last
    last.refresh_from_db()
    return last


def find_sending(batch: Batch) -> Sending | None:
    """Return what the waiting approval of a batch is about. None: nothing waits, or it has changed."""
    waiting = _find_waiting(batch)
    return _look_again(waiting, batch)[0] if waiting else None


def list_waiting() -> QuerySet[Approval]:
    """Return all approvals that wait, the oldest first."""
    waiting = Approval.objects.filter(status=ApprovalStatus.WAITING).order_by("pk")
    return waiting.select_related("batch", "batch__created_by", "asked_by", "template")


def void_changed(*, at_most: int | None = None, among: Collection[int] | None = None) -> int:
    """Make void what has changed since it was asked, and return how many. Safe to call at any time.

    Args:
        at_most: How many to look at, whichever they are: for the sweep, which comes again. None: all that wait.
        among: Look only at the approvals with these ids: for a page, which costs no more than it shows.
    """
    waiting = list_waiting() if among is None else list_waiting().filter(pk__in=among)
    if at_most is not None:
        waiting = waiting.order_by("?")[:at_most]  # the order of the ids would never reach the last ones
    return sum(_void_if_changed(each) for each in waiting)


def _void_if_changed(seen: Approval) -> bool:
    """Look without a lock first: most of what waits has not changed.

    Somebody who changes the list holds the lock of the batch, for minutes if it is long. Waiting for it would stop the
    sweep, and with it the mail of everybody. The next look finds the change.
    """
    if _look_again(seen, seen.batch)[0] is not None:
        return False
    with transaction.atomic():
        locked = Batch.objects.select_for_update(skip_locked=True).filter(pk=seen.batch_id).first()
        waiting = _find_waiting(locked) if locked else None
        if locked is None or waiting is None:
            return False
        sending, lapse = _look_again(waiting, locked)
        if sending is None:
            _void(waiting, lapse)
    return sending is None


def _look_again(waiting: Approval, batch: Batch) -> tuple[Sending | None, str]:
    """Work out what would be sent now. Without a Sending it is not what was asked about: the sentence says why."""
    user = waiting.asked_by
    if user is None or not user.is_active:
        return None, "The account in whose name it would be sent is not active any more."
    if find_missing(user, batch, Act.SEND if waiting.kind == JobKind.FIRST else Act.RESTART) is not None:
        return None, f"{user.get_username()} may not send email any more."
    if waiting.scheduled_at is not None and waiting.scheduled_at <= timezone.now():
        return None, "The time at which it was to go out has passed. Choose another time, then send it again."
    try:
        sending = _prepare(waiting, batch, user)
    except JobRefused as exc:
        return None, str(exc)
    digest = digest_of(batch, sending)
    if digest == waiting.digest:
        return sending, ""
    return None, f"It changed after approval was asked for: {say_changed(waiting.digest, digest)}. Send it again."


def _prepare(waiting: Approval, batch: Batch, user: User) -> Sending:
    if waiting.kind != JobKind.FIRST:
        return prepare_replay(
            batch,
            which=JobKind(waiting.kind),
            user=user,
            include_unknown=waiting.include_unknown,
            sender=waiting.sender_key,
            failure=_find_failure(waiting),
        )
    if batch.status != BatchStatus.DRAFT:
        raise JobRefused("The batch was sent meanwhile.")
    if waiting.template is None:
        raise JobRefused("The template was deleted. Choose another one, then send it again.")
    return prepare_first(
        template=waiting.template,
        user=user,
        subject=waiting.subject,
        sender=waiting.sender_key,
        topic=waiting.topic_key,
        priority=waiting.priority,
        scheduled_at=waiting.scheduled_at,
    )


def _find_failure(waiting: Approval) -> FailureChoice | None:
    """Return the group of failures that an approval is limited to."""
    if not waiting.failure_key:
        return None
    return FailureChoice(key=waiting.failure_key, words=waiting.failure_words, domain=waiting.failure_domain)


def _find_waiting(locked: Batch) -> Approval | None:
    """Return the waiting approval with its row, its template and its user as they are now."""
    return locked.approvals.filter(status=ApprovalStatus.WAITING).select_related("asked_by", "template").first()


def _open_for_asker(locked: Batch, sending: Sending) -> EmailJob:
    """Open the job. What is over a limit of the asker is said so, because the approver reads it."""
    try:
        return open_job(locked, sending)
    except (LimitReached, LargeListRefused) as exc:
        asker = sending.user.get_username() if sending.user else "the asker"
        raise JobRefused(f"It can't be sent in the name of {asker} now, who is told: {exc}") from exc


def _find_to_decide(locked: Batch, by: AnyUser) -> Approval:
    require(by, Permission.APPROVE_BATCH)
    waiting = _find_waiting(locked)
    if waiting is None:
        raise JobRefused(_say_nothing_waits(locked))
    return waiting


def _say_nothing_waits(locked: Batch) -> str:
    last = locked.approvals.first()
    if last is None:
        return f"Batch {locked.pk} waits for no approval."
    reason = f" {last.reason}" if last.reason else ""
    return f"Batch {locked.pk} waits for no approval. The last one is {last.get_status_display().lower()}.{reason}"


def _refuse_own(waiting: Approval, locked: Batch, by: AnyUser) -> None:
    """Nobody approves their own: neither the asker nor the owner of the batch."""
    if by is not None and by.pk in (waiting.asked_by_id, locked.created_by_id):
        raise NotPermitted(NOT_YOUR_OWN, Permission.APPROVE_BATCH)


def _make(locked: Batch, sending: Sending, *, count: int, digest: str, status: ApprovalStatus) -> Approval:
    return Approval.objects.create(
        batch=locked,
        kind=sending.kind,
        include_unknown=sending.include_unknown,
        failure_key=sending.failure.key if sending.failure else "",
        failure_words=sending.failure.words if sending.failure else "",
        failure_domain=sending.failure.domain if sending.failure else "",
        recipient_count=count,
        digest=digest,
        status=status,
        template=sending.template,
        subject=sending.subject,
        sender_key=sending.sender_key,
        topic_key=sending.topic_key,
        scheduled_at=sending.scheduled_at,
        priority=sending.priority,
        asked_by=sending.user,
    )


def _void(waiting: Approval, reason: str, *, by: AnyUser = None) -> None:
    _decide(waiting, ApprovalStatus.VOID, by=by, reason=reason)
    audit.record(AuditAction.APPROVAL_VOID, waiting)
    _publish_after_commit(waiting.batch_id)


def _decide(waiting: Approval, status: ApprovalStatus, *, by: AnyUser, reason: str = "") -> None:
    """Set the answer. Conditional, although the batch is locked: an answer is never replaced by another."""
    decided_by = by if isinstance(by, User) else None
    waiting.status, waiting.decided_by, waiting.decided_at, waiting.reason = status, decided_by, timezone.now(), reason
    Approval.objects.filter(pk=waiting.pk, status=ApprovalStatus.WAITING).update(
        status=status, decided_by=decided_by, decided_at=Now(), reason=reason
    )


def _publish_after_commit(batch_id: int) -> None:
    transaction.on_commit(lambda: progress.publish(batch_id))
