"""The report of a run: a table with one line for each trial, and the same results as JSON."""

from __future__ import annotations

import dataclasses
import json
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.chaos.faults import KILLS
from tests.chaos.trial import Options, Result

COLUMNS = ("fault", "recipients", "lost", "duplicated", "unknown", "recovered s", "result")
WIDTHS = (40, 10, 6, 10, 8, 11, 0)


def format_heading() -> str:
    return _format_line(COLUMNS)


def format_result(result: Result) -> str:
    if result.skipped:
        return _format_line((result.title, "-", "-", "-", "-", "-", f"skipped: {result.skipped}"))
    found = result.found
    recovered = "-" if result.recover_seconds is None else f"{result.recover_seconds:.1f}"
    restarted = int(result.notes.get("workers_restarted", 0))
    judged = f"ok, {restarted} workers restarted" if restarted else "ok"
    if result.broken:
        judged = "BROKEN: " + "; ".join(result.broken)
    cells = (found.recipients, found.lost, found.duplicated, found.unknown, recovered)
    return _format_line((result.title, *map(str, cells), judged))


def _format_line(cells: Sequence[str]) -> str:
    first, *rest = (
        cell.ljust(width) if index in (0, 6) else cell.rjust(width)
        for index, (cell, width) in enumerate(zip(cells, WIDTHS, strict=True))
    )
    return "  ".join((first, *rest)).rstrip()


def summarise_kills(results: Sequence[Result]) -> dict[str, Any]:
    """Summarise duplicates and recovery times over all kills, by crash policy."""
    kills = [each for each in results if each.fault in KILLS and not each.skipped]
    summary: dict[str, Any] = {}
    for policy, chosen in (
        ("resend", [each for each in kills if not each.fault.endswith("-hold")]),
        ("hold", [each for each in kills if each.fault.endswith("-hold")]),
    ):
        if chosen:
            recovered = [each.recover_seconds for each in chosen if each.recover_seconds is not None]
            summary[policy] = {
                "kills": len(chosen),
                "lost": sum(each.found.lost for each in chosen),
                "duplicates_mean": round(statistics.fmean(each.found.duplicated for each in chosen), 2),
                "duplicates_max": max(each.found.duplicated for each in chosen),
                "unknown_mean": round(statistics.fmean(each.found.unknown for each in chosen), 2),
                "unknown_max": max(each.found.unknown for each in chosen),
                "recovered_median_seconds": round(statistics.median(recovered), 2) if recovered else None,
                "recovered_max_seconds": round(max(recovered), 2) if recovered else None,
            }
    return summary


def format_summary(results: Sequence[Result]) -> str:
    lines = [
        f"kills, {policy}: {each['kills']}, lost {each['lost']}, duplicates mean {each['duplicates_mean']} "
        f"max {each['duplicates_max']}, unknown mean {each['unknown_mean']} max {each['unknown_max']}, "
        f"recovered median {each['recovered_median_seconds']} s max {each['recovered_max_seconds']} s"
        for policy, each in summarise_kills(results).items()
    ]
    broken = sum(bool(each.broken) for each in results)
    lines.append(
        f"{len(results)} trials, {broken} broken." if broken else f"{len(results)} trials, every promise kept."
    )
    return "\n".join(lines)


def write_json(path: Path, results: Sequence[Result], options: Options) -> None:
    document = {
        "options": dataclasses.asdict(options),
        "kills": summarise_kills(results),
        "results": [dataclasses.asdict(each) for each in results],
    }
    path.write_text(json.dumps(document, indent=2) + "\n")
