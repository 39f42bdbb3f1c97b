"""The row that a lane is given when it is acquired."""

from __future__ import annotations

from typing import NamedTuple


class AcquiredLane(NamedTuple):
    """A lane that was just leased, with the columns of its job and its batch that sending needs."""

    lane_id: int
    token: int
    range_after_row: int
    range_end_row: int
    sent_count: int
    failed_count: int
    unknown_count: int
    retried_count: int
    suppressed_count: int
    job_id: int
    resends_all: bool
    priority: str
    subject: str
    html: str
    text: str
    from_email: str
    reply_to: str
    sender_id: int | None
    accepted_refusal: str
    topic_key: str | None
    topic_kind: str | None
    """None, as the key is: service."""
    topic_footer: str
    list_key: bytes | None
    """The key of the suppression list. None: nobody was ever suppressed, and no news sent."""
    batch_id: int
    merge_fields: list[str]
    address_heading: str
    suppression_version: int
    """The version of the suppression list with which the emails of the job were compared."""
    names_emails: bool
    topic_id: int | None
