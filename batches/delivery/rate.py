"""SEND_RATE: one token bucket in Redis for all workers, as the generic cell rate algorithm (GCRA).

A lane fetches tokens ahead, in small handfuls, so that a message costs no round trip. When Redis is away
nobody knows what the others send: the lane then keeps to its share of the rate by its own clock.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

logger = logging.getLogger(__name__)

BURST_SECONDS = 0.1
"""How much of the rate may go at once, and how far ahead a lane fetches."""

REDIS_TIMEOUT_SECONDS = 2

# The bucket is one number: the theoretical arrival time (TAT) of the next message, by Redis' clock.
# Grants up to ARGV[2] messages of 1/rate seconds each, as long as TAT stays within the burst.
_GCRA = """
local now = redis.call('TIME')
now = now[1] + now[2] / 1000000
local interval, wanted, burst = 1 / tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local tat = math.max(tonumber(redis.call('GET', KEYS[1]) or '0'), now)
local granted = math.min(wanted, math.floor((now + burst - tat) / interval))
if granted < 1 then
  return {0, tostring(tat + interval - burst - now)}
end
redis.call('SET', KEYS[1], string.format('%.6f', tat + granted * interval), 'EX', 60)
return {granted, '0'}
"""


class RateGate:
    """Tokens for one lane: ``spend`` one for each message."""

    def __init__(self, *, rate: float, relay: str, redis_url: str, share: int, on_tokens: Callable[[], None]) -> None:
        self._rate, self._share, self._on_tokens = rate, share, on_tokens
        self._key = f"emailbatch:rate:{relay}"
        self._redis_url = redis_url
        self._tokens = 0
        self._wanted = asyncio.Event()

    def spend(self) -> bool:
        """Whether a message may go now; if not, ``on_tokens`` is called when one may."""
        if self._tokens > 0:
            self._tokens -= 1
            return True
        self._wanted.set()
        return False

    async def run(self) -> None:
        """Fetch tokens whenever there are none; until cancelled."""
        redis = Redis.from_url(self._redis_url, socket_timeout=REDIS_TIMEOUT_SECONDS, retry=Retry(NoBackoff(), 1))
        burst = max(BURST_SECONDS, 1 / self._rate)
        handful = max(1, int(self._rate * burst / self._share))
        try:
            script = redis.register_script(_GCRA)
            while True:
                await self._wanted.wait()
                granted, wait_seconds = await self._fetch(script, handful, burst)
                if granted:
                    self._tokens += granted
                    self._wanted.clear()
                    self._on_tokens()
                else:
                    await asyncio.sleep(max(wait_seconds, 0.001))
        finally:
            await redis.aclose()

    async def _fetch(self, script: Callable[..., object], handful: int, burst: float) -> tuple[int, float]:
        try:
            granted, wait = await script(keys=[self._key], args=[self._rate, handful, burst])  # type: ignore[misc]
            return int(granted), float(wait)
        except (RedisError, OSError) as exc:
            logger.warning("Redis is away, so the rate is kept by this lane's own clock: %s", exc)
            await asyncio.sleep(handful * self._share / self._rate)
            return handful, 0.0
