"""A lane's spec and claimed emails, as plain values."""

from __future__ import annotations

from typing import Any

import orjson

from batches.delivery.policy import RetryPolicy
from batches.delivery.spec import Counters, LaneSpec, RouteSpec
from batches.delivery.terms import ClaimedEmail
from batches.models import CrashPolicy
from batches.smtp.connection import Timeouts
from batches.smtp.relay import parse_relay

ROUTE = RouteSpec(relay_id=1, name="default", address=parse_relay("smtp://127.0.0.1:25"), connections=1)

SPEC = LaneSpec(
    lane_id=1,
    token=1,
    row_range=(0, 0),
    job_id=1,
    batch_id=1,
    merge_fields=("name",),
    subject="Hello {{ name }}",
    html="",
    text="Dear {{ name }}",
    from_email="post@example.org",
    message_key=b"k" * 32,
    routes=(ROUTE,),
    timeouts=Timeouts(),
    database={},
    redis_url="",
    window=128,
    policy=RetryPolicy(max_attempts=3, retry_seconds=60, crash_policy=CrashPolicy.RESEND),
    lease_seconds=15,
    counters=Counters(0, 0, 0, 0),
)


def claim(number: int, *, address: str = "", fields: tuple[Any, ...] = ("Zoë",)) -> ClaimedEmail:
    return ClaimedEmail(number, number, address or f"n{number}@example.org", orjson.dumps(fields).decode(), 1)
