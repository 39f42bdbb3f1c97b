"""Sending end to end against smtp-sink, beside the wire's ceiling and what others would write; and far away."""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from tests.bench.house import House, run_peer
from tests.bench.machine import wait_for_quiet
from tests.bench.sink import run_source, running_sink
from tests.smtpserver import Behaviour, RunningServer

LATENCY_MS = 20
SLOW_PEER_COUNT = 4000
FAR_SECONDS = 4

Variant = Callable[[], dict[str, float]]


def measure_near(house: House, *, emails: int, runs: int, size_bytes: int) -> dict[str, Any]:
    """Every variant once in each run, in turn, so that all share the machine's moods; medians."""
    with running_sink() as (port, _):
        url = {"EMAIL_URL": f"smtp://127.0.0.1:{port}"}
        variants: dict[str, Variant] = {
            "smtp-source -s 10 -d": lambda: _source(port, sessions=10, count=emails, size_bytes=size_bytes),
            "one worker": lambda: _ours(house, emails, workers=1, environment=url),
            "two workers": lambda: _ours(house, emails, workers=2, environment=url),
            "smtp-source -s 50 -d": lambda: _source(port, sessions=50, count=emails, size_bytes=size_bytes),
            "aiosmtplib, 10 connections": lambda: run_peer("aiosmtplib", port=port, count=SLOW_PEER_COUNT),
            "send_mail loop": lambda: run_peer("send_mail", port=port, count=SLOW_PEER_COUNT),
        }
        return interleave(variants, runs=runs)


def measure_far(house: House, *, runs: int) -> dict[str, Any]:
    """The same at 20 ms a round trip, against our own server."""
    with _far_server(chunking=False) as plain, _far_server(chunking=True) as chunked:
        variants: dict[str, Variant] = {
            "PIPELINING, 50 connections": lambda: _ours(
                house, 2000 * FAR_SECONDS, workers=1, environment={"EMAIL_URL": plain.url, "SEND_CONNECTIONS": "50"}
            ),
            "CHUNKING, 10 connections": lambda: _ours(
                house, 4000 * FAR_SECONDS, workers=1, environment={"EMAIL_URL": chunked.url}
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


def _ours(house: House, count: int, *, workers: int, environment: dict[str, str]) -> dict[str, float]:
    return dataclasses.asdict(house.send(count, workers=workers, environment=environment))


def interleave(variants: dict[str, Variant], *, runs: int) -> dict[str, Any]:
    """Run all variants in turn, again and again; for each its median of every figure, and all its speeds."""
    found: dict[str, list[dict[str, float]]] = {name: [] for name in variants}
    for _ in range(runs):
        for name, variant in variants.items():
            noise = wait_for_quiet()
            found[name].append(variant() | {"noise_before": noise})
    return {name: summarise(results) for name, results in found.items()}


def summarise(results: list[dict[str, float]]) -> dict[str, Any]:
    medians: dict[str, Any] = {key: statistics.median(each[key] for each in results) for key in results[0]}
    return medians | {"runs_per_second": [round(each["per_second"]) for each in results]}
