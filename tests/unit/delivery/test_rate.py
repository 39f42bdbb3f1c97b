"""A lane's tokens. The test controls Redis, and time passes only when nothing else is left to do."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import cast

import psycopg
import pytest
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError

from batches.delivery.rate import BURST_SECONDS, FETCHES_PER_BURST, LANES_ASSUMED, REDIS_RETRY_SECONDS, RateGate
from tests.unit.delivery.time_loop import let_run, run

RATE = 80.0
FETCH_COUNT = int(RATE * BURST_SECONDS / FETCHES_PER_BURST)


class FakeRedis:
    """Grant what the test says, or be away."""

    def __init__(self, *grants: tuple[int, float], is_away: bool = False) -> None:
        self.grants = list(grants)
        self.is_away = is_away
        self.asked: list[tuple[float, list[object]]] = []
        self.returned: list[tuple[str, float]] = []
        self.is_closed = False

    def connect(self, url: str) -> Redis:
        return cast(Redis, self)

    def register_script(self, script: str) -> Callable[..., Awaitable[tuple[int, str]]]:
        async def grant(*, keys: Sequence[str], args: Sequence[object]) -> tuple[int, str]:
            self.check()
            self.asked.append((asyncio.get_running_loop().time(), [*keys, *args]))
            granted, wait_seconds = self.grants.pop(0) if self.grants else (0, 3600.0)
            return granted, str(wait_seconds)

        return grant

    def check(self) -> None:
        if self.is_away:
            raise RedisConnectionError("Connection refused.")

    async def set(self, key: str, value: int, *, ex: int) -> None:
        self.check()

    async def incrbyfloat(self, key: str, amount: float) -> None:
        self.check()
        self.returned.append((key, amount))

    async def aclose(self) -> None:
        self.is_closed = True


class Sender:
    """Spend a token for each message, as fast as the gate allows, and note the moments."""

    def __init__(self, redis: FakeRedis, *, rate: float = RATE, lane_count: int = 1, has_ledger: bool = True) -> None:
        self.moments: list[float] = []
        self.lane_count, self.has_ledger = lane_count, has_ledger
        self.left = 10_000
        self.gate = RateGate(
            rate=rate,
            relay="mail.example.org:25",
            redis_url="",
            on_tokens=self.send,
            count_lanes=self.count_lanes,
            connect=redis.connect,
        )

    def send(self) -> None:
        while self.left and self.gate.spend():
            self.left -= 1
            self.moments.append(asyncio.get_running_loop().time())

    async def count_lanes(self) -> int:
        if not self.has_ledger:
            raise psycopg.OperationalError("PostgreSQL is away.")
        return self.lane_count

    async def run(self, *, seconds: float) -> None:
        """Send for this long."""
        fetching = asyncio.ensure_future(self.gate.run())
        self.send()
        await asyncio.sleep(seconds)
        await let_run()
        fetching.cancel()
        await asyncio.gather(fetching, return_exceptions=True)


def test_a_message_goes_for_each_token_that_redis_grants() -> None:
    redis = FakeRedis((2, 0), (3, 0))
    sender = Sender(redis)
    run(sender.run(seconds=1))
    assert len(sender.moments) == 5
    key, *arguments = redis.asked[0][1]
    assert key == "emailbatch:rate:mail.example.org:25"
    assert arguments == [RATE, FETCH_COUNT, BURST_SECONDS]
    assert redis.is_closed


def test_redis_is_asked_again_after_the_wait_that_it_named() -> None:
    redis = FakeRedis((0, 0.3), (0, 0.05), (1, 0))
    sender = Sender(redis)
    run(sender.run(seconds=1))
    assert [moment for moment, _ in redis.asked[:3]] == pytest.approx([0, 0.3, 0.35])
    assert sender.moments == pytest.approx([0.35])


def test_one_token_is_asked_for_when_the_rate_is_slow() -> None:
    """The burst is then as long as one message takes, or none would ever be granted."""
    redis = FakeRedis((1, 0))
    run(Sender(redis, rate=0.5).run(seconds=1))
    assert redis.asked[0][1][1:] == [0.5, 1, 2.0]


def test_nothing_is_asked_for_when_nothing_is_to_be_sent() -> None:
    redis = FakeRedis((2, 0))
    sender = Sender(redis)
    sender.left = 0
    run(sender.run(seconds=1))
    assert redis.asked == []


def test_tokens_are_given_back_when_the_lane_ends() -> None:
    redis = FakeRedis((10, 0))
    sender = Sender(redis)
    sender.left = 4
    run(sender.run(seconds=1))
    [(key, amount)] = redis.returned
    assert key == "emailbatch:rate:mail.example.org:25"
    assert amount == pytest.approx(-6 / RATE)


@pytest.mark.parametrize("lane_count", [1, 4])
def test_lane_keeps_to_its_share_when_redis_is_away(lane_count: int) -> None:
    redis = FakeRedis(is_away=True)
    sender = Sender(redis, lane_count=lane_count)
    run(sender.run(seconds=20))
    share = RATE / lane_count
    for begin in range(0, 20, 5):
        count = sum(begin <= moment < begin + 5 for moment in sender.moments)
        assert count == pytest.approx(5 * share, abs=share * BURST_SECONDS + FETCH_COUNT)
    assert redis.returned == []


def test_lane_assumes_others_when_postgres_is_away_too() -> None:
    sender = Sender(FakeRedis(is_away=True), has_ledger=False)
    run(sender.run(seconds=20))
    share = RATE / LANES_ASSUMED
    assert len(sender.moments) == pytest.approx(20 * share, abs=share * BURST_SECONDS + FETCH_COUNT)


def test_redis_is_asked_again_when_it_is_back() -> None:
    redis = FakeRedis(is_away=True)

    async def come_back() -> None:
        sender = Sender(redis, lane_count=8)
        sending = asyncio.ensure_future(sender.run(seconds=5))
        await asyncio.sleep(2)
        assert redis.asked == []
        redis.is_away, redis.grants = False, [(7, 0)]
        await sending

    run(come_back())
    asked_at = redis.asked[0][0]
    one_share_seconds = FETCH_COUNT * 8 / RATE
    assert 2 <= asked_at <= 2 + REDIS_RETRY_SECONDS + one_share_seconds
