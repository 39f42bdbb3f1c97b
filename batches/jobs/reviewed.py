"""The reviewed digest: a text that changes with whatever would go out, so that a send can prove what was reviewed.

A batch, message parts, a sender and a time enter. A text of 96 hexadecimal digits leaves. The first 64 are the SHA-256
of everything, and the comparison rests on them. The last 32 are 8 of each part's own digest: they only let a refusal
name the part that changed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from datetime import UTC, datetime

from batches.jobs.lifecycle import JobRefused
from batches.jobs.senders import JobSender
from batches.models import Batch, JobPriority
from batches.rendering.template import MessageParts

DIGEST_PATTERN = r"^[0-9a-f]{96}$"

_WHOLE_CHARS, _PART_CHARS = 64, 8
_PARTS = ("the list", "the message", "the sender", "the time")


class ReviewChanged(JobRefused):
    """What would go out is not what was reviewed. The message says which parts differ, and to look again."""

    http_status = 409

    def __init__(self, reviewed: str, now: str) -> None:
        super().__init__(
            f"Something has changed since you reviewed it: {say_changed(reviewed, now)}. Look again, then send it."
        )
        self.digest = now
        """The digest of what would go out now."""


def make_digest(
    batch: Batch,
    parts: MessageParts,
    *,
    sender: JobSender,
    scheduled_at: datetime | None = None,
    priority: str = JobPriority.DEFAULT,
    selection: Sequence[object] = (),
) -> str:
    """Make the reviewed digest of a batch. Reads no table.

    Args:
        selection: What else says which emails of the batch are sent, for a replay.
    """
    pieces = (
        [*_describe_list(batch), *selection],
        _describe_message(parts),
        [sender.sender_id, sender.from_email, sender.reply_to],
        [scheduled_at.astimezone(UTC).isoformat() if scheduled_at else "", str(priority)],
    )
    digests = [_digest(json.dumps(piece, sort_keys=True)) for piece in pieces]
    return _digest("".join(digests)) + "".join(digest[:_PART_CHARS] for digest in digests)


def say_changed(reviewed: str, now: str) -> str:
    """Name the parts in which two digests differ: ``"the list and the sender"``."""
    pairs = zip(_PARTS, _split(reviewed), _split(now), strict=True)
    changed = [part for part, before, after in pairs if before != after] or ["something"]
    *others, last = changed
    return f"{', '.join(others)} and {last}" if others else last


def _describe_list(batch: Batch) -> list[object]:
    """Return what stands for every row and field of a list.

    Only the editing of a draft changes its rows. Each way to do so changes one of these values: see
    ``intake.editing``. The rows of a file follow from its bytes and from how it is read.
    """
    return [
        *(batch.pk, batch.source, batch.columns, batch.address_indexes, batch.merge_fields),
        *(batch.encoding, batch.delimiter, batch.has_header, batch.reading, batch.shared_addresses),
        *(batch.content_digest, batch.total_count, batch.rejected_count, batch.duplicate_count),
    ]


def _describe_message(parts: MessageParts) -> list[object]:
    """Return what stands for the message. Without a topic it is as it was before there were topics."""
    topic = [parts.topic, parts.is_news, parts.footer] if parts.topic else []
    return [parts.subject, parts.html, parts.text, *topic]


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _split(digest: str) -> list[str]:
    """Return the four parts' own digits. A text that is no digest has empty ones."""
    starts = range(_WHOLE_CHARS, _WHOLE_CHARS + len(_PARTS) * _PART_CHARS, _PART_CHARS)
    return [digest[start : start + _PART_CHARS] for start in starts]
