"""A ReturnEvent: one thing that came back, as a door has read it. Nothing is known here of the email that it is about.

A report or a provider's event enters. ``matching`` finds the email, and ``recording`` records it.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime

from batches.models import ReturnClass, ReturnKind


@dataclass(frozen=True, kw_only=True, slots=True)
class ReturnEvent:
    """One bounce, complaint or automatic reply about one recipient."""

    kind: ReturnKind
    return_class: ReturnClass = ReturnClass.OTHER
    door: str
    """``imap``, ``lmtp``, ``webhook NAME`` or ``session``."""
    key: str
    """The same for the same event at any door: see ``make_key``."""
    return_path: str = ""
    """The address to which the report came: our own return path, if the relay kept it. May be forged."""
    message_id: str = ""
    """The Message-ID of the message that came back, with its angle brackets."""
    recipient: str = ""
    """The address that the report names. A feedback report may hide it."""
    status_code: str = ""
    """The enhanced status, as 5.1.1 (RFC 3463)."""
    text: str = ""
    """What the receiver said, on one line."""
    happened_at: datetime | None = None


def make_key(*parts: str) -> str:
    """Return the key of an event from what identifies it: a provider and its event id, or the parts of a report."""
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).hexdigest()
