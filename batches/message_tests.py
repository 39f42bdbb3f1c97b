"""Send a test message, before anything is sent: of one row of a draft, or of a letter alone, to a few addresses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypedDict

from django.contrib.auth.models import User

from batches import audit, intake
from batches.jobs import creation
from batches.models import AuditAction, Batch, EmailTemplate
from batches.rendering.typed_names import ROWS


class _Chosen(TypedDict):
    """What is sent, and by whom, as arguments of ``creation.create_job``."""

    template: EmailTemplate
    subject: str
    sender: str | None
    topic: str | None
    user: User


def send_test_message(
    draft: Batch,
    context: Mapping[str, Any],
    *,
    to: Sequence[str],
    template: EmailTemplate,
    subject: str | None,
    user: User,
    sender: str | None = None,
    topic: str | None = None,
) -> Batch:
    """Send a test message as a batch of its own, with a recipient for each address. Returns that batch.

    Args:
        context: The values of the row's merge fields.
        to: The addresses that replace the address of the row.
        subject: Replaces the template's subject, unless it is empty.
        sender: The key or address of the sender, as in ``creation.create_job``.
        topic: The key of the topic, likewise.

    Raises:
        ListRefused: The address or a value can't be used. Nothing is kept.
        JobRefused: The template can't be rendered for the row. Nothing is kept.
    """
    shown = f"[Test] {subject or template.subject}"
    chosen: _Chosen = {"template": template, "subject": shown, "sender": sender, "topic": topic, "user": user}
    return _send(context, chosen, to=to, name=draft.title, of=draft)


def send_letter_test(template: EmailTemplate, context: Mapping[str, Any], *, to: Sequence[str], user: User) -> Batch:
    """Send a template, which may have changes that are not saved, to a few addresses. Returns the batch of the test.

    Raises:
        ListRefused: An address or a value can't be used. Nothing is kept.
        JobRefused: The template can't be rendered with these values. Nothing is kept.
    """
    shown = f"[Test] {template.subject}"
    chosen: _Chosen = {"template": template, "subject": shown, "sender": None, "topic": None, "user": user}
    return _send(context, chosen, to=to, name=template.name, of=None)


def _send(context: Mapping[str, Any], chosen: _Chosen, *, to: Sequence[str], name: str, of: Batch | None) -> Batch:
    values = {name: value for name, value in context.items() if name != ROWS}
    label = intake.Label(name=f"Test of {name}"[:200], is_test=True)
    rows = [{**values, "email": address} for address in to]
    test = intake.import_list(rows, user=chosen["user"], label=label).batch
    try:
        _copy_rows(test, context.get(ROWS, []))
        creation.create_job(test, **chosen)
        audit.record(AuditAction.TEST, of or test, test_batch=test.pk)
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
