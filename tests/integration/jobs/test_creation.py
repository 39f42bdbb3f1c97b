"""The first job of a batch: created once, refused when it can't be sent, and replayed afterwards."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.conf import LazySettings
from django.contrib.auth.models import AnonymousUser, User
from django.db import connection, connections
from django.utils import timezone

from batches import intake
from batches.jobs import creation, lifecycle
from batches.jobs.senders import SenderRefused
from batches.models import (
    Batch,
    BatchStatus,
    Email,
    EmailJob,
    EmailStatus,
    EmailTemplate,
    JobKind,
    JobPriority,
    JobStatus,
)
from batches.permissions import NotPermitted
from batches.rendering import children
from batches.rendering.template import MessageParts, Rendered
from tests.conftest import MakeUser

CREATE = [creation.create_job, creation.send_once]
Create = Callable[..., EmailJob]


@pytest.fixture
def batch(sender: User) -> Batch:
    return make_draft(sender)


def make_draft(user: User, count: int = 3) -> Batch:
    recipients = [{"email": f"p{number}@example.org", "name": f"P{number}"} for number in range(count)]
    return intake.import_list(recipients, user=user).batch


def end(batch: Batch, status: EmailStatus, **more: object) -> None:
    """End the batch's job with every email in this status."""
    job = batch.jobs.get(completed_at=None)
    batch.emails.update(status=status, lane=job.lanes.get(number=0), **more)
    assert lifecycle.finish_job(job.pk)


@pytest.mark.parametrize("create", CREATE)
def test_job_copies_the_message_when_it_is_created(
    create: Create, batch: Batch, welcome: EmailTemplate, sender: User
) -> None:
    scheduled_at = timezone.now() + timedelta(hours=1)
    job = create(
        batch, template=welcome, user=sender, subject="Mine", priority=JobPriority.HIGH, scheduled_at=scheduled_at
    )
    EmailTemplate.objects.update(html="<p>Changed", text="Changed")
    job.refresh_from_db()
    assert MessageParts.of(job) == MessageParts.of(welcome, "Mine")
    assert (job.kind, job.template_key, job.total_count, job.created_by) == (JobKind.FIRST, welcome.key, 3, sender)
    assert (job.status, job.priority, job.scheduled_at) == (JobStatus.SCHEDULED, JobPriority.HIGH, scheduled_at)
    assert batch.status == BatchStatus.SCHEDULED


@pytest.mark.parametrize("create", CREATE)
def test_job_has_no_creator_when_the_operator_sends(create: Create, batch: Batch, welcome: EmailTemplate) -> None:
    job = create(batch, template=welcome, user=None)
    assert (job.created_by, job.status) == (None, JobStatus.QUEUED)


@pytest.mark.parametrize("create", CREATE)
def test_nobody_sends_without_the_permission(
    create: Create, batch: Batch, welcome: EmailTemplate, make_user: MakeUser
) -> None:
    batch.created_by = reader = make_user("reader")
    batch.save()
    for user in (AnonymousUser(), reader, make_user("other", "Senders")):
        with pytest.raises(NotPermitted):
            create(batch, template=welcome, user=user)
    assert not EmailJob.objects.exists()


def test_nobody_replays_without_the_permission(
    batch: Batch, welcome: EmailTemplate, sender: User, make_user: MakeUser
) -> None:
    creation.create_job(batch, template=welcome, user=sender)
    end(batch, EmailStatus.FAILED)
    with pytest.raises(NotPermitted):
        creation.replay_batch(batch, which=JobKind.FAILED, user=make_user("other", "Senders"))
    assert set(batch.emails.values_list("status", flat=True)) == {EmailStatus.FAILED}


@pytest.mark.parametrize(("recipients", "lanes"), [(1, 1), (4, 2), (5, 3), (100, 3)])
def test_job_has_a_lane_for_each_window_of_emails_up_to_the_limit(
    recipients: int, lanes: int, sender: User, welcome: EmailTemplate, settings: LazySettings
) -> None:
    settings.SEND_WINDOW, settings.SEND_LANES = 2, 3
    job = creation.create_job(make_draft(sender, recipients), template=welcome, user=None)
    assert job.lanes.count() == lanes


def test_job_is_refused_when_the_batch_was_sent(batch: Batch, welcome: EmailTemplate) -> None:
    creation.create_job(batch, template=welcome, user=None)
    for _ in range(2):
        with pytest.raises(lifecycle.JobRefused, match="was already sent"):
            creation.create_job(batch, template=welcome, user=None)
        if not batch.jobs.get().completed_at:
            end(batch, EmailStatus.SENT)
    assert batch.jobs.count() == 1


def test_first_job_is_found_when_the_batch_is_sent_once_again(batch: Batch, welcome: EmailTemplate) -> None:
    first = creation.send_once(batch, template=welcome, user=None)
    end(batch, EmailStatus.FAILED)
    replay = creation.replay_batch(batch, which=JobKind.FAILED, user=None)
    welcome.text = "{{ a fault that no trial may see"
    assert creation.send_once(batch, template=welcome, user=None) == first
    assert list(batch.jobs.order_by("pk")) == [first, replay]


@pytest.mark.django_db(transaction=True)
def test_one_job_is_created_when_many_callers_send_once(batch: Batch, welcome: EmailTemplate) -> None:
    def send(_: int) -> int:
        try:
            return creation.send_once(Batch.objects.get(), template=welcome, user=None).pk
        finally:
            connections.close_all()

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(send, range(8))) == {batch.jobs.get().pk}


@pytest.mark.parametrize("create", CREATE)
@pytest.mark.django_db(transaction=True)
def test_trial_message_is_rendered_before_the_transaction_begins(
    create: Create, batch: Batch, welcome: EmailTemplate, monkeypatch: pytest.MonkeyPatch
) -> None:
    trials: list[tuple[MessageParts, Mapping[str, str], bool]] = []

    def render(
        parts: MessageParts, context: Mapping[str, str], *, address_heading: str, user_id: int | None
    ) -> Rendered:
        trials.append((parts, context, connection.in_atomic_block))
        return Rendered("", "", "")

    monkeypatch.setattr(children, "render", render)
    create(batch, template=welcome, user=None, subject="Mine")
    assert trials == [(MessageParts.of(welcome, "Mine"), {"name": "P0", "email": "p0@example.org"}, False)]


@pytest.mark.parametrize("create", CREATE)
@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("{{ city }} {{ code }} {{ name }}", "The list has no column for: city, code."),
        ("{{ name", "The text body of the template can't be used"),
        ("", "The template has no body"),
    ],
)
def test_template_is_refused_when_it_does_not_fit_the_list(
    create: Create, text: str, sentence: str, batch: Batch
) -> None:
    misfit = EmailTemplate(key="misfit", name="Misfit", subject="S", text=text)
    with pytest.raises(creation.TemplateRefused) as refusal:
        create(batch, template=misfit, user=None)
    assert sentence in str(refusal.value)
    batch.refresh_from_db()
    assert batch.status == BatchStatus.DRAFT and not batch.jobs.exists()


def test_job_is_refused_when_the_sender_address_is_unusable(
    batch: Batch, welcome: EmailTemplate, settings: LazySettings
) -> None:
    settings.DEFAULT_FROM_EMAIL = "nobody"
    with pytest.raises(SenderRefused, match="Set DEFAULT_FROM_EMAIL"):
        creation.create_job(batch, template=welcome, user=None)


@pytest.mark.parametrize("create", CREATE)
def test_job_is_refused_when_the_batch_has_no_recipients(create: Create, batch: Batch, welcome: EmailTemplate) -> None:
    batch.emails.all().delete()
    Batch.objects.update(total_count=0)
    with pytest.raises(lifecycle.JobRefused, match="no recipients"):
        create(batch, template=welcome, user=None)
    assert not batch.jobs.exists()


def test_attempts_begin_at_zero_when_emails_are_replayed(batch: Batch, welcome: EmailTemplate) -> None:
    first = creation.create_job(batch, template=welcome, user=None, subject="Mine", priority=JobPriority.HIGH)
    end(batch, EmailStatus.FAILED, attempts=3, code=450, reply="Later", completed_at=timezone.now())
    job = creation.replay_batch(batch, which=JobKind.FAILED, user=None)
    expected = {"status": EmailStatus.PENDING, "attempts": 0, "next_attempt_at": None, "completed_at": None}
    expected |= {"code": None, "reply": ""}
    assert list(batch.emails.values(*expected)) == [expected] * 3
    assert (MessageParts.of(job), job.priority) == (MessageParts.of(first), JobPriority.HIGH)
    assert (job.kind, job.total_count, batch.failed_count) == (JobKind.FAILED, 3, 0)


@pytest.mark.parametrize(
    ("which", "replayed"),
    [
        (JobKind.FAILED, {EmailStatus.FAILED}),
        (JobKind.UNKNOWN, {EmailStatus.UNKNOWN}),
        (JobKind.ALL, {EmailStatus.SENT, EmailStatus.FAILED, EmailStatus.UNKNOWN, EmailStatus.CANCELLED}),
    ],
)
def test_only_emails_of_the_kind_are_replayed(
    which: JobKind, replayed: set[EmailStatus], sender: User, welcome: EmailTemplate
) -> None:
    ended = [status for status in EmailStatus if status not in (EmailStatus.PENDING, EmailStatus.SENDING)]
    batch = make_draft(sender, len(ended))
    job = creation.create_job(batch, template=welcome, user=None)
    for email, status in zip(batch.emails.order_by("row"), ended, strict=True):
        Email.objects.filter(pk=email.pk).update(status=status)
    assert lifecycle.finish_job(job.pk)
    assert creation.replay_batch(batch, which=which, user=None).total_count == len(replayed)
    left = batch.emails.exclude(status=EmailStatus.PENDING).values_list("status", flat=True)
    assert set(left) == set(ended) - replayed


def test_replay_is_refused_when_nothing_can_be_replayed(batch: Batch, welcome: EmailTemplate) -> None:
    def refusal(which: JobKind) -> str:
        with pytest.raises(lifecycle.JobRefused) as refused:
            creation.replay_batch(batch, which=which, user=None)
        return str(refused.value)

    assert "was never sent" in refusal(JobKind.ALL)
    assert "Say which emails" in refusal(JobKind.FIRST)
    creation.create_job(batch, template=welcome, user=None)
    assert "is being sent" in refusal(JobKind.ALL)
    end(batch, EmailStatus.SENT)
    assert refusal(JobKind.FAILED) == f"Batch {batch.pk} has no failed emails."
