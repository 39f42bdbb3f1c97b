"""``python -m tests.bench``: measure everything in one run, print the ratios beside their goals, and write JSON."""

from __future__ import annotations

import argparse
import json
import os
import platform
import signal
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tests.bench import pages, parts, purging, sending, watchers
from tests.bench.machine import wait_for_quiet
from tests.bench.sink import find_tools
from tests.bench.stack import BenchStack, open_bench_stack

SECTIONS = ("near", "far", "split", "queue", "million", "purge", "pages", "watchers", "intake")


def read_arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--runs", type=int, default=3, help="runs of each measurement; the medians are printed")
    parser.add_argument("--emails", type=int, default=20_000, help="emails of one run of near and split")
    parser.add_argument("--only", default="", help=f"comma-separated sections: {', '.join(SECTIONS)}")
    parser.add_argument("--million", action="store_true", help="also send a million emails, with small jobs in between")
    parser.add_argument("--intake", action="store_true", help="also measure intake against psql's copy")
    parser.add_argument(
        "--short", action="store_true", help="few rows and watchers in pages and watchers: a quick look"
    )
    parser.add_argument("--json", type=Path, help="also write all figures to this file")
    return parser.parse_args(argv)


def choose(arguments: argparse.Namespace) -> list[str]:
    if arguments.only:
        return [name for name in SECTIONS if name in arguments.only.split(",")]
    optional = {"million": arguments.million, "intake": arguments.intake}
    optional |= dict.fromkeys(("purge", "pages", "watchers"), False)
    return [name for name in SECTIONS if optional.get(name, True)]


def measure(bench: BenchStack, sections: Sequence[str], *, runs: int, emails: int, is_short: bool) -> dict[str, Any]:
    found: dict[str, Any] = {"machine": describe_machine()}
    size = parts.message_bytes(bench)
    found["message_bytes"] = size
    actions: dict[str, Callable[[], dict[str, Any]]] = {
        "near": lambda: sending.measure_near(bench, emails=emails, runs=runs, size_bytes=size),
        "far": lambda: sending.measure_far(bench, runs=runs),
        "split": lambda: parts.measure_split(bench, emails=emails, runs=runs),
        "queue": lambda: parts.measure_queue(bench),
        "million": lambda: parts.measure_million(bench),
        "purge": lambda: purging.measure_purge(bench, runs=runs),
        "pages": lambda: pages.measure_pages(bench, is_short=is_short),
        "watchers": lambda: watchers.measure_watchers(bench, runs=runs, is_short=is_short),
    }
    for name in sections:
        if name in actions:
            started = time.monotonic()
            found[name] = actions[name]()
            say(f"# {name}: {time.monotonic() - started:.0f} s")
    return found


def describe_machine() -> dict[str, Any]:
    return {
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "load_before": os.getloadavg()[0],
        "foreign_cores_before": wait_for_quiet(),
    }


def ratios(found: dict[str, Any]) -> list[tuple[str, float, str]]:
    """Return the ratios that have to meet a goal: name, figure and goal. An empty goal means none."""
    lines: list[tuple[str, float, str]] = []
    if near := found.get("near"):
        speed = {name: each["per_second"] for name, each in near.items()}
        ceiling = speed["smtp-source -s 10 -d"]
        one = near["one worker"]
        lines += [
            ("one worker / smtp-source -s 10", speed["one worker"] / ceiling, ">= 0.65"),
            ("two workers / smtp-source -s 10", speed["two workers"] / ceiling, ">= 0.8"),
            ("one worker / smtp-source -s 50", speed["one worker"] / speed["smtp-source -s 50 -d"], ""),
            ("one worker / aiosmtplib", speed["one worker"] / speed["aiosmtplib, 10 connections"], ">= 8"),
            ("one worker / send_mail loop", speed["one worker"] / speed["send_mail loop"], ""),
            ("one worker, not plain / one worker", speed["one worker, not plain"] / speed["one worker"], ""),
            ("worker CPU, us an email", one["worker_us"], "<= 60"),
            ("Postgres CPU, us an email", one["postgres_us"], "<= 35"),
            ("peak memory, MB", one["peak_memory_bytes"] / 1e6, "< 200"),
        ]
    if far := found.get("far"):
        speed = {name: each["per_second"] for name, each in far.items()}
        fifty, ten = (speed[f"lock-step aiosmtplib, {count} connections"] for count in (50, 10))
        lines += [
            ("20 ms: PIPELINING / lock-step, 50 connections", speed["PIPELINING, 50 connections"] / fifty, ">= 3.5"),
            ("20 ms: CHUNKING / lock-step, 10 connections", speed["CHUNKING, 10 connections"] / ten, ">= 15"),
        ]
    if queue := found.get("queue"):
        lines.append(("enqueue / PING", queue["enqueue_ms"] / queue["enqueue_ping_ms"], ""))
        lines.append(("pick-up / PING", queue["pick_up_ms"] / queue["ping_ms"], ""))
    if purge := found.get("purge"):
        lines += [
            ("a send beside a purge / alone", purge["ratio"], ">= 0.9"),
            ("longest wait for a lock beside a purge, s", purge["lock_wait_seconds"], "< 1"),
            ("longest transaction of a purge, s", purge["transaction_seconds"], "< 1"),
        ]
    if watched := found.get("watchers"):
        lines += watchers.list_ratios(watched)
    if million := found.get("million"):
        lines.append(("small jobs beside a million, slowest s", max(million["small_jobs_seconds"]), "<= 30"))
        if near:
            growth = million["peak_memory_bytes"] / near["one worker"]["peak_memory_bytes"]
            lines.append(("memory at 1,000,000 / at 20,000", growth, "<= 1.1"))
    return lines


def print_pages(found: dict[str, Any]) -> None:
    """Print how soon each page and list answered, beside its goal."""
    for name, line in pages.list_goals(found):
        verdict = "pass" if line["passed"] else f"FAIL {line['refused'] or ''}"
        times = f"p50 {line['p50_ms']:7.1f}  p95 {line['p95_ms']:7.1f}  max {line['max_ms']:7.1f} ms"
        say(f"{name:48} {line['count']:4}  {times}  CPU {line['web_cpu_ms']:5.1f} ms  < {line['goal_ms']}  {verdict}")


def list_missed(found: dict[str, Any]) -> list[str]:
    """Name the pages and the ratios of watchers that miss their goal. The other sections only print theirs."""
    missed = [name for name, line in pages.list_goals(found.get("pages", {})) if not line["passed"]]
    for name, figure, goal in watchers.list_ratios(found["watchers"]) if "watchers" in found else ():
        relation, _, limit = goal.partition(" ")
        if not (figure >= float(limit) if relation == ">=" else figure <= float(limit)):
            missed.append(name)
    return missed


def print_all(found: dict[str, Any]) -> None:
    for section in ("near", "far"):
        for name, each in found.get(section, {}).items():
            cpu = (
                f"  worker {each['worker_us']:.0f} us, Postgres {each['postgres_us']:.0f} us"
                if "worker_us" in each
                else ""
            )
            say(f"{name:40} {each['per_second']:9,.0f}/s  {each['runs_per_second']}{cpu}")
    for section in ("split", "queue", "million", "purge"):
        for name, value in found.get(section, {}).items():
            say(f"{section}: {name:30} {value if isinstance(value, list) else format(value, ',.2f')}")
    if "pages" in found:
        say(f"people listed: {found['pages']['people_listed_per_second']:,.0f} emails/s")
    print_pages(found.get("pages", {}))
    for name, runs in found.get("watchers", {}).get("runs_per_second", {}).items():
        say(f"watchers: {name:10} {runs}")
    say("")
    for name, figure, goal in ratios(found):
        say(f"{name:50} {figure:8.2f}  {goal}")


def say(line: str) -> None:
    print(line, flush=True)  # noqa: T201


def main(argv: Sequence[str] | None = None) -> int:
    arguments = read_arguments(argv)
    sections = choose(arguments)
    if not find_tools():
        say("smtp-sink and smtp-source are missing. Install Debian's postfix (it need not be started).")
        return 1
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that the stack is stopped
    with open_bench_stack() as bench:
        found = measure(bench, sections, runs=arguments.runs, emails=arguments.emails, is_short=arguments.short)
    if "intake" in sections:
        from tests.bench import intake

        found["intake"] = intake.measure()
    found["ratios"] = {name: {"figure": figure, "goal": goal} for name, figure, goal in ratios(found)}
    print_all(found)
    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=2) + "\n")
    if missed := list_missed(found):
        say(f"{len(missed)} missed: {'; '.join(missed)}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
