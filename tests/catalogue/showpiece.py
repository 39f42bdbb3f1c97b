"""A batch of 2,000 recipients that is being sent, for the pictures of the README. A World enters, and gets it."""

from __future__ import annotations

from datetime import timedelta

from django.utils import timezone

from batches.models import Batch, BatchStatus, Email, EmailJob, EmailStatus, EmailTemplate, JobStatus, Lane
from tests.catalogue.marks import make_marks
from tests.catalogue.texts import GONE
from tests.catalogue.world import World, import_list

RECIPIENTS = 2000
DONE = {"sent": 1245, "failed": 17, "unknown": 0}
NAME = "Parents' letter, autumn"


def add_to(world: World) -> World:
    """Add the batch to a world."""
    batch = import_list(world.texts, world.users["sender"], rows=RECIPIENTS)
    template = EmailTemplate.objects.get(is_default=True)
    job = EmailJob.objects.create(
        batch=batch,
        status=JobStatus.PROCESSING,
        template=template,
        template_key=template.key,
        subject=template.subject,
        html=template.html,
        text=template.text,
        from_email="The office <office@example.org>",
        total_count=batch.total_count,
        created_by=world.users["sender"],
        started_at=timezone.now() - timedelta(minutes=2),
    )
    counts = {f"{name}_count": count for name, count in DONE.items()}
    Batch.objects.filter(pk=world.ids["waiting"]).delete()  # it would keep its relay from this batch
    leased = {"rate_per_second": 11, "lease_until": timezone.now() + timedelta(hours=1)}
    lane = Lane.objects.create(job=job, number=1, worker="worker-1", **leased, **counts)
    _give_statuses(batch, lane)
    make_marks(job, DONE, factor=1)
    Batch.objects.filter(pk=batch.pk).update(status=BatchStatus.PROCESSING, name=NAME)
    world.ids["large"] = batch.pk
    return world


def _give_statuses(batch: Batch, lane: Lane) -> None:
    """Let a few fail at the beginning, so that the picture has them, and send the others up to the present one."""
    emails = list(batch.emails.order_by("row")[: sum(DONE.values())])
    failed = {1, 4, *range(40, 40 + 30 * (DONE["failed"] - 2), 30)}
    for place, email in enumerate(emails):
        email.status, email.code, email.reply = EmailStatus.SENT, 250, "2.0.0 Ok: queued as 4F1A2B"
        if place in failed:
            email.status, email.code, email.reply = EmailStatus.FAILED, 550, GONE
        if place in failed and place % 4 == 0:
            email.code, email.reply = 552, "5.2.2 The mailbox is full"
        email.attempts, email.lane, email.completed_at = 1, lane, timezone.now()
    Email.objects.bulk_update(emails, ["status", "code", "reply", "attempts", "lane", "completed_at"], batch_size=500)
