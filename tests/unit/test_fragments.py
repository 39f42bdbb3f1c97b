"""The cache of rendered parts of pages, with a clock of its own."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from batches.feeds import SHARED_SECONDS
from batches.web.fragments import KEPT_MAX, FragmentCache


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_fragment_is_shared_when_it_is_young(clock: Clock) -> None:
    cache = FragmentCache(clock)
    first = cache.get("a", lambda: "one")
    clock.now += SHARED_SECONDS / 2
    assert cache.get("a", lambda: "two") is first


def test_fragment_is_rendered_again_when_it_is_old(clock: Clock) -> None:
    cache = FragmentCache(clock)
    first = cache.get("a", lambda: "one")
    clock.now += SHARED_SECONDS
    second = cache.get("a", lambda: "two")
    assert second.html == b"two"
    assert second.etag != first.etag


def test_fragment_is_not_shared_when_the_key_differs(clock: Clock) -> None:
    cache = FragmentCache(clock)
    cache.get(("batch", "may see"), lambda: "secret")
    assert cache.get(("batch", "may not"), lambda: "open").html == b"open"


def test_fragment_has_the_same_tag_when_nothing_changed(clock: Clock) -> None:
    cache = FragmentCache(clock)
    first = cache.get("a", lambda: "same")
    clock.now += 5
    assert cache.get("a", lambda: "same").etag == first.etag


def test_fragment_is_rendered_once_when_many_ask_together(clock: Clock) -> None:
    cache = FragmentCache(clock)
    asked = threading.Barrier(8)
    rendered: list[int] = []

    def render() -> str:
        rendered.append(1)
        return "once"

    def ask() -> bytes:
        asked.wait(timeout=10)
        return cache.get("a", render).html

    with ThreadPoolExecutor(max_workers=8) as threads:
        answers = [threads.submit(ask) for _ in range(8)]
        assert {answer.result(timeout=10) for answer in answers} == {b"once"}
    assert len(rendered) == 1


def test_next_request_renders_when_the_first_one_failed(clock: Clock) -> None:
    cache = FragmentCache(clock)
    with pytest.raises(ZeroDivisionError):
        cache.get("a", lambda: str(1 // 0))
    assert cache.get("a", lambda: "well").html == b"well"


def test_oldest_fragment_is_dropped_when_there_are_too_many(clock: Clock) -> None:
    cache = FragmentCache(clock)
    for number in range(KEPT_MAX + 1):
        cache.get(number, lambda: "old")
    assert cache.get(1, lambda: "new").html == b"old"
    assert cache.get(0, lambda: "new").html == b"new"


def test_fragment_is_shared_longer_when_there_are_many_watchers() -> None:
    clock = Clock()
    cache = FragmentCache(clock)
    first = cache.get("key", lambda: "old", shared_seconds=4)
    clock.now += 3.9
    assert cache.get("key", lambda: "new", shared_seconds=4) is first
    clock.now += 0.1
    assert cache.get("key", lambda: "new", shared_seconds=4).html == b"new"
