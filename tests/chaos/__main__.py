"""``python -m tests.chaos``: run the faults, print the table, and end with status 1 if a promise was broken."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import itertools
import os
import random
import signal
import sys
import traceback
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from pathlib import Path

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "emailbatch.settings")
os.environ.setdefault("SECRET_KEY", "only-for-chaos")
django.setup()

from tests.chaos import report
from tests.chaos.faults import FAULTS, KILLS
from tests.chaos.judgement import Comparison
from tests.chaos.stack import Golden
from tests.chaos.trial import Options, Result, Trial

SHORT_LEASE_SECONDS = 3.0
REAL_LEASE_SECONDS = 15.0
MISSES_MAX = 3


def read_arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--faults", default="", help="comma-separated names, all by default; 'list' prints them")
    parser.add_argument("--recipients", type=int, default=2000, help="recipients of each batch")
    parser.add_argument(
        "--kills", type=int, default=0, help="repeat the kill faults until there are this many kills in all"
    )
    parser.add_argument("--short", action="store_true", help="each fault once, with a short lease")
    parser.add_argument("--lease", type=float, help="SEND_LEASE_SECONDS of the workers; 15, or 3 with --short")
    parser.add_argument(
        "--jobs", type=int, default=2, help="how many trials run at the same time, each with its own stack"
    )
    parser.add_argument("--seed", type=int, help="use the random instants of an earlier run again")
    parser.add_argument("--json", type=Path, help="also write all results to this file")
    parser.add_argument("--keep", action="store_true", help="print the workers' logs of broken trials")
    return parser.parse_args(argv)


def choose(names: str, *, kills: int) -> Iterator[tuple[str, int]]:
    """Yield the trials of a run: the name of a fault, and the number of the repetition."""
    chosen = [name for name in names.split(",") if name] or list(FAULTS)
    unknown = [name for name in chosen if name not in FAULTS]
    if unknown:
        raise SystemExit(f"There is no fault {unknown[0]!r}. List all faults with --faults list.")
    yield from ((name, 0) for name in chosen)
    repeated = [name for name in KILLS if name in chosen]
    more = max(0, kills - len(repeated)) if repeated else 0
    turns = ((name, number) for number in itertools.count(1) for name in repeated)
    yield from itertools.islice(turns, more)


def run_trial(name: str, number: int, *, golden: Golden, options: Options) -> Result:
    """Run one trial. Repeat it at another instant if its fault came too late to do anything."""
    fault = FAULTS[name]
    for repetition in range(MISSES_MAX):
        trial = Trial(fault, options, number=number, repetition=repetition)
        if reason := fault.unavailable():
            return dataclasses.replace(empty_result(trial), skipped=reason)
        try:
            result = trial.run(golden)
        except Exception as exc:  # an error in one trial must not hide the results of the others
            traceback.print_exc()
            return dataclasses.replace(empty_result(trial), broken=[*trial.broken, f"{type(exc).__name__}: {exc}"])
        if not result.has_missed(fault):
            return result
    reason = result.missed or "the fault came too late"
    return dataclasses.replace(result, broken=[f"{reason}, {MISSES_MAX} times"])


def empty_result(trial: Trial) -> Result:
    numbers = {field.name: 0 for field in dataclasses.fields(Comparison)} | {"counts_differ": ""}
    found = Comparison(**numbers)  # type: ignore[arg-type]
    return Result(
        fault=trial.fault.name,
        title=trial.fault.title,
        seed=trial.seed,
        found=found,
        recover_seconds=None,
        end_seconds=0.0,
        broken=[],
    )


def run_all(trials: Sequence[tuple[str, int]], *, options: Options, jobs: int) -> Generator[Result, None, None]:
    """Run several trials at the same time, and yield each result when its trial has ended."""
    with Golden() as golden, ThreadPoolExecutor(max_workers=jobs) as pool:
        futures: list[Future[Result]] = [
            pool.submit(run_trial, name, number, golden=golden, options=options) for name, number in trials
        ]
        try:
            for future in as_completed(futures):
                yield future.result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def say(line: str) -> None:
    print(line, flush=True)  # noqa: T201


def main(argv: Sequence[str] | None = None) -> int:
    arguments = read_arguments(argv)
    if arguments.faults == "list":
        for fault in FAULTS.values():
            say(f"{fault.name:24}{fault.title}")
        return 0
    seed = random.SystemRandom().randrange(10**6) if arguments.seed is None else arguments.seed
    lease = arguments.lease or (SHORT_LEASE_SECONDS if arguments.short else REAL_LEASE_SECONDS)
    options = Options(
        seed=seed,
        recipients=arguments.recipients,
        lease_seconds=lease,
        limit_seconds=60 + 4 * lease,
        keep=arguments.keep,
    )
    trials = list(choose(arguments.faults, kills=arguments.kills))
    say(f"seed {seed}, {len(trials)} trials, lease {lease:g} s")
    say(report.format_heading())
    results = []
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that every stack is stopped
    with contextlib.closing(run_all(trials, options=options, jobs=arguments.jobs)) as finished:
        for result in finished:
            say(report.format_result(result))
            results.append(result)
    say(report.format_summary(results))
    if arguments.json:
        report.write_json(arguments.json, results, options)
    return 1 if any(result.broken for result in results) else 0


if __name__ == "__main__":
    sys.exit(main())
