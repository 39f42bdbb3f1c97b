"""Count failed attempts at signing in, so that guessing passwords and tokens is slow.

Kept in Redis. While Redis is away nobody is throttled: that nobody could sign in would be worse.
"""

from __future__ import annotations

import logging
from typing import cast

from redis.exceptions import RedisError

from batches import redis_client

logger = logging.getLogger(__name__)

FAILURES_A_MINUTE = 30
"""Wrong tokens that one address may send in a minute before it is told to wait."""

THROTTLE_SECONDS = 60


def is_throttled(remote_address: str) -> bool:
    """Count one wrong token of an address; whether it has had too many this minute."""
    return add_failure(remote_address) > FAILURES_A_MINUTE


def add_failure(who: str) -> int:
    """Count one failed attempt; how many there were within THROTTLE_SECONDS of the first.

    Kept in Redis. While Redis is away nobody is throttled: that nobody could sign in would be worse.
    """
    try:
        with redis_client.connect(timeout_seconds=1, retries=0) as client:
            pipe = client.pipeline()
            pipe.incr(_failures_key(who))
            pipe.expire(_failures_key(who), THROTTLE_SECONDS, nx=True)
            return int(pipe.execute()[0])
    except RedisError:
        logger.warning("Redis is away, so failed attempts are not counted.", extra={"action": "throttle_skipped"})
        return 0


def count_failures(who: str) -> int:
    """How many attempts have failed of late."""
    try:
        with redis_client.connect(timeout_seconds=1, retries=0) as client:
            return int(cast("bytes | None", client.get(_failures_key(who))) or 0)
    except RedisError:
        return 0


def _failures_key(who: str) -> str:
    return f"emailbatch:failures:{who}"
