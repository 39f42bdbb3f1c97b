"""SEND_RATE: one token bucket in Redis for all workers, by the generic cell rate algorithm (GCRA).

A lane fetches a few tokens at a time in advance, so that a message costs no round trip. While Redis is away, nobody
knows what the other lanes send. Each lane then keeps to its share of the rate by its own clock: the rate divided by the
number of leased lanes. Meanwhile it asks whether Redis is back.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable

from redis.asyncio import Redis
from redis.commands.core import AsyncScript
from redis.exceptions import RedisError

from batches import redis_client
from batches.delivery.ledger import OUTAGES

logger = logging.getLogger(__name__)

BURST_SECONDS = 0.2
"""How many seconds' worth of messages may go at once. It also bounds how many tokens a lane fetches in advance."""

FETCHES_PER_BURST = 8
"""How many fetches a burst is spread over, so that no lane takes all of it."""

LANES_ASSUMED = 8
"""How many lanes share the rate while neither Redis nor PostgreSQL can say how many there are."""

REDIS_RETRY_SECONDS = 0.5
"""How long to wait between two questions whether Redis is back."""

WRITE_TEST_SECONDS = 60
"""After how long Redis forgets the key by which a lane finds out whether it accepts writes again."""

# The bucket is one number: the theoretical arrival time (TAT) of the next message, by the clock of Redis. The script
# grants up to ARGV[2] messages, of 1/rate seconds each, as long as the TAT stays within the burst. If it grants none,
# it says how long to wait for the next.
_GCRA = """
local now = redis.call('TIME')
now = now[1] + now[2] / 1000000
local interval, wanted, burst = 1 / tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local tat = math.max(tonumber(redis.call('GET', KEYS[1]) or '0'), now)
local granted = math.min(wanted, math.floor((now + burst - tat) / interval))
if granted < 1 then
  return {0, tostring(tat + interval - burst - now)}
end
tat = tat + granted * interval
redis.call('SET', KEYS[1], string.format('%.6f', tat), 'EX', math.ceil(tat - now) + 60)
return {granted, '0'}
"""


class RateGate:
    """The tokens of one lane: ``spend`` one for each message.

    Args:
        rate: messages a second, over all workers.
        relay: the relay's name. Lanes with the same relay share one bucket.
        on_tokens: called when there are tokens again after ``spend`` refused one.
        count_lanes: returns how many lanes are leased now, this one included.
        connect: opens a client of Redis.
    """

    def __init__(
        self,
        *,
        rate: float,
        relay: str,
        redis_url: str,
        on_tokens: Callable[[], None],
        count_lanes: Callable[[], Awaitable[int]],
        connect: Callable[[str], Redis] = redis_client.connect_async,
    ) -> None:
        self._rate, self._on_tokens, self._count_lanes = rate, on_tokens, count_lanes
        self._redis_url, self._connect = redis_url, connect
        self._burst_seconds = max(BURST_SECONDS, 1 / rate)
        self._fetch_count = max(1, int(rate * self._burst_seconds / FETCHES_PER_BURST))
        self._key = f"emailbatch:rate:{relay}"
        self._tokens = 0
        self._wanted = asyncio.Event()
        self._lane_count, self._share_due_at = 1, 0.0
        self._return: asyncio.Task[None] | None = None

    def spend(self) -> bool:
        """Spend a token, and say whether there was one. If there was none, ``on_tokens`` is called when there is."""
        if self._tokens > 0:
            self._tokens -= 1
            return True
        self._wanted.set()
        return False

    async def run(self) -> None:
        """Fetch tokens whenever there are none, until this is cancelled. Tokens that are left are returned."""
        redis = self._connect(self._redis_url)
        try:
            script = redis.register_script(_GCRA)
            while True:
                await self._wanted.wait()
                self._tokens += await self._fetch(redis, script)
                self._wanted.clear()
                self._on_tokens()
        finally:
            if self._return is not None:
                self._return.cancel()
            elif self._tokens:
                with contextlib.suppress(RedisError, OSError):
                    await redis.incrbyfloat(self._key, -self._tokens / self._rate)
            await redis.aclose()

    async def _fetch(self, redis: Redis, script: AsyncScript) -> int:
        """Wait for the next tokens, from Redis or, while it is away, from this lane's share."""
        while self._return is None:
            try:
                granted, wait_seconds = await self._ask(script)
            except (RedisError, OSError) as exc:
                logger.warning(
                    "Redis can't be used, so this lane keeps to its share of the rate by its own clock: %s", exc
                )
                self._lane_count = await self._count_sharing_lanes()
                self._return = asyncio.ensure_future(self._await_return(redis))
                break
            if granted:
                return granted
            await asyncio.sleep(max(wait_seconds, 0.001))
        return await self._take_share()

    async def _ask(self, script: AsyncScript) -> tuple[int, float]:
        granted, wait_seconds = await script(
            keys=[self._key], args=[self._rate, self._fetch_count, self._burst_seconds]
        )
        return int(granted), float(wait_seconds)

    async def _count_sharing_lanes(self) -> int:
        try:
            return await self._count_lanes()
        except OUTAGES:
            return LANES_ASSUMED

    async def _take_share(self) -> int:
        """Wait until this lane's part of the rate allows the next few messages, and return how many."""
        loop = asyncio.get_running_loop()
        due_at = max(self._share_due_at, loop.time() - self._burst_seconds)
        self._share_due_at = due_at + self._fetch_count * self._lane_count / self._rate
        await asyncio.sleep(max(0.0, self._share_due_at - loop.time()))
        return self._fetch_count

    async def _await_return(self, redis: Redis) -> None:
        """Wait until Redis accepts writes again. One that is full answers a PING."""
        while True:
            await asyncio.sleep(REDIS_RETRY_SECONDS)
            with contextlib.suppress(RedisError, OSError):
                await redis.set(self._key + ":write-test", 1, ex=WRITE_TEST_SECONDS)
                self._return = None
                return
