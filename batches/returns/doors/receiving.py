"""What both doors for messages do: read each message, and record what it says.

Messages enter, as a mailbox or a mail server has them. When ``receive`` returns, all that they say is committed, so a
door may then move a message or answer 250. It can be repeated with the same messages: everything counts once.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass

from django.db import DatabaseError, DataError, IntegrityError, InterfaceError

from batches.models import UnknownReport
from batches.returns import round_trips
from batches.returns.recording import record_events
from batches.returns.reports import Report, read_report
from batches.unsubscribe_tokens import UnsubscribeToken, read_token
from batches.unsubscribing import unsubscribe

logger = logging.getLogger(__name__)

IMAP, LMTP = "imap", "lmtp"
"""The names of the doors for messages."""

MESSAGE_READ_BYTES = 1024 * 1024
"""How much of a message is read. A report has what counts at its beginning, and the message that came back after it."""

KEPT_CHARS = 64 * 1024
"""How much of a message that nothing understood is kept, if no mailbox keeps it."""

KEPT_COUNT_MAX = 10_000
"""How many of them are kept. After that the door refuses further ones for now, so the mail server keeps them."""


class DoorFull(Exception):
    """Too many messages that nothing understood are kept. Nothing was recorded of the one that was to be kept."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Arrived:
    """One message at a door."""

    content: bytes
    door: str
    recipient: str = ""
    """The recipient of the envelope. Empty: only the message's own headers name it."""
    is_kept_there: bool = False
    """Whether the door keeps the message, as a mailbox does."""


def receive(messages: Sequence[Arrived]) -> list[bool]:
    """Record what the messages say, and return for each whether it was understood. Commits by itself.

    Raises:
        DoorFull: a message that nothing understood can't be kept.
        django.db.DatabaseError: PostgreSQL can't be used. Nothing is lost: the door repeats the call.
    """
    reports = [_read(message) for message in messages]
    understood = _record(reports)
    for place, message in enumerate(messages):
        if not understood[place]:
            understood[place] = _record_round_trip(message)
        if not understood[place]:
            _keep(message)
    return understood


def _read(message: Arrived) -> Report | None:
    """Return what a message says, or None if nothing understands it."""
    try:
        report = read_report(message.content[:MESSAGE_READ_BYTES], door=message.door, rcpt=message.recipient)
    except Exception:  # a fault of ours must not keep the messages after this one waiting
        logger.exception("A message at the door %s could not be read. It is kept.", message.door)
        return None
    if report.unsubscribe_token and _find_token(report) is None:
        return None  # it is forged, or its key is not in UNSUBSCRIBE_KEYS any more: a person looks at it
    return report if report.is_understood else None


def _record(reports: Sequence[Report | None]) -> list[bool]:
    """Record all reports in one transaction; if one of them can't be recorded, each in its own.

    An outage is no fault of a report, so it is raised.
    """
    events = [event for report in reports if report for event in report.events]
    try:
        if events:
            record_events(events)
        for report in reports:
            _unsubscribe(report)
    except Exception as exc:  # it must not keep the messages after this one waiting
        if _is_outage(exc):
            raise
        if len(reports) == 1:
            logger.exception("A report can't be recorded, so it counts as not understood.")
            return [False]
        return [is_understood for report in reports for is_understood in _record([report])]
    return [report is not None for report in reports]


def _record_round_trip(message: Arrived) -> bool:
    """Whether the message was one that the sender check had sent."""
    try:
        return round_trips.record(message.content, rcpt=message.recipient)
    except Exception as exc:
        if _is_outage(exc):
            raise
        logger.exception("A message can't be compared with the sender checks, so it counts as not understood.")
        return False


def _is_outage(exc: Exception) -> bool:
    """Whether an error may pass by itself. Others are about a value of the message, or a fault of ours."""
    return isinstance(exc, DatabaseError | InterfaceError) and not isinstance(exc, DataError | IntegrityError)


def _unsubscribe(report: Report | None) -> None:
    """Do what a mail to ``unsubscribe+TOKEN@`` asks for (RFC 2369 section 3.2)."""
    token = _find_token(report) if report else None
    if token is not None:
        unsubscribe(token, source="mail")


def _find_token(report: Report) -> UnsubscribeToken | None:
    return read_token(report.unsubscribe_token) if report.unsubscribe_token else None


def _keep(message: Arrived) -> None:
    """Count a message that nothing understood, and keep its beginning unless its mailbox keeps it. Safe to repeat."""
    content = "" if message.is_kept_there else _as_text(message.content[:KEPT_CHARS])
    if content and UnknownReport.objects.exclude(content="").count() >= KEPT_COUNT_MAX:
        raise DoorFull("Too many messages that nothing understood are kept. Look at them in the admin and delete them.")
    UnknownReport.objects.bulk_create(
        [
            UnknownReport(
                digest=hashlib.sha256(message.content).hexdigest(),
                door=message.door,
                recipient=_as_text(message.recipient.encode(errors="replace")),
                content=content,
            )
        ],
        ignore_conflicts=True,
    )


def _as_text(content: bytes) -> str:
    return content.decode(errors="replace").replace("\0", "\ufffd")
