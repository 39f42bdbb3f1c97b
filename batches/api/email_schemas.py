"""The shapes of an email in the answers of the API: its record, its attempts, and what came back of it."""

from __future__ import annotations

from datetime import datetime

from ninja import Field, Schema

from batches.models import JobKind, ReturnClass, ReturnKind
from batches.outcomes import Outcome


class AttemptOut(Schema):
    """One attempt at an email that has ended."""

    jobId: int
    jobKind: JobKind
    at: datetime
    outcome: Outcome
    code: int | None
    reply: str
    relay: str = Field(description="The relay that was given the message. Empty if the worker died.")


class ReturnOut(Schema):
    """One report about an email that a relay had taken."""

    kind: ReturnKind = Field(description="bounced: it came back. complained: the recipient says that it is spam.")
    returnClass: ReturnClass = Field(
        description="What a bounce means for the next mail to the address. gone, full and passing are about the "
        "address; blocked and content are about the sender and the message."
    )
    statusCode: str = Field(description="The enhanced status code (RFC 3463), such as 5.1.1. Empty: it has none.")
    text: str = Field(description="What the receiver said. Empty after a purge.")
    domain: str = Field(description="The domain of the recipient.")
    door: str = Field(description="How it came here: imap, lmtp, or webhook with the provider's name.")
    happenedAt: datetime | None = Field(description="When it happened, as the report says. null: it does not say.")
    receivedAt: datetime


class EmailOut(Schema):
    row: int = Field(
        description="The place in the batch. It is the line of the file, unless a line made several emails."
    )
    line: int = Field(description="The line of the file, or the place in the list.")
    address: str = Field(description="Empty if it was removed: the person was erased, or the batch purged.")
    status: str
    attempts: int
    code: int | None
    reply: str
    messageId: str | None
    sentAt: datetime | None = Field(
        description="When it was sent. A later replay that does not send it changes nothing."
    )
    jobId: int | None = Field(description="The job that made this record. null: no attempt has ended.")
    resending: bool = Field(
        description="true: it was sent before, and a replay of all is sending it again. Its record is still the former."
    )
    returned: str | None = Field(
        description="Why it came back: gone, full, blocked, content, passing or other. complained: the recipient says "
        "that it is spam. null: nothing came back. The email stays sent."
    )
    returnedAt: datetime | None = Field(description="When that report came.")
    returnedText: str = Field(description="What the receiver said.")
    returns: list[ReturnOut] = Field(
        description="The reports about this email, automatic replies too: the newest ten of each kind, oldest first."
    )
    history: list[AttemptOut] = Field(description="Every attempt of every job of the batch, oldest first.")
    nextAttemptAt: datetime | None = Field(description="When a retry is due. null for an untried email.")


class EmailList(Schema):
    items: list[EmailOut]
    next: str | None = Field(description="The cursor of the next page, or null.")
