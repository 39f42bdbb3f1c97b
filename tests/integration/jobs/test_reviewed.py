"""The reviewed digest: it changes with all that goes out, and with nothing else."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone
from io import BytesIO
from itertools import pairwise
from typing import Any

import pytest
from django.contrib.auth.models import User

from batches import intake
from batches.jobs import creation
from batches.jobs.reviewed import DIGEST_PATTERN, ReviewChanged, make_digest
from batches.jobs.senders import JobSender, choose_sender, copy_sender
from batches.models import Batch, EmailTemplate, JobPriority, SharedAddresses
from batches.rendering.template import MessageParts

PARTS = MessageParts(subject="S", html="H", text="T")
SENDER = JobSender(sender_id=1, from_email="News <news@example.org>", reply_to="")
AT = datetime(2027, 1, 1, 9, tzinfo=UTC)
DATA = b"email,name\nann@example.org,Ann\nann@example.org,Bob\nbad,Cy\n"


@pytest.fixture
def draft(sender: User) -> Batch:
    return intake.import_csv(BytesIO(DATA), filename="list.csv", user=sender).batch


def digest(batch: Batch, **changes: Any) -> str:
    values: dict[str, Any] = {"parts": PARTS, "sender": SENDER} | changes
    return make_digest(batch, values.pop("parts"), **values)


@pytest.mark.parametrize(
    "change",
    [
        {"parts": MessageParts(subject="S", html="HT", text="")},
        {"parts": MessageParts(subject="SH", html="", text="T")},
        {"parts": MessageParts(subject="S ", html="H", text="T")},
        {"sender": JobSender(sender_id=1, from_email="News <news@example.com>", reply_to="")},
        {"sender": JobSender(sender_id=1, from_email="News <news@example.org>", reply_to="a@example.org")},
        {"sender": JobSender(sender_id=2, from_email="News <news@example.org>", reply_to="")},
        {"scheduled_at": AT},
        {"priority": JobPriority.HIGH},
        {"selection": ["all"]},
    ],
)
def test_digest_changes_with_what_goes_out(change: dict[str, Any], draft: Batch) -> None:
    assert digest(draft) != digest(draft, **change)
    assert re.match(DIGEST_PATTERN, digest(draft, **change))


def test_digest_is_the_same_for_the_same_time_in_another_zone(draft: Batch) -> None:
    other = AT.astimezone(timezone(timedelta(hours=5)))
    assert digest(draft, scheduled_at=AT) == digest(draft, scheduled_at=other)


def test_digest_stays_when_nothing_of_the_list_changed(draft: Batch) -> None:
    before = digest(draft)
    intake.reread_upload(draft, intake.ReadingOptions())
    assert digest(Batch.objects.get()) == before


def test_digest_changes_with_each_change_of_the_list(draft: Batch) -> None:
    digests = [digest(draft)]
    for change in (
        lambda batch: intake.reread_upload(batch, intake.ReadingOptions(), shared=SharedAddresses.EACH),
        lambda batch: intake.reread_upload(batch, intake.ReadingOptions(has_header=False)),
        lambda batch: intake.reread_upload(batch, intake.ReadingOptions()),
        lambda batch: intake.rename_merge_fields(batch, {"name": "first_name"}),
        lambda batch: intake.append_csv(batch, BytesIO(b"email,name\ncy@example.org,Cy\n")),
        lambda batch: intake.append_csv(batch, BytesIO(b"email,name\ndi@example.org,Di\n")),
    ):
        change(Batch.objects.get())
        digests.append(digest(Batch.objects.get()))
    assert len({*digests}) >= len(digests) - 1  # the third reading is as the first
    assert all(one != other for one, other in pairwise(digests))


def test_digest_belongs_to_one_batch(draft: Batch, sender: User) -> None:
    other = intake.import_csv(BytesIO(DATA), filename="list.csv", user=sender).batch
    assert digest(draft) != digest(other)


def test_send_is_refused_when_it_changed_since_the_review(draft: Batch, welcome: EmailTemplate, sender: User) -> None:
    chosen = copy_sender(choose_sender(None, template=welcome, user=sender))
    reviewed = make_digest(draft, MessageParts.of(welcome), sender=chosen, scheduled_at=AT)
    EmailTemplate.objects.update(text="Changed")
    welcome.refresh_from_db()
    intake.rename_merge_fields(draft, {"name": "other"})
    with pytest.raises(ReviewChanged, match=r"since you reviewed it: the list, the message and the time\. Look"):
        creation.create_job(
            Batch.objects.get(), template=welcome, user=sender, reviewed=creation.Reviewed(digest=reviewed)
        )
    assert not draft.jobs.exists()


@pytest.mark.parametrize("has_time", [True, False])
def test_send_is_accepted_when_it_is_what_was_reviewed(
    has_time: bool, draft: Batch, welcome: EmailTemplate, sender: User
) -> None:
    at = datetime.now(UTC) + timedelta(hours=1)
    chosen = copy_sender(choose_sender(None, template=welcome, user=sender))
    covered = {"scheduled_at": at, "priority": JobPriority.HIGH} if has_time else {}
    reviewed = make_digest(draft, MessageParts.of(welcome), sender=chosen, **covered)  # type: ignore[arg-type]
    job = creation.create_job(
        draft,
        template=welcome,
        user=sender,
        scheduled_at=at,
        priority=JobPriority.HIGH,
        reviewed=creation.Reviewed(digest=reviewed, has_time=has_time),
    )
    assert job.scheduled_at == at


@pytest.mark.parametrize("reviewed", ["", "x", "0" * 96])
def test_send_is_refused_when_the_digest_is_of_nothing(
    reviewed: str, draft: Batch, welcome: EmailTemplate, sender: User
) -> None:
    with pytest.raises(ReviewChanged, match="Look again"):
        creation.create_job(draft, template=welcome, user=sender, reviewed=creation.Reviewed(digest=reviewed))
