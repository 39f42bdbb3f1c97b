"""Approvals: who may answer, what makes one void, and that exactly one job comes of one."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from io import BytesIO

import pytest
from django.conf import LazySettings
from django.contrib.auth.models import User
from django.utils import timezone

from batches import intake
from batches.jobs import approvals, creation, lifecycle
from batches.jobs.reviewed import ReviewChanged
from batches.jobs.sweep import sweep
from batches.models import (
    DEFAULT_SENDER,
    Approval,
    ApprovalStatus,
    AuditAction,
    AuditEntry,
    Batch,
    BatchStatus,
    EmailStatus,
    EmailTemplate,
    JobKind,
    JobPriority,
    Sender,
)
from batches.permissions import NotPermitted, Permission
from batches.progress import read_snapshot
from batches.rendering.template import MessageParts
from batches.waiting import AWAITS_APPROVAL
from tests.conftest import MakeUser, join_groups, permit

LIMIT = 2


@pytest.fixture(autouse=True)
def limit(settings: LazySettings) -> None:
    settings.APPROVAL_ABOVE = LIMIT


@pytest.fixture
def approver(make_user: MakeUser) -> User:
    return make_user("approver", "Approvers")


@pytest.fixture
def draft(sender: User) -> Batch:
    return make_draft(sender)


def make_draft(user: User, count: int = LIMIT + 1) -> Batch:
    rows = "".join(f"p{number}@example.org,P{number}\n" for number in range(count))
    return intake.import_csv(BytesIO(f"email,name\n{rows}".encode()), filename="list.csv", user=user).batch


def ask(draft: Batch, template: EmailTemplate, user: User | None, **options: object) -> Approval:
    with pytest.raises(creation.ApprovalAsked) as asked:
        creation.create_job(draft, template=template, user=user, **options)  # type: ignore[arg-type]
    return asked.value.approval


def end(batch: Batch, status: EmailStatus) -> None:
    """End the batch's job with every email in this status."""
    job = batch.jobs.get(completed_at=None)
    batch.emails.update(status=status, lane=job.lanes.get(number=0))
    assert lifecycle.finish_job(job.pk)


def test_send_asks_when_it_is_for_more_than_the_limit(draft: Batch, welcome: EmailTemplate, sender: User) -> None:
    approval = ask(draft, welcome, sender)
    assert (approval.status, approval.recipient_count, approval.asked_by) == (ApprovalStatus.WAITING, 3, sender)
    assert not draft.jobs.exists()
    assert draft.status == BatchStatus.DRAFT
    snapshot = read_snapshot(draft.pk)
    assert snapshot
    assert snapshot["waitingFor"] == AWAITS_APPROVAL


def test_send_needs_no_approval_up_to_the_limit(sender: User, welcome: EmailTemplate) -> None:
    assert creation.create_job(make_draft(sender, LIMIT), template=welcome, user=sender).pk


def test_send_needs_no_approval_when_the_limit_is_off(
    draft: Batch, welcome: EmailTemplate, sender: User, settings: LazySettings
) -> None:
    settings.APPROVAL_ABOVE = 0
    assert creation.create_job(draft, template=welcome, user=sender).pk


def test_same_question_is_found_when_it_is_asked_twice(draft: Batch, welcome: EmailTemplate, sender: User) -> None:
    first = ask(draft, welcome, sender)
    assert ask(draft, welcome, sender) == first


def test_another_question_takes_the_place_of_the_first(draft: Batch, welcome: EmailTemplate, sender: User) -> None:
    first = ask(draft, welcome, sender)
    second = ask(draft, welcome, sender, subject="Other")
    first.refresh_from_db()
    assert (first.status, second.status) == (ApprovalStatus.VOID, ApprovalStatus.WAITING)


def test_approved_batch_is_sent_as_it_was_asked(
    draft: Batch, welcome: EmailTemplate, sender: User, approver: User
) -> None:
    at = timezone.now() + timedelta(hours=2)
    asked = ask(draft, welcome, sender, subject="Mine", scheduled_at=at, priority=JobPriority.HIGH)
    job = approvals.approve(draft, digest=asked.digest, by=approver)
    assert (job.created_by, job.scheduled_at, job.priority) == (sender, at, JobPriority.HIGH)
    assert MessageParts.of(job) == MessageParts.of(welcome, "Mine")
    asked.refresh_from_db()
    assert (asked.status, asked.decided_by) == (ApprovalStatus.APPROVED, approver)
    assert AuditEntry.objects.filter(action=AuditAction.APPROVE, batch_id=draft.pk).count() == 1


def test_nobody_approves_what_they_asked_for(draft: Batch, welcome: EmailTemplate, sender: User) -> None:
    asked = ask(draft, welcome, sender)
    with pytest.raises(NotPermitted, match="Another user must approve it"):
        approvals.approve(draft, digest=asked.digest, by=join_groups(sender, "Approvers"))
    assert not draft.jobs.exists()


def test_owner_does_not_approve_what_another_asked_for(
    draft: Batch, welcome: EmailTemplate, sender: User, make_user: MakeUser
) -> None:
    other = permit(make_user("other", "Senders"), Permission.STEER_ALL_BATCHES)
    asked = ask(draft, welcome, other)
    with pytest.raises(NotPermitted, match="Another user must approve it"):
        approvals.approve(draft, digest=asked.digest, by=join_groups(sender, "Approvers"))


def test_approval_is_refused_to_a_user_without_the_permission(
    draft: Batch, welcome: EmailTemplate, sender: User, make_user: MakeUser
) -> None:
    asked = ask(draft, welcome, sender)
    for answer in (
        lambda user: approvals.approve(draft, digest=asked.digest, by=user),
        lambda user: approvals.refuse(draft, by=user, reason="No"),
        lambda user: approvals.withdraw(draft, by=user),
    ):
        with pytest.raises(NotPermitted):
            answer(make_user(f"other{User.objects.count()}", "Senders"))
    asked.refresh_from_db()
    assert asked.status == ApprovalStatus.WAITING


def test_approver_is_told_to_look_again_when_another_digest_was_shown(
    draft: Batch, welcome: EmailTemplate, sender: User, approver: User
) -> None:
    shown = ask(draft, welcome, sender)
    ask(draft, welcome, sender, subject="Another")
    with pytest.raises(ReviewChanged, match="the message"):
        approvals.approve(draft, digest=shown.digest, by=approver)
    assert not draft.jobs.exists()


def edit_template(draft: Batch) -> None:
    EmailTemplate.objects.update(text="Sign in at https://evil.example/")


def delete_template(draft: Batch) -> None:
    EmailTemplate.objects.all().delete()


def rename_fields(draft: Batch) -> None:
    EmailTemplate.objects.update(text="Dear {{ email }}", html="", subject="Hello")
    intake.rename_merge_fields(draft, {"name": "other"})


def add_rows(draft: Batch) -> None:
    intake.append_csv(draft, BytesIO(b"email,name\nnew@example.org,New\n"))


def read_again(draft: Batch) -> None:
    intake.reread_upload(draft, intake.ReadingOptions(encoding="cp1252"))


def edit_sender(draft: Batch) -> None:
    Sender.objects.filter(key=DEFAULT_SENDER).update(display_name="Another", is_from_settings=False)


def redirect_answers(draft: Batch) -> None:
    Sender.objects.filter(key=DEFAULT_SENDER).update(reply_to="evil@example.org", is_from_settings=False)


def limit_sender(draft: Batch) -> None:
    Sender.objects.filter(key=DEFAULT_SENDER).update(is_limited=True, is_from_settings=False)


def delete_sender(draft: Batch) -> None:
    Sender.objects.all().delete()
    Sender.objects.create(key="other", address="other@example.org")


def deactivate_asker(draft: Batch) -> None:
    User.objects.filter(username="sender").update(is_active=False)


def delete_asker(draft: Batch) -> None:
    User.objects.get(username="sender").delete()


def take_permission(draft: Batch) -> None:
    User.objects.get(username="sender").groups.clear()


CHANGES = [
    *((edit_template, "the message"), (delete_template, "The template was deleted"), (rename_fields, "the list")),
    *((add_rows, "the list"), (read_again, "the list"), (edit_sender, "the sender"), (redirect_answers, "the sender")),
    *((limit_sender, "may not send from"), (delete_sender, "the sender"), (deactivate_asker, "not active")),
    *((delete_asker, "not active"), (take_permission, "may not send email any more")),
]


@pytest.mark.parametrize("notice", ["approve", "look", "sweep"])
@pytest.mark.parametrize(("change", "reason"), CHANGES)
def test_approval_is_void_when_something_of_it_changed(
    change: Callable[[Batch], None],
    reason: str,
    notice: str,
    draft: Batch,
    welcome: EmailTemplate,
    sender: User,
    approver: User,
) -> None:
    asked = ask(draft, welcome, sender)
    change(draft)
    if notice == "approve":
        with pytest.raises(approvals.ApprovalVoid, match=reason):
            approvals.approve(draft, digest=asked.digest, by=approver)
    elif notice == "look":
        approvals.find_current(draft)
    else:
        assert sweep().voided == 1
    asked.refresh_from_db()
    assert asked.status == ApprovalStatus.VOID
    assert reason in asked.reason
    assert not draft.jobs.exists()


@pytest.mark.parametrize("notice", ["approve", "look", "sweep"])
def test_approval_waits_on_when_nothing_of_it_changed(
    notice: str, draft: Batch, welcome: EmailTemplate, sender: User, approver: User
) -> None:
    """What does not go out may change: the template's name, its key, another template, another batch."""
    asked = ask(draft, welcome, sender)
    EmailTemplate.objects.update(name="Renamed", key="renamed")
    EmailTemplate.objects.create(key="other", name="Other", subject="S", text="T")
    make_draft(sender)
    if notice == "approve":
        assert approvals.approve(draft, digest=asked.digest, by=approver).total_count == 3
        return
    if notice == "sweep":
        assert sweep().voided == 0
    current = approvals.find_current(draft)
    assert current
    assert current.status == ApprovalStatus.WAITING


def test_approval_is_void_when_its_time_has_passed(
    draft: Batch, welcome: EmailTemplate, sender: User, approver: User
) -> None:
    asked = ask(draft, welcome, sender, scheduled_at=timezone.now() + timedelta(hours=1))
    Approval.objects.update(scheduled_at=timezone.now() - timedelta(seconds=1))
    with pytest.raises(approvals.ApprovalVoid, match="Choose another time"):
        approvals.approve(draft, digest=asked.digest, by=approver)


def test_refused_approval_has_a_reason(draft: Batch, welcome: EmailTemplate, sender: User, approver: User) -> None:
    asked = ask(draft, welcome, sender)
    with pytest.raises(lifecycle.JobRefused, match="Say why"):
        approvals.refuse(draft, by=approver, reason="  ")
    approvals.refuse(draft, by=approver, reason=" The date is wrong. ")
    asked.refresh_from_db()
    assert (asked.status, asked.reason) == (ApprovalStatus.REFUSED, "The date is wrong.")
    with pytest.raises(lifecycle.JobRefused, match=r"waits for no approval\. The last one is refused"):
        approvals.approve(draft, digest=asked.digest, by=approver)
    assert ask(draft, welcome, sender) != asked


def test_request_that_comes_again_asks_nothing_again_when_it_was_refused(
    draft: Batch, welcome: EmailTemplate, sender: User, approver: User
) -> None:
    with pytest.raises(creation.ApprovalAsked):
        creation.send_once(draft, template=welcome, user=sender)
    approvals.refuse(draft, by=approver, reason="No.")
    with pytest.raises(creation.ApprovalAsked, match="was refused: No"):
        creation.send_once(draft, template=welcome, user=sender)
    assert draft.approvals.count() == 1


def test_asker_takes_the_question_back(draft: Batch, welcome: EmailTemplate, sender: User, approver: User) -> None:
    asked = ask(draft, welcome, sender)
    approvals.withdraw(draft, by=sender)
    with pytest.raises(lifecycle.JobRefused, match="waits for no approval"):
        approvals.approve(draft, digest=asked.digest, by=approver)


def test_approvals_go_when_the_draft_is_discarded(draft: Batch, welcome: EmailTemplate, sender: User) -> None:
    ask(draft, welcome, sender)
    intake.discard_draft(draft)
    assert not Approval.objects.exists()


def test_replay_asks_when_it_is_for_more_than_the_limit(
    draft: Batch, welcome: EmailTemplate, sender: User, approver: User
) -> None:
    approvals.approve(draft, digest=ask(draft, welcome, sender).digest, by=approver)
    end(draft, EmailStatus.FAILED)
    with pytest.raises(creation.ApprovalAsked) as asked:
        creation.replay_batch(draft, which=JobKind.FAILED, user=sender)
    assert set(draft.emails.values_list("status", flat=True)) == {EmailStatus.FAILED}
    job = approvals.approve(draft, digest=asked.value.approval.digest, by=approver)
    assert (job.kind, job.total_count, job.created_by) == (JobKind.FAILED, 3, sender)


def test_replay_needs_no_approval_up_to_the_limit(
    draft: Batch, welcome: EmailTemplate, sender: User, approver: User
) -> None:
    approvals.approve(draft, digest=ask(draft, welcome, sender).digest, by=approver)
    end(draft, EmailStatus.SENT)
    first = draft.emails.order_by("row").first()
    assert first
    draft.emails.filter(pk=first.pk).update(status=EmailStatus.FAILED)
    assert creation.replay_batch(draft, which=JobKind.FAILED, user=sender).total_count == 1


def test_waiting_replay_is_void_when_another_replay_was_sent(
    draft: Batch, welcome: EmailTemplate, sender: User, approver: User, settings: LazySettings
) -> None:
    approvals.approve(draft, digest=ask(draft, welcome, sender).digest, by=approver)
    end(draft, EmailStatus.FAILED)
    with pytest.raises(creation.ApprovalAsked) as asked:
        creation.replay_batch(draft, which=JobKind.FAILED, user=sender)
    settings.APPROVAL_ABOVE = 0
    creation.replay_batch(draft, which=JobKind.FAILED, user=sender)
    with pytest.raises(lifecycle.JobRefused):
        approvals.approve(draft, digest=asked.value.approval.digest, by=approver)
    assert draft.jobs.count() == 2


def test_command_names_the_approver(draft: Batch, welcome: EmailTemplate, sender: User, approver: User) -> None:
    with pytest.raises(lifecycle.JobRefused, match="--approved-by"):
        creation.send_once(draft, template=welcome, user=None)
    with pytest.raises(NotPermitted):
        creation.send_once(draft, template=welcome, user=None, approved_by=sender)
    job = creation.send_once(draft, template=welcome, user=None, approved_by=approver)
    approval = draft.approvals.get()
    assert (job.created_by, approval.decided_by, approval.status) == (None, approver, ApprovalStatus.APPROVED)


def test_sweep_looks_at_a_part_when_many_wait(welcome: EmailTemplate, sender: User) -> None:
    for _ in range(3):
        ask(make_draft(sender), welcome, sender)
    EmailTemplate.objects.update(text="Changed")
    assert [approvals.void_changed(at_most=2) for _ in range(3)] == [2, 1, 0]
