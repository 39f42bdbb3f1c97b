"""Sending from start to end: near, beside smtp-source and two usual programs, and far, at 20 ms a round trip."""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from tests.bench import messages
from tests.bench.machine import wait_for_quiet
from tests.bench.sink import run_source, running_sink
from tests.bench.stack import BenchStack, run_peer
from tests.smtpserver import Behaviour, RunningServer

LATENCY_MS = 20
SLOW_PEER_COUNT = 4000
FAR_SECONDS = 4

SUPPRESSED_COUNT = 10_000
"""How many addresses are suppressed. None of them is in a list that is measured."""

NEWS_SETTINGS = {
    "PUBLIC_URL": "https://mail.example.org",
    "UNSUBSCRIBE_KEYS": "a-key-that-only-the-benchmark-uses",
    "BOUNCE_ADDRESS": "bounce@news.example.org",
}
"""News has a link for each recipient and, with BOUNCE_ADDRESS, each message its own return path."""

Variant = Callable[[], dict[str, float]]


def measure_near(bench: BenchStack, *, emails: int, runs: int, size_bytes: int) -> dict[str, Any]:
    """Run every variant once in each run, in turn, so that a change of the machine's speed hits all. Return medians."""
    bench.step("suppress", SUPPRESSED_COUNT)
    with running_sink() as (port, _):
        url = {"EMAIL_URL": f"smtp://127.0.0.1:{port}"}
        variants: dict[str, Variant] = {
            "smtp-source -s 10 -d": lambda: _source(port, sessions=10, count=emails, size_bytes=size_bytes),
            "one worker": lambda: _ours(bench, emails, workers=1, environment=url),
            "two workers": lambda: _ours(bench, emails, workers=2, environment=url),
            "one worker, not plain": lambda: _ours(
                bench, emails, workers=1, environment=url, key=messages.NOT_PLAIN["key"]
            ),
            "one worker, news": lambda: _ours(
                bench, emails, workers=1, environment=url | NEWS_SETTINGS, key=messages.NEWS["key"]
            ),
            "smtp-source -s 50 -d": lambda: _source(port, sessions=50, count=emails, size_bytes=size_bytes),
            "aiosmtplib, 10 connections": lambda: run_peer("aiosmtplib", port=port, count=SLOW_PEER_COUNT),
            "send_mail loop": lambda: run_peer("send_mail", port=port, count=SLOW_PEER_COUNT),
        }
        return interleave(variants, runs=runs)


def measure_far(bench: BenchStack, *, runs: int) -> dict[str, Any]:
    """Measure the same at 20 ms a round trip, against the recording SMTP server."""
    with _far_server(chunking=False) as plain, _far_server(chunking=True) as chunked:
        variants: dict[str, Variant] = {
            "PIPELINING, 50 connections": lambda: _ours(
                bench, 2000 * FAR_SECONDS, workers=1, environment={"EMAIL_URL": plain.url, "SEND_CONNECTIONS": "50"}
            ),
            "CHUNKING, 10 connections": lambda: _ours(
                bench, 4000 * FAR_SECONDS, workers=1, environment={"EMAIL_URL": chunked.url}
            ),
            "lock-step aiosmtplib, 50 connections": lambda: run_peer(
                "aiosmtplib", port=plain.port, count=500 * FAR_SECONDS, connections=50
            ),
            "lock-step aiosmtplib, 10 connections": lambda: run_peer(
                "aiosmtplib", port=plain.port, count=100 * FAR_SECONDS, connections=10
            ),
        }
        return interleave(variants, runs=runs)


@contextmanager
def _far_server(*, chunking: bool) -> Iterator[RunningServer]:
    with RunningServer(Behaviour(latency_ms=LATENCY_MS, chunking=chunking), record=False) as server:
        yield server


def _source(port: int, *, sessions: int, count: int, size_bytes: int) -> dict[str, float]:
    return {"per_second": run_source(port, sessions=sessions, count=count, size_bytes=size_bytes)}


def _ours(
    bench: BenchStack, count: int, *, workers: int, environment: dict[str, str], key: str = messages.TEMPLATE_KEY
) -> dict[str, float]:
    return dataclasses.asdict(bench.send(count, workers=workers, environment=environment, key=key))


def interleave(variants: dict[str, Variant], *, runs: int) -> dict[str, Any]:
    """Run all variants in turn, several times. Return for each the median of every figure and the speed of each run."""
    found: dict[str, list[dict[str, float]]] = {name: [] for name in variants}
    for _ in range(runs):
        for name, variant in variants.items():
            noise = wait_for_quiet()
            found[name].append(variant() | {"noise_before": noise})
    return {name: summarise(results) for name, results in found.items()}


def summarise(results: list[dict[str, float]]) -> dict[str, Any]:
    medians: dict[str, Any] = {key: statistics.median(each[key] for each in results) for key in results[0]}
    return medians | {"runs_per_second": [round(each["per_second"]) for each in results]}
