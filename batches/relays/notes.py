"""Send one message that belongs to no batch, such as an invitation: at once, through a relay of the default sender.

A recipient, a subject and a text enter. Nothing leaves, or the sentence that says why the message did not go out. No
part of it is stored, so it may hold a secret. Call it in no transaction.
"""

from __future__ import annotations

from typing import Any

from asgiref.sync import async_to_sync
from django.conf import settings
from django.core.mail import EmailMessage, get_connection

from batches.models import DEFAULT_SENDER, Sender
from batches.relays.registry import find_routes
from batches.sender_addresses import read_sender
from batches.smtp.backend import Backend
from batches.smtp.connection import Timeouts
from batches.smtp.relay import RelayError, send_note

TIMEOUTS = Timeouts(connect_seconds=10, command_seconds=10, final_seconds=20)
"""A person waits for the page meanwhile."""


def send_text(to: str, *, subject: str, text: str) -> str:
    """Send a message as plain text. Returns why it did not go out, or an empty text."""
    sender = Sender.objects.filter(key=DEFAULT_SENDER).first()
    mailbox = sender.mailbox if sender else read_sender(settings.DEFAULT_FROM_EMAIL)
    note = EmailMessage(subject=subject, body=text, from_email=str(mailbox), to=[to])
    found = find_routes(sender_id=sender.pk if sender else None)
    if not found.routes:
        return found.why
    address = found.routes[0].address
    if isinstance(address, Backend):
        return _send_by_backend(note, address)
    try:
        content = note.message().as_bytes()
        async_to_sync(send_note)(address, mail_from=mailbox.address, to=to, message=content, timeouts=TIMEOUTS)
    except RelayError as exc:
        return str(exc)
    return ""


def _send_by_backend(note: EmailMessage, backend: Backend) -> str:
    try:
        connection: Any = get_connection(backend.path)
        sent = connection.send_messages([note])
    except Exception as exc:  # a backend may raise anything
        return f"The email backend did not take it: {type(exc).__name__}."
    return "" if sent else "The email backend did not take it."
