"""The shapes of a replay, and of the groups of failures to which one can be limited."""

from __future__ import annotations

from typing import Self

from ninja import Field, Schema
from pydantic import model_validator

from batches.api.sender_schemas import SENDER_MAX_CHARS
from batches.api.unknown_fields import Body
from batches.jobs.failure_groups import LOOKED_AT_MAX, SHOWN_DOMAINS, SHOWN_GROUPS
from batches.models import JobKind


class Replay(Body):
    which: JobKind = Field(
        description="Which emails to send again: failed, unknown or all; or unsent, to those who have not got it "
        "because their email failed or was cancelled."
    )
    includeUnknown: bool = Field(
        default=False, description="With unsent: send also to those of whom nobody knows whether they have got it."
    )
    sender: str | None = Field(
        default=None,
        max_length=SENDER_MAX_CHARS,
        description="The key or the address of another sender. Left out: the sender of the last job.",
    )
    failure: str | None = Field(
        default=None,
        max_length=64,
        description="With failed: only the emails of one group of failures. The `key` of a group of "
        "GET /api/batches/{id}/failures.",
    )
    domain: str = Field(
        default="", max_length=255, description="With `failure`: only the addresses of the group at this domain."
    )

    @model_validator(mode="after")
    def _refuse_group(self) -> Self:
        if self.failure and self.which != JobKind.FAILED:
            raise ValueError('\'failure\' goes with "which": "failed" alone.')
        if self.domain and not self.failure:
            raise ValueError("'domain' limits a group of failures. Send 'failure' too.")
        return self


class FailureDomainOut(Schema):
    domain: str
    count: int


class FailureGroupOut(Schema):
    key: str = Field(description="Give it to a replay as `failure`, to send to this group again.")
    words: str = Field(
        description="The code and the words of the mail server. … stands for what differs between recipients."
    )
    count: int
    domains: list[FailureDomainOut] = Field(
        description=f"The {SHOWN_DOMAINS} domains with the most of them. A replay takes one as `domain`."
    )


class FailuresOut(Schema):
    groups: list[FailureGroupOut] = Field(description=f"The largest groups, {SHOWN_GROUPS} at most.")
    otherCount: int = Field(description="The failed emails in groups that are not listed.")
    isPartial: bool = Field(
        description=f"true: only the first {LOOKED_AT_MAX:,} failed emails were counted. A replay reaches all of them."
    )
