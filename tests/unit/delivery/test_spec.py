"""What a lane run is given shows no secret, in a log or in the report of an error."""

from __future__ import annotations

from dataclasses import replace

from batches.smtp.relay import parse_relay
from tests.unit.delivery.specs import ROUTE, SPEC


def test_spec_shows_no_secret() -> None:
    spec = replace(
        SPEC,
        message_key=b"hush",
        database={"password": "hush"},
        redis_url="redis://:hush@redis.example",
        routes=(replace(ROUTE, address=parse_relay("smtp://ann:hush@relay.example")),),
    )
    assert "relay.example:25" in repr(spec)
    assert "hush" not in repr(spec)
