"""Send a test message: the message of one row of a draft, to one address, before the draft is sent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django.contrib.auth.models import User

from batches import audit, intake
from batches.jobs import creation
from batches.models import AuditAction, Batch, EmailTemplate
from batches.rendering.typed_names import ROWS


def send_test_message(
    draft: Batch,
    context: Mapping[str, Any],
    *,
    to: str,
    template: EmailTemplate,
    subject: str | None,
    user: User,
    sender: str | None = None,
    topic: str | None = None,
) -> Batch:
    """Send a test message as a batch of its own with one recipient. Returns that batch.

    Args:
        context: The values of the row's merge fields.
        to: The address that replaces the address of the row.
        subject: Replaces the template's subject, unless it is empty.
        sender: The key or address of the sender, as in ``creation.create_job``.
        topic: The key of the topic, likewise.

    Raises:
        ListRefused: The address or a value can't be used. Nothing is kept.
        JobRefused: The template can't be rendered for the row. Nothing is kept.
    """
    values = {name: value for name, value in context.items() if name != ROWS}
    label = intake.Label(name=f"Test of {draft.title}", is_test=True)
    test = intake.import_list([{**values, "email": to}], user=user, label=label).batch
    try:
        _copy_rows(test, context.get(ROWS, []))
        creation.create_job(
            test,
            template=template,
            user=user,
            subject=f"[Test] {subject or template.subject}",
            sender=sender,
            topic=topic,
        )
        audit.record(AuditAction.TEST, draft, test_batch=test.pk)
    except Exception:  # a test that is not sent leaves no draft, whatever the reason
        intake.discard_draft(test)
        raise
    return test


def _copy_rows(test: Batch, rows: Sequence[Mapping[str, Any]]) -> None:
    """Give the email of a test the rows of the email that it copies, if that one is for several rows."""
    if not rows:
        return
    all_cells = [[row.get(name, "") for name in test.merge_fields] for row in rows]
    for email in test.emails.all():
        test.emails.filter(pk=email.pk).update(fields=[*email.fields, all_cells])
