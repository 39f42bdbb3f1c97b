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
from tests.chaos.stack import Golden
from tests.chaos.trial import Options, Result, Trial
from tests.chaos.verdict import Comparison

SHORT_LEASE_SECONDS = 3.0
REAL_LEASE_SECONDS = 15.0
MISSES_MAX = 3


def read_arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--faults", default="", help="comma-separated names; all by default; 'list' lists them")
    parser.add_argument("--recipients", type=int, default=2000, help="in each batch")
    parser.add_argument("--kills", type=int, default=0, help="repeat the kill faults to so many in all")
    parser.add_argument("--short", action="store_true", help="each fault once, with a short lease")
    parser.add_argument("--lease", type=float, help="SEND_LEASE_SECONDS of the workers; 15, or 3 with --short")
    parser.add_argument("--jobs", type=int, default=2, help="trials at the same time, each with its own stack")
    parser.add_argument("--seed", type=int, help="repeat a run's random instants")
    parser.add_argument("--json", type=Path, help="also write everything to this file")
    parser.add_argument("--keep", action="store_true", help="print the workers' logs of broken trials")
    return parser.parse_args(argv)


def choose(names: str, *, kills: int) -> Iterator[tuple[str, int]]:
    """The trials of a run: a fault's name, and which repetition it is."""
    chosen = [name for name in names.split(",") if name] or list(FAULTS)
    unknown = [name for name in chosen if name not in FAULTS]
    if unknown:
        raise SystemExit(f"There is no fault {unknown[0]!r}. --faults list shows them all.")
    yield from ((name, 0) for name in chosen)
    repeated = [name for name in KILLS if name in chosen]
    more = max(0, kills - len(repeated)) if repeated else 0
    turns = ((name, number) for number in itertools.count(1) for name in repeated)
    yield from itertools.islice(turns, more)


def run_trial(name: str, number: int, *, golden: Golden, options: Options) -> Result:
    """Run one fault; again, at another instant, if it came too late to do anything."""
    fault = FAULTS[name]
    for repetition in range(MISSES_MAX):
        trial = Trial(fault, options, number=number, repetition=repetition)
        if reason := fault.unavailable():
            return dataclasses.replace(empty_result(trial), skipped=reason)
        try:
            result = trial.run(golden)
        except Exception as exc:  # one trial's trouble must not hide the others' findings
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
        settle_seconds=0.0,
        broken=[],
    )


def run_all(trials: Sequence[tuple[str, int]], *, options: Options, jobs: int) -> Generator[Result, None, None]:
    """Run trials side by side and yield each result as it comes."""
    with Golden() as golden, ThreadPoolExecutor(max_workers=jobs) as pool:
        futures: list[Future[Result]] = [
            pool.submit(run_trial, name, number, golden=golden, options=options) for name, number in trials
        ]
        try:
            for future in as_completed(futures):
                yield future.result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def main(argv: Sequence[str] | None = None) -> int:
    arguments = read_arguments(argv)
    say = lambda line: print(line, flush=True)  # noqa: E731, T201
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
        settle_seconds=60 + 4 * lease,
        keep=arguments.keep,
    )
    trials = list(choose(arguments.faults, kills=arguments.kills))
    say(f"seed {seed}, {len(trials)} trials, lease {lease:g} s")
    say(report.format_heading())
    results = []
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that every stack is taken down
    with contextlib.closing(run_all(trials, options=options, jobs=arguments.jobs)) as found:
        for result in found:
            say(report.format_result(result))
            results.append(result)
    say(report.format_summary(results))
    if arguments.json:
        report.write_json(arguments.json, results, options)
    return 1 if any(result.broken for result in results) else 0


if __name__ == "__main__":
    sys.exit(main())
