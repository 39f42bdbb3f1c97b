"""Limit how often something may be guessed. Counters enter; a wait in seconds leaves, or none, and then one is counted.

An attempt is counted before it is checked, and in one step for all of its counters. So 40 attempts at once get no more
than the limit. Each attempt above the limit doubles the wait before the next one. An attempt that was right is
uncounted again.

The counts are in Redis, which all web processes share. While Redis is away, each process counts for itself: nobody is
locked out, and guessing stays slow.
"""

from __future__ import annotations

import hashlib
import logging
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from redis.exceptions import RedisError

from batches import redis_client

logger = logging.getLogger(__name__)

FAILURES_A_MINUTE = 30
"""How many wrong tokens one address may send in a minute before it has to wait."""

THROTTLE_SECONDS = 60
"""How long a wrong token counts, from the first one on."""

COUNTERS_MAX = 50_000
"""The most counters of one process while Redis is away. Beyond it, those that end first are forgotten."""

_DOUBLINGS_MAX = 20
"""2 ** 20 times any wait is longer than every longest wait."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Rate:
    """How often something may happen in a window of time, which the first of it opens."""

    name: str
    limit_count: int
    window_seconds: int = 60


WRONG_TOKENS = Rate(name="failures", limit_count=FAILURES_A_MINUTE, window_seconds=THROTTLE_SECONDS)


@dataclass(frozen=True, kw_only=True, slots=True)
class Limit:
    """How many attempts are free, and how the waits grow after that."""

    name: str
    free_count: int
    first_wait_seconds: int = 60
    longest_wait_seconds: int = 3600
    forget_seconds: int
    """The count ends this long after its last attempt."""
    counts_members: bool = False
    """Count different members, such as names, and not attempts."""

    def wait_seconds(self, count: int) -> int:
        """Return how long to wait after this many attempts; 0 within the free ones."""
        if count < self.free_count:
            return 0
        doublings = min(count - self.free_count, _DOUBLINGS_MAX)
        return min(int(self.first_wait_seconds * 2**doublings), self.longest_wait_seconds)


@dataclass(frozen=True, kw_only=True, slots=True)
class Counter:
    """One count of a limit: of a name, an address, or a device."""

    limit: Limit
    key: str
    member: str = ""
    """What is counted once, if the limit counts members."""

    @property
    def redis_key(self) -> str:
        digest = hashlib.sha256(self.key.encode()).hexdigest()
        return f"emailbatch:guesses:{self.limit.name}:{digest}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Taken:
    """What became of one attempt."""

    wait_seconds: int
    """0: the attempt is counted and may be checked. Otherwise it must not be checked, and is not counted."""
    is_last_free: bool
    """The next attempt has to wait. It is said once for each wait, so that a record of it cannot be flooded."""


# KEYS: for each counter its count and its wait. ARGV: for each counter its member, the free count, the first and the
# longest wait, and the seconds after which the count is forgotten. Returns the wait in milliseconds, or 0 and whether
# the next attempt has to wait.
_TAKE = """
local wait = 0
for i = 1, #KEYS, 2 do
  wait = math.max(wait, redis.call('PTTL', KEYS[i + 1]))
end
if wait > 0 then return {wait, 0} end
local waits = 0
for i = 1, #KEYS, 2 do
  local at = (i - 1) / 2 * 5
  local count
  if ARGV[at + 1] == '' then
    count = redis.call('INCR', KEYS[i])
  else
    redis.call('SADD', KEYS[i], ARGV[at + 1])
    count = redis.call('SCARD', KEYS[i])
  end
  redis.call('EXPIRE', KEYS[i], ARGV[at + 5])
  local above = count - tonumber(ARGV[at + 2])
  if above >= 0 then
    local pause = math.min(tonumber(ARGV[at + 3]) * 2 ^ math.min(above, 20), tonumber(ARGV[at + 4]))
    redis.call('SET', KEYS[i + 1], 1, 'EX', string.format('%d', pause))
    waits = 1
  end
end
return {0, waits}
"""

# The same keys. ARGV: for each counter its member.
_RETURN = """
for i = 1, #KEYS, 2 do
  local member = ARGV[(i - 1) / 2 + 1]
  if member ~= '' then
    redis.call('SREM', KEYS[i], member)
  elseif tonumber(redis.call('GET', KEYS[i]) or '0') > 0 then
    redis.call('DECR', KEYS[i])
  end
  redis.call('DEL', KEYS[i + 1])
end
return 0
"""


def take(counters: Sequence[Counter]) -> Taken:
    """Count one attempt against all of the counters, unless one of them says to wait. Call it before the check."""
    arguments = [
        text
        for counter in counters
        for text in (
            counter.member,
            str(counter.limit.free_count),
            str(counter.limit.first_wait_seconds),
            str(counter.limit.longest_wait_seconds),
            str(counter.limit.forget_seconds),
        )
    ]
    found = _run(_TAKE, counters, arguments)
    if found is None:
        return _here.take(counters)
    wait_ms, waits = found
    return Taken(wait_seconds=-(-wait_ms // 1000), is_last_free=bool(waits))


def uncount(counters: Sequence[Counter]) -> None:
    """Uncount one attempt that was right, and end the wait that it began.

    The counts of others' wrong attempts stay. So a stranger's own sign-in does not free their guesses.
    """
    if _run(_RETURN, counters, [counter.member for counter in counters]) is None:
        _here.uncount(counters)


def is_throttled(remote_address: str) -> bool:
    """Count one wrong API token of an address. Returns whether the address has sent too many this minute."""
    return is_above(WRONG_TOKENS, remote_address)


def is_above(rate: Rate, key: str) -> bool:
    """Count something once more, and tell whether it has happened too often in this window."""
    redis_key = f"emailbatch:{rate.name}:{key}"
    try:
        with redis_client.connect(timeout_seconds=1, retries=0) as client:
            pipe = client.pipeline()
            pipe.incr(redis_key)
            # nx: only the first sets the expiry, so that somebody who goes on steadily does not extend it for ever.
            pipe.expire(redis_key, rate.window_seconds, nx=True)
            return int(pipe.execute()[0]) > rate.limit_count
    except RedisError:
        _say_away()
        limit = Limit(
            name=rate.name,
            free_count=rate.limit_count + 1,
            first_wait_seconds=rate.window_seconds,
            longest_wait_seconds=rate.window_seconds,
            forget_seconds=rate.window_seconds,
        )
        return _here.take([Counter(limit=limit, key=key)]).wait_seconds > 0


def _run(script: str, counters: Sequence[Counter], arguments: list[str]) -> list[int] | None:
    """Run a script over the keys of the counters. None while Redis is away."""
    keys = [key for counter in counters for key in (counter.redis_key, f"{counter.redis_key}:wait")]
    try:
        with redis_client.connect(timeout_seconds=1, retries=0) as client:
            found = client.eval(script, len(keys), *keys, *arguments)
    except RedisError:
        _say_away()
        return None
    return [int(value) for value in found] if isinstance(found, list) else []


def _say_away() -> None:
    logger.warning(
        "Redis can't be reached, so this process counts guesses for itself.", extra={"action": "throttle_alone"}
    )


@dataclass(slots=True)
class _Count:
    count: int = 0
    members: set[str] = field(default_factory=set)
    ends_at: float = 0
    waits_until: float = 0


class _ProcessCounters:
    """The same counts in the memory of this process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: dict[str, _Count] = {}

    def take(self, counters: Sequence[Counter]) -> Taken:
        now = time.monotonic()
        with self._lock:
            counts = [self._find(counter, now) for counter in counters]
            wait = max(count.waits_until - now for count in counts)
            if wait > 0:
                return Taken(wait_seconds=int(wait) + 1, is_last_free=False)
            waits = False
            for counter, count in zip(counters, counts, strict=True):
                pause = counter.limit.wait_seconds(self._add(counter, count))
                count.ends_at = now + counter.limit.forget_seconds
                count.waits_until = now + pause if pause else 0
                waits = waits or pause > 0
            return Taken(wait_seconds=0, is_last_free=waits)

    def uncount(self, counters: Sequence[Counter]) -> None:
        now = time.monotonic()
        with self._lock:
            for counter in counters:
                count = self._find(counter, now)
                count.count = max(0, count.count - 1)
                count.members.discard(counter.member)
                count.waits_until = 0

    @staticmethod
    def _add(counter: Counter, count: _Count) -> int:
        if counter.limit.counts_members:
            count.members.add(counter.member)
            return len(count.members)
        count.count += 1
        return count.count

    def _find(self, counter: Counter, now: float) -> _Count:
        if len(self._counts) >= COUNTERS_MAX:
            self._forget(now)
        found = self._counts.get(counter.redis_key)
        if found is None or (found.ends_at and found.ends_at < now):
            found = self._counts[counter.redis_key] = _Count()
        return found

    def _forget(self, now: float) -> None:
        kept = sorted(self._counts.items(), key=lambda item: item[1].ends_at)[COUNTERS_MAX // 2 :]
        self._counts = {key: count for key, count in kept if count.ends_at >= now}


_here = _ProcessCounters()
