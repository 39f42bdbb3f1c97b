"""The rows that the statements of the suppression list answer."""

from __future__ import annotations

from typing import NamedTuple


class SuppressionsNow(NamedTuple):
    """The key and the version of the suppression list, and the digests that were added after a version."""

    key: bytes
    version: int
    digests: list[bytes]


class SuppressedDigest(NamedTuple):
    digest: bytes
    reason: str


class LeftOutEmails(NamedTuple):
    """The suppressed or cancelled emails of a batch with one reply."""

    status: str
    reply: str
    email_count: int
    first_row: int
    rows: list[int] | None
    """Of the suppressed ones, up to a limit."""


class SuppressedCount(NamedTuple):
    reason: str
    email_count: int
