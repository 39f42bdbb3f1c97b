"""The one factory of Redis clients. Redis carries notifications only, so each client gives up soon and says so.

A client here never retries for long: whoever calls it has a next time of its own (the sweep, the next report, the
next token). The connection pool is the client's own.
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
    """A client for ``REDIS_URL``. It connects at its first command, and raises ``RedisError`` while Redis is away."""
    return Redis.from_url(
        settings.REDIS_URL,
        socket_timeout=timeout_seconds,
        socket_connect_timeout=timeout_seconds,
        retry=Retry(NoBackoff(), retries),
    )


def connect_async(url: str, *, timeout_seconds: float = ANSWER_SECONDS, retries: int = 1) -> AsyncRedis:
    """The same for a coroutine; ``url`` is a parameter because a lane knows no settings."""
    return AsyncRedis.from_url(
        url,
        socket_timeout=timeout_seconds,
        socket_connect_timeout=timeout_seconds,
        retry=AsyncRetry(NoBackoff(), retries),
    )
