"""Find and delete what Redis holds about an address: records of letter checks, and errors of work items.

Redis holds notifications only, so any key may be deleted. While Redis is away, it holds nothing that this can reach;
the caller says so.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import Any, cast

from redis.exceptions import RedisError

from batches import redis_client
from batches.people.spelling import Spelling


class RedisAway(Exception):
    """Redis can't be reached, so nobody knows what it holds."""


def find_traces(spelling: Spelling) -> list[str]:
    """Return the keys whose name or value holds the address.

    Raises:
        RedisAway: Redis can't be reached.
    """
    try:
        with redis_client.connect() as client:
            return sorted(_find(client, spelling))
    except RedisError as exc:
        raise RedisAway(str(exc)) from exc


def delete_traces(spelling: Spelling) -> int:
    """Delete those keys, and return how many there were.

    Raises:
        RedisAway: Redis can't be reached.
    """
    keys = find_traces(spelling)
    try:
        with redis_client.connect() as client:
            return cast(int, client.delete(*keys)) if keys else 0
    except RedisError as exc:
        raise RedisAway(str(exc)) from exc


def _find(client: Any, spelling: Spelling) -> Iterator[str]:
    for key in client.scan_iter(count=1000):
        name = key.decode(errors="replace")
        if spelling.is_in(name) or any(spelling.is_in(text) for text in _read(client, key)):
            yield name


def _read(client: Any, key: bytes) -> Iterator[str]:
    """Yield the texts of a value, whatever its type is. RQ packs what a work item ended with.

    The client is not typed, because redis-py's types join those of both protocols.
    """
    kind = cast(bytes, client.type(key)).decode()
    readers: dict[str, Any] = {
        "string": lambda: [client.get(key)],
        "hash": lambda: [part for pair in client.hgetall(key).items() for part in pair],
        "list": lambda: client.lrange(key, 0, -1),
        "set": lambda: client.smembers(key),
        "zset": lambda: client.zrange(key, 0, -1),
        "stream": lambda: [part for _, fields in client.xrange(key) for pair in fields.items() for part in pair],
    }
    for value in readers.get(kind, list)():
        if value is not None:
            yield _unpack(value).decode(errors="replace")


def _unpack(value: bytes) -> bytes:
    """Unpack what RQ has packed (zlib). Anything else stays as it is."""
    try:
        return zlib.decompress(value) if value[:1] == b"x" else value
    except zlib.error:
        return value
