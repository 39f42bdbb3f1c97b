"""A ReturnEvent: one thing that came back, as a door has read it. Nothing is known here of the email that it is about.

A report or a provider's event enters. ``matching`` finds the email, and ``recording`` records it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any

from batches.models import ReturnClass, ReturnKind

YEARS = (1990, 2100)
"""Mail came back in these years."""


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

    def clean(self) -> ReturnEvent:
        """Return the event as PostgreSQL can keep it: no text has a NUL, half a character, or more than its column.

        A time that nothing can have happened at is left out. PostgreSQL stores years that Python cannot read.
        """
        lengths = {"door": 50, "return_path": 320, "message_id": 500, "recipient": 320, "status_code": 11, "text": 500}
        texts = {name: _make_storable(getattr(self, name))[:length] for name, length in lengths.items()}
        return replace(self, **texts, happened_at=_make_plausible(self.happened_at))  # type: ignore[arg-type]

    def describe(self) -> dict[str, str | None]:
        """Return what JSON can keep of the event: all of it. ``read`` makes the event of that again."""
        return {**asdict(self), "happened_at": self.happened_at.isoformat() if self.happened_at else None}

    @classmethod
    def read(cls, stored: Mapping[str, Any]) -> ReturnEvent:
        """Make the event that ``describe`` has described."""
        happened_at = stored["happened_at"]
        return cls(
            **{
                **stored,
                "kind": ReturnKind(stored["kind"]),
                "return_class": ReturnClass(stored["return_class"]),
                "happened_at": datetime.fromisoformat(happened_at) if happened_at else None,
            }
        )


def _make_plausible(when: datetime | None) -> datetime | None:
    return when if when is not None and YEARS[0] <= when.year < YEARS[1] else None


def _make_storable(text: str) -> str:
    return text.replace("\0", "").encode("utf-8", "replace").decode()


def make_key(*parts: str) -> str:
    """Return the key of an event from what identifies it: a provider and its event id, or the parts of a report."""
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).hexdigest()
