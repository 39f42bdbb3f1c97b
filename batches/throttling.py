"""Count failed logins and wrong tokens, so that guessing passwords and tokens is slow.

The counts are in Redis. While Redis is away nobody is throttled, because otherwise nobody could log in.
"""

from __future__ import annotations

import logging
from typing import cast

from redis.exceptions import RedisError

from batches import redis_client

logger = logging.getLogger(__name__)

FAILURES_A_MINUTE = 30
"""How many wrong tokens one address may send in a minute before it has to wait."""

THROTTLE_SECONDS = 60
"""How long a failure counts, from the first failure on."""


def is_throttled(remote_address: str) -> bool:
    """Count one wrong token of an address. Returns whether the address has sent too many this minute."""
    return add_failure(remote_address) > FAILURES_A_MINUTE


def add_failure(key: str) -> int:
    """Count one failure of an address or a user name. Returns how many there were since the first, or 0 without Redis.

    The count is deleted THROTTLE_SECONDS after the first failure.
    """
    try:
        with redis_client.connect(timeout_seconds=1, retries=0) as client:
            pipe = client.pipeline()
            pipe.incr(_redis_key(key))
            # nx: only the first failure sets the expiry, so that a steady guesser does not extend it for ever.
            pipe.expire(_redis_key(key), THROTTLE_SECONDS, nx=True)
            return int(pipe.execute()[0])
    except RedisError:
        logger.warning("Redis can't be reached, so failures are not counted.", extra={"action": "throttle_skipped"})
        return 0


def count_failures(key: str) -> int:
    """How many failures are counted now; 0 without Redis."""
    try:
        with redis_client.connect(timeout_seconds=1, retries=0) as client:
            return int(cast("bytes | None", client.get(_redis_key(key))) or 0)
    except RedisError:
        return 0


def _redis_key(key: str) -> str:
    return f"emailbatch:failures:{key}"
