"""Find out whether Redis can be used: a PING says nothing about a Redis that is full, or that accepts no writes.

A client enters. A RedisHealth leaves. One key is written, which expires after a minute.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any

from redis import Redis
from redis.exceptions import BusyLoadingError, OutOfMemoryError, ReadOnlyError, RedisError, ResponseError

TEST_KEY = "emailbatch:write-test"
TEST_SECONDS = 60


class RedisFault(Enum):
    """Why Redis can't be used."""

    AWAY = "away"
    LOADING = "loading its data after a start"
    FULL = "out of memory, with a policy that evicts nothing"
    READ_ONLY = "a replica, which accepts no writes"
    REFUSING = "refuses writes, for example because its disk is full"


@dataclass(frozen=True, kw_only=True, slots=True)
class RedisHealth:
    """Whether Redis can be used, and how much of its memory is used."""

    fault: RedisFault | None
    memory_share: float | None = None
    """The used part of ``maxmemory``, or None if there is no limit, or if Redis evicts any key to stay below it."""


def probe(client: Redis) -> RedisHealth:
    """Write to Redis and read its memory, in one round trip. Never raises an error of Redis."""
    try:
        with client.pipeline(transaction=False) as pipeline:
            pipeline.set(TEST_KEY, 1, ex=TEST_SECONDS)
            pipeline.info("memory")
            written, memory = pipeline.execute(raise_on_error=False)
    except RedisError as exc:
        return RedisHealth(fault=name_fault(exc))
    fault = name_fault(written) if isinstance(written, RedisError) else None
    return RedisHealth(fault=fault, memory_share=_share(memory) if isinstance(memory, dict) else None)


def name_fault(error: RedisError) -> RedisFault:
    """Say what an error of a write means (Valkey documentation, "Error handling")."""
    match error:
        case OutOfMemoryError():
            return RedisFault.FULL
        case ReadOnlyError():
            return RedisFault.READ_ONLY
        case BusyLoadingError():
            return RedisFault.LOADING
        case ResponseError():
            return RedisFault.REFUSING
    return RedisFault.AWAY


def _share(memory: dict[str, Any]) -> float | None:
    limit = int(memory.get("maxmemory", 0))
    if not limit or str(memory.get("maxmemory_policy", "")).startswith("allkeys"):
        return None
    return float(memory["used_memory"]) / limit
