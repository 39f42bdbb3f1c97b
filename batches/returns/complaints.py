"""Read a complaint: a feedback report (RFC 5965), or the older form of Microsoft's."""

from __future__ import annotations

from email.message import Message
from email.utils import parseaddr

from batches.models import ReturnKind
from batches.returns import report_parts as parts
from batches.returns.told import Told

COMPLAINT_TYPES = frozenset({"abuse", "fraud", "virus", "other", "miscategorized", "opt-out", "opt-out-list"})
"""The feedback types of RFC 5965 section 7.3 (and RFC 6650) by which somebody complains. ``not-spam`` is the contrary,
and ``auth-failure`` (RFC 6591) is about signatures."""


def read_complaint(message: Message) -> list[Told] | None:
    """Return the complaint of a message. None: it is no feedback report. Empty: nobody complains in it."""
    part = parts.find_part(message, "message/feedback-report")
    if part is None:
        return _read_microsoft(message)
    groups = parts.read_groups(part)
    fields = groups[0] if groups else Message()
    kind = next(iter(parts.read_field(fields, "Feedback-Type").lower().split()), "abuse")
    if kind not in COMPLAINT_TYPES:
        return []
    recipient = parts.read_field(fields, "Original-Rcpt-To") or parts.read_field(fields, "Removal-Recipient")
    date = parts.read_field(fields, "Received-Date") or parts.read_field(fields, "Arrival-Date")
    return [
        Told(
            kind=ReturnKind.COMPLAINED,
            recipient=_read_address(recipient) or _find_recipient(message),
            sender=parts.read_field(fields, "Original-Mail-From"),
            text=f"{kind} reported by {parts.read_field(fields, 'User-Agent') or 'a mailbox provider'}",
            happened_at=parts.read_date(date) if date else None,
        )
    ]


def _read_microsoft(message: Message) -> list[Told] | None:
    """Read a report of the Junk Mail Reporting Program: the message itself, with one more field."""
    original = parts.find_original(message)
    named = original and (
        parts.read_field(original, "X-HmXmrOriginalRecipient") or parts.read_field(original, "X-MS-JMRP-Recipient")
    )
    if not named:
        return None
    return [Told(kind=ReturnKind.COMPLAINED, recipient=named.strip("<>"), text="abuse reported by Microsoft")]


def _find_recipient(message: Message) -> str:
    """Return the address in To of the message that is complained of. The provider may have hidden it."""
    original = parts.find_original(message)
    return _read_address(parts.read_field(original, "To")) if original is not None else ""


def _read_address(value: str) -> str:
    """Return the address in a field. Empty: there is none, or the provider has put something in its place."""
    address = parseaddr(value)[1]
    return address if "@" in address and "redacted" not in address.lower() else ""
