"""The one factory of Redis clients. Redis carries notifications only, so each client gives up soon and says so.

No client retries for long, because each caller asks again by itself: at the next sweep, the next report or the next
token. Each client has a connection pool of its own.
"""

from __future__ import annotations

from django.conf import settings
from redis import Redis
from redis.asyncio import Redis as AsyncRedis
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import NoBackoff
from redis.retry import Retry

ANSWER_SECONDS = 2.0
"""How long one answer of Redis may take before the caller goes on without it."""


def connect(*, timeout_seconds: float = ANSWER_SECONDS, retries: int = 1) -> Redis:
    """Return a client of ``REDIS_URL``. It connects at its first command.

    Each of its commands raises ``RedisError`` while Redis is away.
    """
    return Redis.from_url(
        settings.REDIS_URL,
        socket_timeout=timeout_seconds,
        socket_connect_timeout=timeout_seconds,
        retry=Retry(NoBackoff(), retries),
    )


def connect_async(url: str, *, timeout_seconds: float = ANSWER_SECONDS, retries: int = 1) -> AsyncRedis:
    """Return a client for coroutines. ``url`` is a parameter because a lane knows no settings."""
    return AsyncRedis.from_url(
        url,
        socket_timeout=timeout_seconds,
        socket_connect_timeout=timeout_seconds,
        retry=AsyncRetry(NoBackoff(), retries),
    )
