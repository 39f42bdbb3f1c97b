"""Told: what a report says about one recipient, before it is known which email it is about."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from batches.models import ReturnClass, ReturnKind


@dataclass(frozen=True, kw_only=True, slots=True)
class Told:
    """One statement of a report. Nothing of it is proven."""

    kind: ReturnKind
    return_class: ReturnClass = ReturnClass.OTHER
    recipient: str = ""
    status_code: str = ""
    text: str = ""
    sender: str = ""
    """The address in MAIL FROM of the message that came back, if the report quotes it."""
    message_id: str = ""
    happened_at: datetime | None = None
