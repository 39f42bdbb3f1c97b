"""Measure what watchers cost a send: none, many sockets, and many open pages take turns.

The speeds leave, with their ratios to a send that nobody watches, and the slowest answer that a page got.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.bench import messages
from tests.bench.machine import wait_for_quiet
from tests.bench.sink import running_sink
from tests.bench.stack import BenchStack
from tests.chaos.stack import ROOT

FULL_EMAILS, SHORT_EMAILS = 200_000, 20_000
SOCKETS, PAGES = 500, 200
SHORT_SHARE = 10
"""With ``--short`` there is one watcher for so many."""
END_SECONDS = 60


def measure_watchers(bench: BenchStack, *, runs: int, is_short: bool) -> dict[str, Any]:
    """Return the medians of the speeds, their ratios, and what the watchers saw."""
    share = SHORT_SHARE if is_short else 1
    emails = SHORT_EMAILS if is_short else FULL_EMAILS
    variants = {"none": (0, 0), "sockets": (SOCKETS // share, 0), "pages": (0, PAGES // share)}
    cookie = bench.step("sign_in")["cookie"]
    speeds: dict[str, list[float]] = {name: [] for name in variants}
    seen: list[dict[str, Any]] = []
    with running_sink() as (port, _), bench.stack.web() as web:
        url = {"EMAIL_URL": f"smtp://127.0.0.1:{port}"}
        for _ in range(runs):
            for name, (sockets, pages) in variants.items():
                batch_id = bench.load(emails)
                wait_for_quiet()
                with (
                    _watching(web.port, cookie, batch_id, sockets=sockets, pages=pages) as watched,
                    bench.workers(2, environment=url) as running,
                ):
                    bench.step("start", batch_id, messages.TEMPLATE_KEY, environment=url)
                    bench.await_end(batch_id, running, seconds=300)
                took, _cycles = bench.read_end(batch_id, emails)
                speeds[name].append(emails / took)
                seen += watched
    medians = {name: statistics.median(each) for name, each in speeds.items()}
    return {
        "per_second": {name: round(speed) for name, speed in medians.items()},
        "runs_per_second": {name: [round(each) for each in times] for name, times in speeds.items()},
        # Of each run by itself, because the speed of a machine changes from one run to the next.
        "sockets_ratio": statistics.median(map(_divide, speeds["sockets"], speeds["none"])),
        "pages_ratio": statistics.median(map(_divide, speeds["pages"], speeds["none"])),
        "slowest_answer_s": max((max(each["slowest_fetch_s"], each["slowest_health_s"]) for each in seen), default=0.0),
        "lost": sum(each["lost"] + each["opened"] - each["ended"] + len(each["bad_statuses"]) for each in seen),
        "seen": seen,
    }


def _divide(watched: float, alone: float) -> float:
    return watched / alone


@contextmanager
def _watching(port: int, cookie: str, batch_id: int, *, sockets: int, pages: int) -> Iterator[list[dict[str, Any]]]:
    """Let watchers watch. What they saw is in the list after the context."""
    seen: list[dict[str, Any]] = []
    if not sockets + pages:
        yield seen
        return
    argv = [sys.executable, "-m", "tests.bench.watching", "--port", str(port), "--batch", str(batch_id)]
    argv += ["--cookie", cookie, "--sockets", str(sockets), "--pages", str(pages)]
    with subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == "open\n"
            yield seen
            output, _ = process.communicate(timeout=END_SECONDS)
            seen.append(json.loads(output))
        finally:
            process.kill()


def list_ratios(found: dict[str, Any]) -> list[tuple[str, float, str]]:
    """Return the figures that have to meet a goal."""
    return [
        ("a send with 500 sockets / without", found["sockets_ratio"], ">= 0.9"),
        ("a send with 200 open pages / without", found["pages_ratio"], ">= 0.85"),
        ("slowest answer to a page, s", found["slowest_answer_s"], "<= 1"),
        ("watchers lost, or without the end", float(found["lost"]), "<= 0"),
    ]
